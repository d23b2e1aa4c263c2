from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from tests import factories, processes, sessions
from tests.faults import harness, invariants, saving
from visual_search.indexing.generations import builder, gate, hnsw, lifecycle
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct
from visual_search.retrieval import answers
from visual_search.retrieval.query import Query

OTHER = "tests.faults.encoders.Other"
SLOW = {"name": "tests.faults.encoders.Slow", "seconds": 0.01}


def similar(product: Any) -> list[tuple[Any, float]]:
    """Return what the API says is similar to `product`, and how much so."""
    response = Client().get(f"/api/visual-search/v1/products/{product.pk}/similar/")
    assert response.status_code == 200, response.content
    return [(found["id"], round(found["similarity"], 3)) for found in response.json()["results"]]


def load(products: list[Any], found: list[tuple[Any, Any]], until: threading.Event) -> list[threading.Thread]:
    """Query from two threads until told to stop; what they got, or what they died of, is in `found`."""

    def ask() -> None:
        try:
            while not until.is_set():
                for product in products:
                    found.append((product.pk, similar(product)))
        except Exception as error:
            found.append((None, error))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def _no_throttle(settings: Any) -> None:
    settings.VISUAL_SEARCH = {
        **settings.VISUAL_SEARCH,
        "API_RATES": {"visual_search": None, "visual_search_upload": None},
    }


@pytest.mark.usefixtures("_no_throttle")
def test_f19__activations_and_rollbacks_under_query_load() -> None:
    products = harness.products(24)
    first = factories.embed()
    assert first is not None
    second = lifecycle.create([OTHER])
    factories.embed()
    right: dict[Any, list[Any]] = {product.pk: [similar(product)] for product in products}
    lifecycle.activate(second, force=True)
    for product in products:
        right[product.pk].append(similar(product))
    assert any(one != two for one, two in right.values()), "the two indexes can be told apart"

    found: list[tuple[Any, Any]] = []
    until = threading.Event()
    threads = load(products, found, until)
    took = []
    for switch in range(harness.often(10, 40)):
        time.sleep(0.05)
        started = time.monotonic()
        lifecycle.rollback() if switch % 2 == 0 else lifecycle.activate(second, force=True)
        took.append(time.monotonic() - started)
    until.set()
    for thread in threads:
        thread.join()

    assert [error for key, error in found if key is None] == []
    mixed = [key for key, answer in found if answer not in right[key]]
    assert mixed == []
    seen = {right[key].index(answer) for key, answer in found if right[key][0] != right[key][1]}
    assert seen == {0, 1}, "both indexes answered"
    print(f"{len(took)} switches, the slowest {max(took) * 1000:.0f} ms; {len(found)} answers")


def test_f20__vectors_of_another_model_with_as_many_dimensions() -> None:
    products = harness.products(12)
    first = factories.embed()
    assert first is not None
    second = lifecycle.create([OTHER])
    factories.embed()
    second.refresh_from_db()
    assert first.dimensions == second.dimensions
    before = [similar(product) for product in products]

    # Vectors of the other index that are nearer than anything.
    own = dict(ProductEmbedding.objects.defer(None).filter(index=first).values_list("product_id", "embedding"))
    for product, other in zip(products, products[1:] + products[:1], strict=True):
        ProductEmbedding.objects.filter(index=second, product=other).update(embedding=own[product.pk])

    assert [similar(product) for product in products] == before


def test_f24__build_of_the_hnsw_index_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    harness.products(20)
    index = factories.embed()
    assert index is not None
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {hnsw.name(index.pk)}")

    @contextmanager
    def writing() -> Iterator[None]:
        with transaction.atomic():
            ProductEmbedding.objects.filter(index=index).update(source_size=1)
            yield

    with sessions.within(writing()):
        assert not builder.build(index, time.monotonic() + 1)
        processes.wait_for(lambda: harness.waits_for_lock("CREATE INDEX CONCURRENTLY"))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
            )
        processes.wait_for(lambda: not builder._threads[index.pk].is_alive())
        with connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [hnsw.name(index.pk)])
            assert cursor.fetchone() == (False,)
        assert similar(factories.catalog.product_model()._default_manager.first()), "search goes on without it"

    assert builder.build(index, float("inf"))
    assert hnsw.valid(index.pk)
    harness.settle()


@pytest.mark.faults
def test_f25__recall_decays(settings: Any) -> None:
    colours = [f"#{number * 2_654_435_761 % 2**24:06x}" for number in range(1, 301)]
    shapes = ("circle", "square", "bar") * 100
    harness.products(300, [factories.picture(*one) for one in zip(colours, shapes, strict=True)])
    index = factories.embed()
    assert index is not None
    assert gate.evaluate(index).passed

    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "EF_SEARCH": 1}
    found = gate.evaluate(index)

    assert found.recall is not None
    assert found.recall < gate.LEAST_RECALL
    assert not found.passed
    assert any("HNSW finds" in reason for reason in found.reasons)


@pytest.mark.faults
def test_f28__a_save_overtakes_a_bulk_reindex(folder: Path) -> None:
    lifecycle.create([SLOW])
    harness.products(harness.often(250, 1_000))
    index = factories.embed()
    assert index is not None
    factories.refill(index, forced=True)
    bulk = QueuedProduct.objects.filter(index=index).count()
    with harness.worker(folder, encoder=SLOW):
        product = factories.product(pictures=[factories.picture("teal", "bar", size=77)])
        started = time.monotonic()
        processes.wait_for(lambda: product.pk in harness.ready(), seconds=20)
        took = time.monotonic() - started
        left = QueuedProduct.objects.filter(index=index).count()
    print(f"{bulk} products queued in bulk, {left} of them left when the save was searchable after {took:.1f} s")
    assert left > 0
    assert took < 8
    harness.settle()


def test_f28__mass_import_sends_one_nudge_a_transaction() -> None:
    from tests.faults import brokers

    with transaction.atomic():
        harness.products(50)
    assert brokers.flush("filesystem") == 1


@pytest.mark.faults
@pytest.mark.usefixtures("_no_throttle")
def test_f28__queries_during_a_bulk_reindex(folder: Path) -> None:
    products = harness.products(60)
    index = factories.embed()
    assert index is not None
    idle = _latencies(products)
    factories.refill(lifecycle.create([{**SLOW, "seconds": 0.05}]))
    with harness.worker(folder):
        processes.wait_for(lambda: ProductEmbedding.objects.exclude(index=index).exists(), seconds=60)
        busy = _latencies(products)
    print(f"p95 of a query: {idle:.0f} ms idle, {busy:.0f} ms during a reindex")
    assert busy < 1_000
    harness.settle()


def _latencies(products: list[Any]) -> float:
    took = []
    for product in products:
        started = time.monotonic()
        similar(product)
        took.append((time.monotonic() - started) * 1_000)
    return saving.quantile(took, 0.95)


def test_f32__product_without_a_vector() -> None:
    harness.products(5)
    factories.embed()
    product = factories.product()
    assert answers.answer(Query(product=product.pk)).state == "pending"

    response = Client().get(f"/api/visual-search/v1/products/{product.pk}/similar/")
    assert (response.status_code, response.json()["state"], response.json()["results"]) == (200, "pending", [])
    assert Client().get(f"/products/{product.pk}/").status_code == 200

    ProductChange.objects.all().delete()  # as if the row that says so were lost, too
    assert Client().get(f"/api/visual-search/v1/products/{product.pk}/similar/").status_code == 200


def test_f33__cache_is_down(settings: Any) -> None:
    product = harness.products(5)[0]
    factories.embed()
    right = similar(product)
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }

    assert similar(product) == right
    invariants.check()
