from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from visual_search import models
from visual_search.insight import analytics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    # Days are counted in the shop's time zone; a test that runs at midnight must not see two of them.
    now = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)


def searched(
    *,
    kind: str = "similar",
    hours: float = 1,
    shown: Sequence[Any] = (),
    clicked: Sequence[Any] = (),
    milliseconds: float = 5,
) -> None:
    search = models.SearchEvent.objects.create(
        kind=kind,
        results=len(shown),
        milliseconds=milliseconds,
        created_at=timezone.now() - dt.timedelta(hours=hours),
    )
    for position, product in enumerate(shown, start=1):
        models.ResultEvent.objects.create(
            search=search,
            product=product,
            position=position,
            clicked_at=timezone.now() if product in clicked else None,
        )


@pytest.fixture
def history() -> list[Any]:
    """Record four searches of today, two of yesterday, and one that is too old; return the products."""
    a, b, c = products = [factories.product(pictures=[]) for _ in range(3)]
    searched(shown=[a, b, c], clicked=[a, c], milliseconds=10)
    searched(shown=[b, a], clicked=[b], milliseconds=20)
    searched(shown=[c], milliseconds=30)
    searched(kind="photo", milliseconds=100)
    searched(kind="photo", hours=24, shown=[b, c], clicked=[b], milliseconds=200)
    searched(kind="similar", hours=24, milliseconds=40)
    searched(hours=24 * 3, shown=[a], clicked=[a], milliseconds=9999)
    return products


def test_searches_by_day__counts_kinds_and_empty_answers(history: list[Any]) -> None:
    assert analytics.searches_by_day(3) == [
        analytics.Day(day=dt.date(2026, 3, 8), similar=0, photo=0, text=0, empty=0),
        analytics.Day(day=dt.date(2026, 3, 9), similar=1, photo=1, text=0, empty=1),
        analytics.Day(day=dt.date(2026, 3, 10), similar=3, photo=1, text=0, empty=1),
    ]
    assert [day.searches for day in analytics.searches_by_day(4)] == [1, 0, 2, 4]


def test_searches_by_day__begin_at_the_shops_midnight(settings: Any) -> None:
    searched(hours=12.5)  # 23:30 of yesterday in UTC, half past midnight in Berlin

    assert [day.searches for day in analytics.searches_by_day(1)] == [0]
    with timezone.override("Europe/Berlin"):
        assert [day.searches for day in analytics.searches_by_day(1)] == [1]


def test_latency__is_by_kind(history: list[Any]) -> None:
    assert analytics.latency(3) == [
        analytics.Latency(kind="similar", p50=25.0, p95=pytest.approx(38.5), count=4),
        analytics.Latency(kind="photo", p50=150.0, p95=pytest.approx(195.0), count=2),
    ]


def test_click_through__is_by_position(history: list[Any]) -> None:
    assert analytics.click_through(3) == [
        analytics.Position(position=1, shown=4, clicked=3, rate=0.75),
        analytics.Position(position=2, shown=3, clicked=0, rate=0.0),
        analytics.Position(position=3, shown=1, clicked=1, rate=1.0),
    ]
    assert [row.position for row in analytics.click_through(3, positions=2)] == [1, 2]


def test_summary__is_of_all_kinds(history: list[Any]) -> None:
    assert analytics.summary(3) == analytics.Summary(
        searches=6,
        empty=2,
        clicked=3,
        empty_share=pytest.approx(1 / 3),
        click_through=0.75,
        p50=35.0,
        p95=pytest.approx(175.0),
    )


def test_top_products__are_the_most_clicked(history: list[Any]) -> None:
    a, b, c = (product.pk for product in history)

    assert analytics.top_products(3) == [
        analytics.TopProduct(product=b, shown=3, clicked=2),
        analytics.TopProduct(product=a, shown=2, clicked=1),
        analytics.TopProduct(product=c, shown=3, clicked=1),
    ]
    assert [row.product for row in analytics.top_products(3, limit=1)] == [b]


def test_analytics__of_a_shop_that_nobody_searched() -> None:
    assert analytics.summary(7) == analytics.Summary(
        searches=0, empty=0, clicked=0, empty_share=0.0, click_through=0.0, p50=None, p95=None
    )
    assert [day.searches for day in analytics.searches_by_day(7)] == [0] * 7
    assert analytics.latency(7) == analytics.click_through(7) == analytics.top_products(7) == []


def test_analytics__take_one_query_each(history: list[Any], django_assert_num_queries: Any) -> None:
    asked = (analytics.searches_by_day, analytics.latency, analytics.click_through, analytics.top_products)
    for ask in asked:
        with django_assert_num_queries(1):
            ask(30)
    with django_assert_num_queries(2):
        analytics.summary(30)


def test_analytics__without_time_zones(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settings.USE_TZ = False
    models.SearchEvent.objects.create(kind="photo", results=0, milliseconds=1)

    assert analytics.summary(2).searches == 1
    assert sum(day.photo for day in analytics.searches_by_day(2)) == 1
