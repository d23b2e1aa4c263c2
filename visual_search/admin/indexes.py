"""The indexes in the admin, and the pages that hang on their list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from visual_search import conf
from visual_search.admin import analytics, explanation, pages, reindex
from visual_search.exceptions import IndexStateError
from visual_search.indexing.generations import lifecycle
from visual_search.models import PhotoMean, ProductEmbedding, SearchIndex

ACTIVATABLE = (SearchIndex.State.READY, SearchIndex.State.PREVIOUS)


def _count(indexes: Iterable[Any]) -> None:
    """Give each of `indexes` its numbers of products and of pictures by state, from one query."""
    indexes = list(indexes)
    rows = (
        ProductEmbedding.objects.using(conf.settings.DATABASE)
        .filter(index__in=indexes)
        .order_by()
        .values("index")
        .annotate(
            products=Count("product", distinct=True),
            ready=Count("pk", filter=Q(state=ProductEmbedding.State.READY, region=[])),
            failed=Count("pk", filter=Q(state=ProductEmbedding.State.FAILED)),
        )
    )
    counted = {row["index"]: row for row in rows}
    for index in indexes:
        index.counts = counted.get(index.pk, {"products": 0, "ready": 0, "failed": 0})


class IndexChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        _count(self.result_list)


@admin.register(SearchIndex)
class SearchIndexAdmin(admin.ModelAdmin):
    # The name holds the encoders.
    list_display = (
        "name", "state_badge", "dimensions", "metric", "fitted_on",
        "products", "ready", "failed", "created", "activated",
    )  # fmt: skip
    actions = ("activate_selected",)
    fieldsets = (
        (None, {"fields": ("state_badge", "encoder_names", "metric", "regions", "created_at", "activated_at")}),
        (_("Products and pictures"), {"fields": ("products", "ready", "failed", "fitted_on")}),
        (_("Vectors"), {"fields": ("dimensions", "vector_parts", "projection_text", "photos_seen", "fingerprint")}),
        (_("Measured"), {"fields": ("calibration_text", "evaluation_text"), "classes": ["collapse"]}),
    )

    class Media:
        css = pages.STYLES

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=name)

        site = self.admin_site
        return [
            page("reindex/", partial(reindex.page, site=site), "visual_search_reindex"),
            page("reindex/progress/", reindex.progress_view, "visual_search_progress"),
            page("analytics/", partial(analytics.page, site=site), "visual_search_analytics"),
            page("explain/", partial(explanation.page, site=site), "visual_search_explain"),
            page("<path:object_id>/activate/", self._activate_view(), "visual_search_activate"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # The list says nothing secret, and the pages for these three are found on it.
        ours = (pages.REINDEX, pages.ACTIVATE, pages.ANALYTICS)
        return super().has_view_permission(request, obj) or any(map(request.user.has_perm, ours))

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(pages.ACTIVATE)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).using(conf.settings.DATABASE)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return IndexChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            _count([found])
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return flatten_fieldsets(self.fieldsets)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        context["can_activate"] = obj and obj.state in ACTIVATABLE and self.has_activate_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.action(description=_("Activate the selected index"), permissions=["activate"])
    def activate_selected(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        """Go to the page that asks for a confirmation."""
        if len(keys := list(queryset.values_list("pk", flat=True)[:2])) == 1:
            return HttpResponseRedirect(self._address("visual_search_activate", keys[0]))
        messages.error(request, _("Select one index: only one can be live."))
        return None

    def _activate_view(self) -> Any:
        return require_http_methods(["GET", "HEAD", "POST"])(pages.permitted(pages.ACTIVATE)(self.activate))

    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to activate an index; activate it on POST."""
        index = pages.found(self, request, object_id)
        if request.method == "POST":
            self._activate(request, index)
            return HttpResponseRedirect(self._address("visual_search_searchindex_changelist"))
        live = SearchIndex.objects.using(conf.settings.DATABASE).live()
        compared = [each for each in (index, live) if each is not None]
        _count(compared)
        context = {
            "title": _("Activate index %(index)s?") % {"index": index},
            "opts": self.opts,
            "index": index,
            "live": None if live == index else live,
            "compared": compared if live != index else [index],
            "possible": index.state in ACTIVATABLE,
        }
        return pages.render(request, "searchindex/activate.html", site=self.admin_site, context=context)

    def _activate(self, request: HttpRequest, index: SearchIndex) -> None:
        if index.state == SearchIndex.State.LIVE:
            messages.info(request, _("Index %(index)s is live already.") % {"index": index})
            return
        try:
            former = lifecycle.activate(index)
        except IndexStateError as error:
            messages.error(request, str(error))
            return
        pages.log(request, [index], message=_("Activated."))
        messages.success(request, _("Index %(index)s is live.") % {"index": index})
        if former is not None:
            back = self._address("visual_search_activate", former.pk)
            text = _now("To go back, activate index %(index)s again.") % {"index": former}
            messages.info(request, format_html('<a href="{}">{}</a>', back, text))

    def _address(self, name: str, *args: Any) -> str:
        return reverse(f"admin:{name}", args=args, current_app=self.admin_site.name)

    def _pictures(self, index: Any, state: str) -> Any:
        number = index.counts[state]
        if not number or not self.admin_site.is_registered(ProductEmbedding):
            return number
        query = urlencode({"index__id__exact": index.pk, "state__exact": state})
        return format_html(
            '<a href="{}?{}">{}</a>', self._address("visual_search_productembedding_changelist"), query, number
        )

    @admin.display(description=_("index"), ordering="id")
    def name(self, index: Any) -> str:
        return str(index)

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, index: Any) -> Any:
        return pages.badge(index.state, index.get_state_display())

    @admin.display(description=_("encoders"))
    def encoder_names(self, index: Any) -> str:
        return index.encoder_names

    @admin.display(description=_("products"))
    def products(self, index: Any) -> int:
        return index.counts["products"]

    @admin.display(description=_("ready"))
    def ready(self, index: Any) -> Any:
        return self._pictures(index, "ready")

    @admin.display(description=_("failed"))
    def failed(self, index: Any) -> Any:
        return self._pictures(index, "failed")

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, index: Any) -> Any:
        return pages.day(index.created_at)

    @admin.display(description=_("activated"), ordering="activated_at")
    def activated(self, index: Any) -> Any:
        return pages.day(index.activated_at)

    @admin.display(description=_("parts of the vector"))
    def vector_parts(self, index: Any) -> Any:
        lines = [(part["name"], part["dimensions"], f"{100 * part['share']:.0f}") for part in index.parts]
        return format_html_join(", ", _now("{} ({} dimensions, share {} %)"), lines) or pages.NOTHING

    @admin.display(description=_("projection"))
    def projection_text(self, index: Any) -> Any:
        if not index.projection:
            return pages.NOTHING
        kept = {"percent": f"{100 * index.projection['overlap']:.0f}"}
        text = _now("keeps %(percent)s %% of the 10 nearest") % kept
        return text + _now(", half whitened") if index.projection["whitened"] else text

    @admin.display(description=_("photos in their mean"))
    def photos_seen(self, index: Any) -> int:
        rows = PhotoMean.objects.using(conf.settings.DATABASE).filter(index=index)
        return rows.values_list("count", flat=True).first() or 0

    @admin.display(description=_("calibration"))
    def calibration_text(self, index: Any) -> Any:
        return _json(index.calibration)

    @admin.display(description=_("evaluation"))
    def evaluation_text(self, index: Any) -> Any:
        return _json(index.evaluation)


def _json(value: Any) -> Any:
    if value is None:
        return pages.NOTHING
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))
