from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import DateTimeField, Value
from django.db.models.functions import Cast
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from visual_search import models
from visual_search.insight import events
from visual_search.retrieval import answers

pytestmark = pytest.mark.django_db


def answer(*products: Any, kind: str = "photo", index: int | None = None) -> answers.Answer:
    return answers.Answer(kind=kind, state="ready", index=index, products=list(products), milliseconds=1.5)


def test_record__writes_the_search_and_what_it_showed() -> None:
    index = models.SearchIndex.objects.create(encoders=["tiny"])
    asked, first, second = (factories.product() for _ in range(3))

    search = events.record(answer(first, second, kind="similar", index=index.pk), product=asked.pk)

    assert list(
        models.SearchEvent.objects.values("id", "kind", "index_id", "product_id", "results", "milliseconds")
    ) == [
        {"id": search, "kind": "similar", "index_id": index.pk, "product_id": asked.pk, "results": 2,
         "milliseconds": 1.5}
    ]  # fmt: skip
    assert list(models.ResultEvent.objects.order_by("position").values_list("search_id", "product_id", "position")) == [
        (search, first.pk, 1),
        (search, second.pk, 2),
    ]


def test_record__takes_one_statement_in_a_savepoint() -> None:
    products = [factories.product(pictures=[]) for _ in range(30)]

    with CaptureQueriesContext(connection) as queries:
        events.record(answer(*products))

    assert [query["sql"].split()[0] for query in queries] == ["SAVEPOINT", "WITH", "RELEASE"]


def test_record__of_nothing_found() -> None:
    search = events.record(answer())

    assert models.SearchEvent.objects.get().pk == search
    assert models.SearchEvent.objects.get().results == 0


def test_record__is_switched_off(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "RECORD_EVENTS": False}

    assert events.record(answer()) is None
    assert models.SearchEvent.objects.count() == 0


def test_record__writes_nothing_of_a_request_for_headers() -> None:
    assert events.record(answer(), request=RequestFactory().head("/")) is None
    assert models.SearchEvent.objects.count() == 0


def test_click__is_switched_off(settings: Any) -> None:
    product = factories.product()
    search = events.record(answer(product))
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "RECORD_EVENTS": False}

    assert events.click(search, product.pk) is False
    assert models.ResultEvent.objects.get().clicked_at is None


@pytest.mark.parametrize(
    ("headers", "recorded"),
    [({}, 1), ({"Sec-GPC": "0", "DNT": "0"}, 1), ({"Sec-GPC": "1"}, 0), ({"DNT": "1"}, 0), ({"DNT": "unspecified"}, 1)],
)
def test_record__respects_the_browsers_wish(headers: dict[str, str], recorded: int) -> None:
    events.record(answer(), request=RequestFactory().get("/", headers=headers))

    assert models.SearchEvent.objects.count() == recorded


def test_record__failing_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    # Postgres holds no negative position, and no number of results above 32767.
    too_many = SimpleNamespace(kind="photo", index=None, products=[SimpleNamespace(pk=1)] * 2, milliseconds=1.0)

    assert events.record(too_many) is None  # type: ignore[arg-type]
    assert "could not be recorded" in caplog.text
    # The transaction around it goes on.
    assert models.SearchEvent.objects.count() == 0


def test_click__counts_once() -> None:
    product, other = factories.product(), factories.product()
    search = events.record(answer(product, other))
    clicks = []
    for _ in range(2):
        assert events.click(str(search), str(product.pk)) is True
        clicks.append(models.ResultEvent.objects.get(product=product).clicked_at)

    assert clicks[0] == clicks[1] is not None
    assert models.ResultEvent.objects.get(product=other).clicked_at is None


@pytest.mark.parametrize(
    ("search", "product"),
    [(uuid.uuid4(), 1), ("no uuid", 1), (None, None), ("", ""), ({}, []), (10**50, 10**50), ("a\0b", "a\0b")],
)
def test_click__of_what_was_never_shown(search: Any, product: Any) -> None:
    assert events.click(search, product) is False


def _aged(days: float) -> uuid.UUID:
    search = events.record(answer(factories.product(pictures=[])))
    assert search is not None
    models.SearchEvent.objects.filter(pk=search).update(created_at=timezone.now() - dt.timedelta(days=days))
    return search


def test_prune__deletes_what_is_older(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PRUNED_AT_ONCE", 2)
    old = [_aged(31) for _ in range(5)]
    young = [_aged(29), _aged(0)]

    assert events.prune(30) == len(old)

    assert set(models.SearchEvent.objects.values_list("pk", flat=True)) == set(young)
    assert set(models.ResultEvent.objects.values_list("search_id", flat=True)) == set(young)
    assert events.prune(30) == 0


def test_prune__goes_on_where_its_deadline_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PRUNED_AT_ONCE", 2)
    for _ in range(5):
        _aged(31)

    assert events.prune(30, deadline=0) == 2
    assert events.prune(30) == 3


def test_prune__keeps_what_the_setting_says(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "EVENT_RETENTION_DAYS": 7}
    _aged(8)
    _aged(6)

    assert events.prune() == 1


@pytest.mark.django_db(transaction=True)
def test_record__alone_is_one_statement_and_leaves_the_setting() -> None:
    product = factories.product(pictures=[])

    with CaptureQueriesContext(connection) as queries:
        assert events.record(answer(product))

    assert [query["sql"].split()[0] for query in queries] == ["WITH"]
    assert models.ResultEvent.objects.get().product_id == product.pk
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


def test_record__in_a_transaction_leaves_its_commit_durable() -> None:
    events.record(answer(factories.product(pictures=[])))

    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


@contextlib.contextmanager
def begun_by_hand() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            yield
        finally:
            cursor.execute("COMMIT")


@contextlib.contextmanager
def without_autocommit() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.commit()
        transaction.set_autocommit(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begin", [begun_by_hand, without_autocommit])
def test_record__in_a_transaction_that_django_did_not_begin(begin: Any) -> None:
    product = factories.product(pictures=[])
    failing: Any = SimpleNamespace(kind="photo", index=None, products=[SimpleNamespace(pk=1)] * 2, milliseconds=1.0)

    with begin():
        with CaptureQueriesContext(connection) as queries:
            recorded = events.record(answer(product))
            assert events.record(failing) is None
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == ("on",)

    assert "BEGIN" not in [query["sql"] for query in queries]
    assert models.SearchEvent.objects.get().pk == recorded


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begin", [contextlib.nullcontext, transaction.atomic, begun_by_hand, without_autocommit])
def test_click__leaves_the_transaction_usable(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    product = factories.product(pictures=[])
    search = events.record(answer(product))

    with begin():
        with monkeypatch.context() as patch:
            # What Postgres refuses, and nothing before.
            patch.setattr(events, "Now", lambda: Cast(Value("never"), DateTimeField()))
            assert not events.click(search, product.pk)
        assert events.click(search, product.pk)

    assert models.ResultEvent.objects.get().clicked_at is not None
