from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from tests import factories
from visual_search.indexing.generations import activity, builder, lifecycle
from visual_search.indexing.intake import queue
from visual_search.indexing.vectors import fit
from visual_search.models import QueuedProduct, SearchIndex

pytestmark = pytest.mark.django_db


def doing(rate: float = 0.0) -> str:
    return activity.activity(rate=rate)


def wait_a_minute() -> None:
    # And one more: in a test's transaction it is still the time at which that began.
    QueuedProduct.objects.update(queued_at=F("queued_at") - timedelta(minutes=2))


@pytest.fixture
def queued() -> SearchIndex:
    """Return the live index, with one product queued for it."""
    factories.product()
    index = factories.embed()
    assert index is not None
    factories.refill(index)
    return index


def test_activity__with_nothing_to_do() -> None:
    assert doing() == "idle"
    factories.product()
    factories.embed()
    assert doing(rate=3.0) == "idle"


@pytest.mark.usefixtures("queued")
def test_activity__with_a_worker() -> None:
    assert doing() == "waiting"
    assert doing(rate=0.1) == "working"
    assert len(queue.claim(1)) == 1
    assert doing() == "working"


@pytest.mark.usefixtures("queued")
def test_activity__after_a_minute_without_one() -> None:
    wait_a_minute()
    assert doing() == "absent"


@pytest.mark.usefixtures("queued")
def test_activity__after_a_worker_died() -> None:
    queue.claim(1)
    wait_a_minute()
    QueuedProduct.objects.update(lease_until=Now() - timedelta(minutes=1))

    assert doing() == "absent"


@pytest.mark.parametrize("lock", [fit.LOCK, builder.LOCK])
def test_activity__while_an_index_is_fitted_or_built(lock: str) -> None:
    index = lifecycle.create()
    SearchIndex.objects.update(created_at=Now() - timedelta(seconds=61))
    assert doing() == "absent"
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s), %s)", [lock, index.pk])
        assert doing() == "working"
    finally:
        other.close()


@pytest.mark.usefixtures("queued")
def test_activity__while_everything_left_is_put_off() -> None:
    queue.release(queue.claim(1), seconds=30)

    assert doing() == "paused"
