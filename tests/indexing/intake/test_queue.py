from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from tests import factories, sessions
from visual_search import catalog, models
from visual_search.indexing import worker
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import changes, queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> models.SearchIndex:
    index = lifecycle.create(["tiny"])
    models.SearchIndex.objects.filter(pk=index.pk).update(fitted_on=0)
    return index


def queued(count: int) -> list[Any]:
    products = [factories.product() for _ in range(count)]
    changes.fold()
    return [product.pk for product in products]


@pytest.mark.usefixtures("index")
def test_claim__counts_the_attempt_and_leases() -> None:
    keys = queued(2)

    claims = queue.claim(10)

    assert sorted(claim.product for claim in claims) == sorted(keys)
    assert {claim.attempts for claim in claims} == {1}
    assert queue.claim(10) == []
    assert models.QueuedProduct.objects.filter(lease_until__gt=Now(), attempts=1).count() == 2


def test_claim__nothing_of_an_index_that_is_not_fitted() -> None:
    lifecycle.create(["tiny"])
    queued(1)

    assert queue.claim(10) == []


@pytest.mark.usefixtures("index")
def test_claim__a_lease_that_ran_out_goes_to_somebody_else() -> None:
    queued(1)
    (first,) = queue.claim(1)
    models.QueuedProduct.objects.update(lease_until="2000-01-01T00:00Z")

    (second,) = queue.claim(1)

    assert second.attempts == 2
    assert queue.held([first]) == []
    with transaction.atomic():
        assert queue.won([first]) == set()
        assert queue.won([second]) == {second.product}


@pytest.mark.usefixtures("index")
def test_won__of_a_shop_that_names_the_schema_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = catalog.product_model()._meta
    queued(1)
    claims = queue.claim(1)
    monkeypatch.setattr(meta, "db_table", f'"public"."{meta.db_table}"')

    with transaction.atomic():
        assert queue.won(claims) == {claims[0].product}


@pytest.mark.usefixtures("index")
def test_release__backs_off_further_each_time() -> None:
    queued(1)
    (claim,) = queue.claim(1)
    queue.release([claim])

    row = models.QueuedProduct.objects.annotate(pause=F("not_before") - Now()).get()
    assert (row.lease_token, row.attempts) == (None, 1)
    assert 25 < row.pause.total_seconds() <= 30
    assert queue.claim(1) == []


@pytest.mark.usefixtures("index")
def test_release__through_no_fault_of_the_product() -> None:
    queued(1)
    queue.release(queue.claim(1), seconds=0, counted=False)

    assert models.QueuedProduct.objects.get().attempts == 0
    assert len(queue.claim(1)) == 1


@contextmanager
def shop_deletes(key: Any) -> Iterator[None]:
    """Hold the locks of a delete that the shop has not committed yet."""
    with transaction.atomic():
        catalog.product_model()._default_manager.get(pk=key).delete()
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("index")
def test_release__waits_for_no_product_that_the_shop_deletes() -> None:
    keys = sorted(queued(3))
    claims = queue.claim(10)

    with sessions.within(shop_deletes(keys[1])), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        queue.release(claims, seconds=0, counted=False)
        cursor.execute("RESET lock_timeout")

    left = models.QueuedProduct.objects.order_by("product_id").values_list("product_id", "attempts")
    assert list(left) == [(keys[0], 0), (keys[1], 1), (keys[2], 0)]
    assert models.QueuedProduct.objects.get(product=keys[1]).lease_token == claims[0].token, "its lease runs out"


@contextmanager
def renews(claims: Any) -> Iterator[None]:
    """Hold the rows of `claims` as the heartbeat does for the time of its statement."""
    with transaction.atomic():
        list(models.QueuedProduct.objects.select_for_update().filter(lease_token=claims[0].token))
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("index")
def test_release__of_what_is_being_renewed_comes_a_moment_later() -> None:
    queued(2)
    claims = queue.claim(10)

    with sessions.within(renews(claims)) as done:
        threading.Timer(0.1, done.set).start()
        queue.release(claims, seconds=0, counted=False)

    assert list(models.QueuedProduct.objects.values_list("attempts", "lease_token")) == [(0, None)] * 2


def test_worker__gives_a_product_up_that_keeps_killing_it() -> None:
    factories.product()
    factories.embed()
    poison = factories.product()
    changes.fold()
    for _ in range(queue.MOST_ATTEMPTS):
        assert len(queue.claim(5)) == 1  # and then the process dies
        models.QueuedProduct.objects.update(lease_until="2000-01-01T00:00Z")

    worker.step()

    row = models.ProductEmbedding.objects.get(product=poison)
    assert (row.state, row.error_code) == ("failed", "worker_died")
    assert not models.QueuedProduct.objects.exists()


def test_worker__tries_suspects_alone() -> None:
    claims = [
        queue.Claim(index=1, product=number, generation=1, attempts=attempts, token=None)  # type: ignore[arg-type]
        for number, attempts in enumerate([1, 2, 1, 3])
    ]

    batches = [[claim.product for claim in batch] for batch in worker._batches(claims)]

    assert batches == [[0, 2], [1], [3]]


@pytest.mark.usefixtures("index")
def test_claim__one_suspect_at_a_time() -> None:
    keys = queued(5)
    assert len(queue.claim(3)) == 3  # and then the process dies
    models.QueuedProduct.objects.filter(attempts=1).update(lease_until="2000-01-01T00:00Z")

    claims = queue.claim(10)

    assert sorted(claim.attempts for claim in claims) == [1, 1, 2], "the two that are new, and one suspect"
    assert {claim.product for claim in claims} <= set(keys)
    assert [claim.attempts for claim in queue.claim(10)] == [2]


@pytest.mark.usefixtures("index")
def test_claim__a_new_save_waits_for_no_suspects() -> None:
    queued(5)
    assert len(queue.claim(10)) == 5  # and then the process dies
    models.QueuedProduct.objects.update(lease_until="2000-01-01T00:00Z")
    new = queued(2)

    claims = queue.claim(3)

    assert {claim.product for claim in claims if claim.attempts == 1} == set(new)
    assert sorted(claim.attempts for claim in claims) == [1, 1, 2]


@pytest.mark.usefixtures("index")
def test_claim__takes_no_more_than_it_may() -> None:
    queued(3)
    queue.claim(1)
    models.QueuedProduct.objects.update(lease_until="2000-01-01T00:00Z")

    assert sorted(claim.attempts for claim in queue.claim(2)) == [1, 2]


@pytest.mark.usefixtures("index")
def test_claim__what_was_put_off_is_no_suspect() -> None:
    queued(3)
    queue.release(queue.claim(10), seconds=0)

    assert [claim.attempts for claim in queue.claim(10)] == [2, 2, 2]
