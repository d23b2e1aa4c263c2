from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

import visual_search
from tests import factories, sessions
from visual_search import catalog, models
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import changes, queue

pytestmark = pytest.mark.django_db


def queued(**where: Any) -> list[tuple[Any, int]]:
    return sorted(models.QueuedProduct.objects.filter(**where).values_list("product_id", "priority"))


def test_fold__one_row_per_index_and_product_however_often_it_was_saved() -> None:
    index = lifecycle.create(["tiny"])
    product = factories.product()
    product.save()
    product.save()

    changes.fold()

    assert queued(index=index) == [(product.pk, 0)]
    assert not models.ProductChange.objects.exists()


def test_fold__reaches_every_index_that_may_serve_again() -> None:
    indexes = {state: lifecycle.create(["tiny"]) for state in models.SearchIndex.State}
    for state, index in indexes.items():
        models.SearchIndex.objects.filter(pk=index.pk).update(state=state)
    factories.product()

    changes.fold()

    assert {row.index.state for row in models.QueuedProduct.objects.select_related("index")} == {
        "building", "ready", "live", "previous",
    }  # fmt: skip


def test_fold__a_save_overtakes_a_bulk_reindex_and_ends_a_lease() -> None:
    factories.product()
    index = factories.embed()
    product = catalog.product_model()._default_manager.get()
    factories.refill(index)
    (claim,) = queue.claim(1)
    assert queued() == [(product.pk, 10)]

    product.save()
    changes.fold()

    row = models.QueuedProduct.objects.get()
    assert (row.priority, row.attempts, row.lease_token) == (0, 0, None)
    assert row.generation > claim.generation
    assert queue.held([claim]) == []


def test_fold__forgets_changes_of_products_that_are_gone() -> None:
    lifecycle.create(["tiny"])
    product = factories.product()
    product.delete()

    changes.fold()

    assert not models.ProductChange.objects.exists()
    assert queued() == []


def test_refresh__queues_what_sent_no_signal() -> None:
    products = [factories.product() for _ in range(3)]
    factories.embed()
    chosen = catalog.product_model()._default_manager.filter(pk__in=[product.pk for product in products[:2]])
    chosen.update(price=3)

    assert visual_search.refresh(chosen) == 2
    changes.fold()

    assert queued() == sorted((product.pk, 0) for product in products[:2])


class ReadsFromAReplica:
    """A router that sends what is read to another server than the one that takes writes."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"


def test_refresh__where_reads_go_to_a_replica(settings: Any) -> None:
    product = factories.product()
    changes.fold()
    models.ProductChange.objects.all().delete()
    settings.DATABASE_ROUTERS = [ReadsFromAReplica()]
    chosen = catalog.product_model()._default_manager.filter(pk=product.pk)
    assert chosen.db == "replica"

    assert visual_search.refresh(chosen) == 1

    settings.DATABASE_ROUTERS = []
    assert list(models.ProductChange.objects.values_list("product_id", flat=True)) == [product.pk]


@pytest.mark.django_db(transaction=True)
def test_fold__leaves_what_the_shop_has_locked_for_later() -> None:
    lifecycle.create(["tiny"])
    locked, free = factories.product(), factories.product()

    @contextmanager
    def locking() -> Iterator[None]:
        with transaction.atomic():
            catalog.product_model()._default_manager.select_for_update().get(pk=locked.pk)
            yield

    with sessions.within(locking()):
        changes.fold()
        assert queued() == [(free.pk, 0)]
    changes.fold()
    assert queued() == sorted([(free.pk, 0), (locked.pk, 0)])


@pytest.mark.django_db(transaction=True)
def test_signals__two_transactions_in_opposite_order_do_not_deadlock() -> None:
    first, second = factories.product(), factories.product()
    barrier, failures = threading.Barrier(2), []

    def save(order: tuple[Any, Any]) -> None:
        try:
            with transaction.atomic():
                changes.record([order[0].pk])
                barrier.wait(10)
                changes.record([order[1].pk])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=(order,)) for order in ((first, second), (second, first))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    # Two more for each product from its own saves (and its picture's).
    assert models.ProductChange.objects.filter(product=first).count() >= 2
