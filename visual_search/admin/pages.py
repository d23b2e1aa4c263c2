"""What the admin's pages share: permissions, the site's context, badges, and the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext as _

REINDEX = "visual_search.reindex"
ACTIVATE = "visual_search.activate_index"
ANALYTICS = "visual_search.view_analytics"

STYLES = {"all": ["visual_search/admin.css"]}
NOTHING = "-"


def permitted(permission: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Refuse a view with 403 to a member of staff who lacks `permission`; `AdminSite.admin_view` sees to the rest."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return checked

    return decorate


def render(request: HttpRequest, template: str, *, site: AdminSite, context: Mapping[str, Any]) -> TemplateResponse:
    """Return the page `template` of admin `site`."""
    # So that {% url "admin:..." %} stays on this site where a project has several.
    request.current_app = site.name
    return TemplateResponse(request, f"admin/visual_search/{template}", {**site.each_context(request), **context})


def found(model_admin: Any, request: HttpRequest, object_id: str) -> Any:
    """Return the object that an address names; raise Http404 where there is none."""
    row = model_admin.get_object(request, unquote(object_id))
    if row is None:
        name = model_admin.opts.verbose_name
        raise Http404(_("There is no %(name)s with the key %(key)s.") % {"name": name, "key": object_id})
    return row


def badge(state: str, label: Any) -> SafeString:
    """Return `label` in the colour of `state`."""
    return format_html('<span class="vs-badge vs-badge-{}">{}</span>', state, label)


def day(when: datetime | None) -> SafeString | str:
    """Return the day of `when` in few letters, the full time in its tool tip: a list has no room for more."""
    if when is None:
        return NOTHING
    local = localtime(when) if is_aware(when) else when
    full, short = date_format(local, "DATETIME_FORMAT"), date_format(local, "SHORT_DATE_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), full, short)


def log(request: HttpRequest, objects: Iterable[Any], *, message: Any) -> None:
    """Write into the admin's log that this user changed each of `objects`."""
    user: Any = request.user.pk
    LogEntry.objects.log_actions(user, list(objects), CHANGE, str(message))
