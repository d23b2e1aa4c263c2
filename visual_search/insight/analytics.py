"""What the recorded searches say: counts by day, latency, clicks. Each answer is one SQL aggregate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet
from django.db.models.functions import Cast, TruncDate
from django.utils import timezone

from visual_search import conf
from visual_search.models import ResultEvent, SearchEvent


class Percentile(Aggregate):
    """Return the value that `fraction` of the values stay below, interpolated (Postgres's PERCENTILE_CONT)."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: Any, fraction: float, **extra: Any) -> None:
        super().__init__(expression, fraction=float(fraction), output_field=FloatField(), **extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Searches of one calendar day (of the current time zone): by kind, and how many of all found nothing."""

    day: dt.date
    similar: int
    photo: int
    text: int
    empty: int

    @property
    def searches(self) -> int:
        """Return the day's searches of any kind."""
        return self.similar + self.photo + self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long searches of one kind ("similar", "photo" or "text") took, in ms: the median and the 95th percentile."""

    kind: str
    p50: float
    p95: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How often a product was shown at a position (1 is the first) and clicked there; `rate` is 0 to 1."""

    position: int
    shown: int
    clicked: int
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TopProduct:
    """A product (its key) that searches led to: how often it was shown and clicked."""

    product: Any
    shown: int
    clicked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All searches of some days in a few figures.

    `empty_share` is the share of searches that found nothing, `click_through` the share of those that showed something
    that got a click, both 0 to 1; latencies are in ms, None before the first search.
    """

    searches: int
    empty: int
    clicked: int
    empty_share: float
    click_through: float
    p50: float | None
    p95: float | None


def summary(days: int) -> Summary:
    """Return the figures of the last `days` calendar days, today included."""
    total = _searches(days).aggregate(
        searches=Count("pk"),
        empty=Count("pk", filter=Q(results=0)),
        p50=Percentile("milliseconds", 0.5),
        p95=Percentile("milliseconds", 0.95),
    )
    clicked = _shown(days).filter(clicked_at__isnull=False).aggregate(n=Count("search", distinct=True))["n"]
    return Summary(
        clicked=clicked,
        empty_share=_share(total["empty"], total["searches"]),
        click_through=_share(clicked, total["searches"] - total["empty"]),
        **total,
    )


def searches_by_day(days: int) -> list[Day]:
    """Return each of the last `days` calendar days, the oldest first; a day without a search is there with zeros."""
    counted = (
        _searches(days)
        .annotate(day=TruncDate("created_at"))
        .values("day")
        .order_by("day")
        .annotate(
            similar=Count("pk", filter=Q(kind=SearchEvent.Kind.SIMILAR)),
            photo=Count("pk", filter=Q(kind=SearchEvent.Kind.PHOTO)),
            text=Count("pk", filter=Q(kind=SearchEvent.Kind.TEXT)),
            empty=Count("pk", filter=Q(results=0)),
        )
    )
    found = {row["day"]: Day(**row) for row in counted}
    return [found.get(day, Day(day=day, similar=0, photo=0, text=0, empty=0)) for day in _calendar(days)]


def latency(days: int) -> list[Latency]:
    """Return the latency by kind, in the order of `SearchEvent.Kind`; a kind that nobody used is left out."""
    rows = (
        _searches(days)
        .values("kind")
        .order_by("kind")
        .annotate(p50=Percentile("milliseconds", 0.5), p95=Percentile("milliseconds", 0.95), count=Count("pk"))
    )
    order = SearchEvent.Kind.values
    return sorted((Latency(**row) for row in rows), key=lambda row: order.index(row.kind))


def click_through(days: int, positions: int = 12) -> list[Position]:
    """Return how often each of the first `positions` was shown and clicked; one that was never shown is left out."""
    rows = (
        _shown(days)
        .filter(position__lte=positions)
        .values("position")
        .order_by("position")
        .annotate(shown=Count("pk"), clicked=Count("clicked_at"))
        .annotate(rate=Cast(F("clicked"), FloatField()) / Cast(F("shown"), FloatField()))
    )
    return [Position(**row) for row in rows]


def top_products(days: int, limit: int = 10) -> list[TopProduct]:
    """Return up to `limit` products that were clicked most, the most clicked first."""
    rows = (
        _shown(days)
        .values("product_id")
        .annotate(shown=Count("pk"), clicked=Count("clicked_at"))
        .filter(clicked__gt=0)
        .order_by("-clicked", "shown", "product_id")[:limit]
    )
    return [TopProduct(product=row["product_id"], shown=row["shown"], clicked=row["clicked"]) for row in rows]


def _searches(days: int) -> QuerySet[SearchEvent]:
    return SearchEvent.objects.using(conf.settings.DATABASE).filter(created_at__gte=_since(days))


def _shown(days: int) -> QuerySet[ResultEvent]:
    return ResultEvent.objects.using(conf.settings.DATABASE).filter(search__created_at__gte=_since(days))


def _since(days: int) -> dt.datetime:
    midnight = dt.datetime.combine(next(_calendar(days)), dt.time.min)
    return timezone.make_aware(midnight) if settings.USE_TZ else midnight


def _calendar(days: int) -> Iterator[dt.date]:
    today = timezone.localdate() if settings.USE_TZ else dt.date.today()
    return (today - dt.timedelta(days=back) for back in range(days - 1, -1, -1))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
