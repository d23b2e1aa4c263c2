"""The page that queues every product, and shows how far the worker is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.defaultfilters import floatformat
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.timesince import timesince
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from visual_search import conf
from visual_search.admin import pages, workers
from visual_search.indexing.generations import activity, lifecycle, progress
from visual_search.models import SearchIndex


@require_http_methods(["GET", "HEAD", "POST"])
@pages.permitted(pages.REINDEX)
def page(request: HttpRequest, *, site: admin.AdminSite) -> HttpResponse:
    """Show the progress of every kept index; queue the whole catalogue for each of them on POST."""
    if request.method == "POST":
        _queue(request, encode_again=request.POST.get("encode_again") == "on")
        return HttpResponseRedirect(reverse("admin:visual_search_reindex", current_app=site.name))
    context = {
        "title": _("Reindex"),
        "opts": SearchIndex._meta,
        "report": report(),
        "commands": workers.commands(),
        "absent": workers.WORDS[activity.Activity.ABSENT],
    }
    return pages.render(request, "reindex.html", site=site, context=context)


@require_GET
@never_cache
@pages.permitted(pages.REINDEX)
def progress_view(request: HttpRequest) -> JsonResponse:
    """Return what `report` says as JSON."""
    return JsonResponse(report())


def report() -> dict[str, Any]:
    """Return how far every kept index is, in numbers for a machine and in words for a person.

    `finished` says that nothing will change by itself: the page stops asking.
    """
    kept = list(SearchIndex.objects.using(conf.settings.DATABASE).kept())
    stands = [(index, progress.of(index)) for index in kept]
    doing = activity.activity(rate=max((stand.rate for _index, stand in stands), default=0))
    return {
        "finished": bool(kept) and doing == activity.Activity.IDLE,
        "worker": str(doing),
        "said": str(workers.WORDS[doing])
        if kept
        else _("There is no index yet. The first one is created with the queue."),
        "indexes": [_line(index, stand) for index, stand in stands],
    }


def _line(index: SearchIndex, stand: progress.Progress) -> dict[str, Any]:
    return {
        "id": index.pk,
        "name": str(index),
        "state": index.state,
        "listed": stand.listed,
        "done": stand.done,
        "queued": stand.queued,
        "ready": stand.ready,
        "failed": stand.failed,
        "rate": round(stand.rate, 1),
        "last_error": stand.last_error,
        "words": {
            "state": str(index.get_state_display()),
            "done": _done(stand),
            "queued": number_format(stand.queued),
            "ready": number_format(stand.ready),
            "failed": number_format(stand.failed),
            "rate": _("%(rate)s pictures a second") % {"rate": floatformat(stand.rate, 1)}
            if stand.rate
            else pages.NOTHING,
            "left": _left(index, stand),
        },
    }


def _done(stand: progress.Progress) -> str:
    said = ngettext("%(done)s of %(listed)s product", "%(done)s of %(listed)s products", stand.listed)
    return said % {"done": number_format(stand.done), "listed": number_format(stand.listed)}


def _left(index: SearchIndex, stand: progress.Progress) -> str:
    seconds = stand.seconds_left
    if not stand.queued:
        return _("being completed") if index.state == SearchIndex.State.BUILDING else _("done")
    if seconds is None:
        return _("not known yet")
    if seconds < 60:
        return _("less than a minute")
    here = now()
    return timesince(here, here + timedelta(seconds=seconds), depth=2)


def _queue(request: HttpRequest, *, encode_again: bool) -> None:
    if not lifecycle.ensure_first():
        messages.error(request, _("Every index is retired, so none wants products. Create one first."))
        return
    filled = lifecycle.fill_kept(forced=encode_again)
    message = _("Queued every product, unchanged pictures too.") if encode_again else _("Queued every product.")
    pages.log(request, filled, message=message)
    said = ngettext(
        "A worker queues every product, for %(count)d index.",
        "A worker queues every product, for %(count)d indexes.",
        len(filled),
    )
    messages.success(request, said % {"count": len(filled)})
