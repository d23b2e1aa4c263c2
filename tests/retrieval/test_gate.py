"""What the catalog hides stays hidden, whatever its queryset compares products by and whatever narrows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F, Value, Window
from django.db.models.functions import RowNumber
from django.db.models.lookups import GreaterThan
from django.test.utils import CaptureQueriesContext

from tests import factories
from visual_search import catalog, models
from visual_search.indexing import reconciler
from visual_search.indexing.generations import gate, progress
from visual_search.management import compressing
from visual_search.retrieval import answers, live
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query

pytestmark = pytest.mark.django_db

SECOND = dt.timedelta(seconds=1)

OF_THE_EXAMPLE_SHOP = catalog.product_model()._meta.label == "catalogue.Product"


class Chosen(type(catalog.current())):  # type: ignore[misc]
    """Shows what `choose` leaves of the shop's products."""

    choose: Any = staticmethod(lambda products: products)

    def products(self, request: Any = None) -> Any:
        return type(self).choose(super().products(request).order_by())


def cheapest_by_window(products: Any) -> Any:
    """Show the cheapest product of each stock."""
    place = Window(RowNumber(), partition_by="stock", order_by="price")
    return products.annotate(place=place).filter(place=1)


def cheapest_by_distinct(products: Any) -> Any:
    return products.order_by("stock", "price").distinct("stock")


def but_the_dearest(products: Any) -> Any:
    return products.annotate(place=Window(RowNumber(), order_by="-price")).filter(place__gte=2)


@pytest.fixture
def showing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Return a function that has the catalog choose its products so."""

    def show(choose: Any) -> None:
        settings.VISUAL_SEARCH = factories.settings_with(CATALOG="tests.retrieval.test_gate.Chosen")
        monkeypatch.setattr(Chosen, "choose", staticmethod(choose))

    return show


@pytest.fixture
def shelf() -> dict[str, Any]:
    """Two products of each of two stocks; the shop shows the cheaper ones."""
    found = {
        name: factories.product(name=name, stock=stock, price=price)
        for name, stock, price in (("one", 1, 10), ("one, dear", 1, 20), ("two", 2, 30), ("two, dear", 2, 40))
    }
    factories.embed()
    return found


def names(query: Query) -> list[str]:
    return sorted(product.name for product in answers.answer(query).products)


@pytest.mark.parametrize("choose", [cheapest_by_window, cheapest_by_distinct])
def test_filters__show_nothing_that_the_catalog_hides(shelf: dict[str, Any], showing: Any, choose: Any) -> None:
    showing(choose)

    assert names(Query(product=shelf["two"])) == ["one"]
    assert names(Query(product=shelf["two"], filters={"price__gte": 15})) == []
    assert names(Query(product=shelf["one"], filters={"price__gte": 15})) == ["two"]


@pytest.mark.skipif(not OF_THE_EXAMPLE_SHOP, reason="the other shop has no relation to count over")
def test_filters__that_join_count_nothing_twice(showing: Any) -> None:
    asked, bare, rich = (
        factories.product(name=name, pictures=[factories.picture()] * pictures)
        for name, pictures in (("asked", 2), ("bare", 1), ("rich", 2))
    )
    for product in (bare, rich):
        for number in range(2):
            product.variants.create(sku=f"{product.name} {number}", colour="red")
    factories.embed()

    showing(lambda products: products.annotate(shots=Count("images")).filter(shots__gte=2))
    assert names(Query(product=asked, filters={"variants__colour": "red"})) == ["rich"]
    showing(lambda products: products.annotate(shots=Count("images")).filter(shots__lte=2))
    assert names(Query(product=asked, filters={"variants__colour": "red"})) == ["bare", "rich"]
    assert names(Query(product=asked, filters={"variants__colour": "red", "shots": 1})) == ["bare"]


def test_products__are_compared_with_all_others_and_not_with_the_page(shelf: dict[str, Any], showing: Any) -> None:
    showing(but_the_dearest)
    query = Query(product=shelf["two, dear"], filters={"price__lte": 20})

    found = answers.answer(Query(product=shelf["two, dear"])).products
    assert {product.name: product.place for product in found} == {"two": 2, "one, dear": 3, "one": 4}
    # The dearest of these two is not that of all.
    assert {product.name: product.place for product in answers.answer(query).products} == {"one, dear": 3, "one": 4}


def test_queryset__that_compares_keeps_what_it_says(shelf: dict[str, Any]) -> None:
    manager = catalog.product_model()._default_manager
    query = Query(product=shelf["one"], queryset=but_the_dearest(manager.order_by()))

    assert {product.name: product.place for product in answers.answer(query).products} == {"two": 2, "one, dear": 3}


def test_load__asks_again_for_the_filters(shelf: dict[str, Any], showing: Any) -> None:
    showing(cheapest_by_window)
    gate = gates.of(Query(product=shelf["one"], filters={"price__gte": 15, "place": 1}))
    keys = [product.pk for product in shelf.values()]

    assert list(gate.load(keys)[0]) == [shelf["two"].pk]
    catalog.product_model()._default_manager.filter(pk=shelf["two"].pk).update(price=12)
    assert gate.load(keys) == ({}, {})


def test_estimate__is_kept_where_only_the_seconds_have_changed(shelf: dict[str, Any]) -> None:
    minute = dt.datetime(2026, 11, 29, 12, 30, tzinfo=dt.UTC)

    def explained(since: dt.datetime) -> int:
        """Search at `since`; return how often Postgres was asked for an estimate."""
        newer = catalog.product_model()._default_manager.alias(since=Value(since)).filter(since__gt=since - 60 * SECOND)
        with CaptureQueriesContext(connection) as queries:
            assert len(answers.answer(Query(product=shelf["one"], queryset=newer)).products) == 3
        return sum("EXPLAIN" in query["sql"] for query in queries)

    gates._estimates.clear()
    live.keep(None)
    assert [explained(minute + seconds * SECOND) for seconds in (1, 1.25, 59.999, 61)] == [1, 0, 0, 1]
    # Whole statements would fill the memory.
    assert all(len(key) == 32 for _, key in gates._estimates)


@pytest.mark.parametrize(
    ("choose", "narrows"),
    [
        (lambda products: products, True),
        (lambda products: products.filter(price__gt=1).annotate(double=F("price") * 2).distinct(), True),
        (lambda products: products.annotate(shots=Count("pk")), False),
        (lambda products: products.alias(place=Window(RowNumber())), False),
        (lambda products: products.filter(GreaterThan(Window(RowNumber()), 1)), False),
        (cheapest_by_window, False),
        (cheapest_by_distinct, False),
    ],
)
def test_narrows__where_nothing_is_compared_or_counted(choose: Any, narrows: bool) -> None:
    assert catalog.narrows(choose(catalog.product_model()._default_manager.all())) is narrows


@pytest.mark.parametrize("choose", [cheapest_by_window, cheapest_by_distinct, but_the_dearest])
def test_products__that_are_compared_are_embedded_reconciled_and_counted(
    shelf: dict[str, Any], showing: Any, choose: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    showing(choose)
    monkeypatch.setattr(reconciler, "PRODUCTS_AT_ONCE", 1)
    for product in shelf.values():
        product.save()
    factories.embed()
    index = models.SearchIndex.objects.live()

    found = reconciler.reconcile()

    shown = {"one", "two", "one, dear"} if choose is but_the_dearest else {"one", "two"}
    assert found is not None
    assert (found.checked, found.queued) == (len(shown), 0)
    assert (progress.of(index).listed, gate.missing(index)) == (len(shown), 0)
    assert gate.evaluate(index).coverage == 1
    assert len(compressing.Pictures()) == len(shown)
