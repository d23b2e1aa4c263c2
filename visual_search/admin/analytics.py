"""The page on what customers looked for and clicked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import floatformat
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from visual_search import conf
from visual_search.admin import charts, pages, products
from visual_search.insight import analytics
from visual_search.models import SearchEvent, SearchIndex

RANGES = (7, 30, 90)
DEFAULT_RANGE = 30


@require_GET
@pages.permitted(pages.ANALYTICS)
def page(request: HttpRequest, *, site: admin.AdminSite) -> HttpResponse:
    """Show the searches of the last `?days=` days (7, 30 or 90)."""
    asked = request.GET.get("days", "")
    days = next((each for each in RANGES if str(each) == asked), DEFAULT_RANGE)
    summary = analytics.summary(days)
    context: dict[str, Any] = {
        "title": _("Visual search analytics"),
        "opts": SearchIndex._meta,
        "days": days,
        "ranges": RANGES,
        "summary": summary,
        "recording": conf.settings.RECORD_EVENTS,
        "retention": conf.settings.EVENT_RETENTION_DAYS,
    }
    if summary.searches:
        by_day = analytics.searches_by_day(days)
        context |= {
            "tiles": _tiles(summary),
            "by_day": by_day,
            "chart": _chart(by_day),
            "latency": [(SearchEvent.Kind(row.kind).label, row) for row in analytics.latency(days)],
            "positions": _positions(analytics.click_through(days)),
            "top": _top(request, days, site=site),
        }
    return pages.render(request, "analytics.html", site=site, context=context)


def _tiles(summary: analytics.Summary) -> list[tuple[str, str, str]]:
    """Return name, figure and explanation of each tile."""
    empty = ngettext("%(count)s search found nothing", "%(count)s searches found nothing", summary.empty)
    clicked = ngettext("%(count)s search led to a click", "%(count)s searches led to a click", summary.clicked)
    return [
        (_("Searches"), number_format(summary.searches), _("answered")),
        (_("Empty answers"), percent(summary.empty_share), empty % {"count": number_format(summary.empty)}),
        (_("Click-through"), percent(summary.click_through), clicked % {"count": number_format(summary.clicked)}),
        (_("Latency, p95"), milliseconds(summary.p95), _("median %(p50)s") % {"p50": milliseconds(summary.p50)}),
    ]


def _chart(by_day: list[analytics.Day]) -> charts.Chart:
    said = _("%(day)s: %(similar)s similar products, %(photo)s photo, %(text)s words, %(empty)s empty")
    return charts.stacked(
        [date_format(each.day, "MONTH_DAY_FORMAT") for each in by_day],
        {kind: [getattr(each, kind) for each in by_day] for kind in ("similar", "photo", "text")},
        titles=[
            said
            % {
                "day": date_format(each.day, "MONTH_DAY_FORMAT"),
                "similar": number_format(each.similar),
                "photo": number_format(each.photo),
                "text": number_format(each.text),
                "empty": number_format(each.empty),
            }
            for each in by_day
        ],
    )


def _positions(rows: list[analytics.Position]) -> list[tuple[analytics.Position, str, str]]:
    """Return each position, its rate in words, and the length of its bar where the best one is 100 long."""
    best = max((row.rate for row in rows), default=0) or 1
    return [(row, percent(row.rate), f"{100 * row.rate / best:.2f}") for row in rows]


def _top(request: HttpRequest, days: int, *, site: admin.AdminSite) -> list[dict[str, Any]]:
    rows = analytics.top_products(days)
    shown = products.shown(request, [row.product for row in rows], site=site)
    return [
        {
            "picture": shown[row.product].picture(style="thumbnail", size=40),
            "link": shown[row.product].link,
            "shown": row.shown,
            "clicked": row.clicked,
        }
        for row in rows
    ]


def percent(share: float) -> str:
    """Return a share of 0 to 1 in per cent, with one decimal."""
    return _("%(number)s %%") % {"number": floatformat(100 * share, 1)}


def milliseconds(value: float | None) -> str:
    """Return a time in ms, or a dash where there is none."""
    return pages.NOTHING if value is None else _("%(number)s ms") % {"number": floatformat(value, 0)}
