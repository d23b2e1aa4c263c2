from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories
from visual_search.admin import charts
from visual_search.models import ResultEvent, SearchEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(db: None) -> str:
    return reverse("admin:visual_search_analytics")


@pytest.fixture
def client(staff: Callable[..., Client]) -> Client:
    return staff("view_analytics")


def search(kind: str = "similar", *, shown: Any = (), clicked: Any = None, days_ago: int = 0, ms: float = 10) -> None:
    when = timezone.now() - timedelta(days=days_ago)
    event = SearchEvent.objects.create(kind=kind, results=len(shown), milliseconds=ms, created_at=when)
    for position, product in enumerate(shown, start=1):
        clicked_at = when if product == clicked else None
        ResultEvent.objects.create(search=event, product=product, position=position, clicked_at=clicked_at)


def test_page__before_the_first_search(address: str, client: Client) -> None:
    html = client.get(address).content.decode()

    assert "No searches yet" in html
    assert "No photo and nothing of it is recorded" in html
    assert "<svg viewBox" not in html.replace('<svg viewBox="0 0 24 24"', "")


def test_page__says_what_was_searched_and_clicked(address: str, client: Client) -> None:
    red, blue = factories.product(name="Red mug"), factories.product(name="Blue mug")
    search(shown=[red, blue], clicked=blue, ms=10)
    search(shown=[blue, red], clicked=blue, ms=30, days_ago=1)
    search("photo", shown=[red], ms=200)
    search("photo", ms=200)
    search(shown=[red], clicked=red, days_ago=40)

    response = client.get(address, {"days": "7"})

    assert response.context["tiles"] == [
        ("Searches", "4", "answered"),
        ("Empty answers", "25.0 %", "1 search found nothing"),
        ("Click-through", "66.7 %", "2 searches led to a click"),
        ("Latency, p95", "200 ms", "median 115 ms"),
    ]
    chart = response.context["chart"]
    assert [len(bar.segments) for bar in chart.bars] == [0, 0, 0, 0, 0, 1, 2]
    assert chart.bars[-1].segments == (
        charts.Segment(series="similar", y="75.00", height="25.00"),
        charts.Segment(series="photo", y="25.00", height="50.00"),
    )
    assert [(label, row.p50, row.p95, row.count) for label, row in response.context["latency"]] == [
        ("similar products", 20.0, 29.0, 2),
        ("photo", 200.0, 200.0, 2),
    ]
    assert [(row.position, row.shown, row.clicked, rate, bar) for row, rate, bar in response.context["positions"]] == [
        (1, 3, 1, "33.3 %", "66.67"),
        (2, 2, 1, "50.0 %", "100.00"),
    ]
    html = response.content.decode()
    assert [(str(row["link"]), row["shown"], row["clicked"]) for row in response.context["top"]] == [
        ("Blue mug", 2, 2),
    ]
    assert f'src="{blue.images.get().image.url}"' in html
    assert "1 similar products, 2 photo, 0 words, 1 empty</title>" in html


@pytest.mark.parametrize(
    ("asked", "days"), [("7", 7), ("30", 30), ("90", 90), ("", 30), ("8", 30), ("x", 30), ("-1", 30), ("07", 30)]
)
def test_page__offers_three_ranges(address: str, client: Client, asked: str, days: int) -> None:
    response = client.get(address, {"days": asked})

    assert response.context["days"] == days
    assert f'<a href="?days={days}" aria-current="page">' in response.content.decode()


def test_page__takes_a_fixed_number_of_queries(address: str, client: Client, django_assert_num_queries: Any) -> None:
    products = [factories.product() for _ in range(3)]
    search(shown=products, clicked=products[0])
    client.get(address)

    # Session, user, two of permissions; summary twice, days, latency, positions, top; its products, and pictures.
    with django_assert_num_queries(12):
        client.get(address)
    for product in products * 2:
        search("photo", shown=products, clicked=product)
    with django_assert_num_queries(12):
        client.get(address)


def test_page__says_that_nothing_is_recorded(address: str, client: Client, settings: Any) -> None:
    assert "Nothing is being recorded" not in client.get(address).content.decode()

    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "RECORD_EVENTS": False}

    assert "Nothing is being recorded" in client.get(address).content.decode()


def test_page__draws_with_points_in_any_language(address: str, client: Client) -> None:
    red, blue = factories.product(), factories.product()
    for product in (red, red, blue):
        search(shown=[red, blue], clicked=product)

    html = client.get(address, headers={"accept-language": "de"}).content.decode()

    assert '<rect class="vs-series-similar" width="50.00" height="1">' in html
    assert 'y="25.00"' in html


def test_page__has_no_inline_code(address: str, client: Client) -> None:
    search(shown=[factories.product()])
    html = client.get(address).content.decode()

    assert " style=" not in html
    assert "<style" not in html
    assert html.count("<script") == html.count("<script src=")


def test_page__is_refused(address: str, staff: Callable[..., Client]) -> None:
    assert Client().get(address).url.startswith("/admin/login/")
    assert staff("reindex", "activate_index", "view_searchindex").get(address).status_code == 403
    assert staff("view_analytics", "reindex").post(address).status_code == 405
