from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from tests import factories, processes
from visual_search import catalog
from visual_search.indexing.intake import leases, queue
from visual_search.models import QueuedProduct

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[queue.Claim]:
    """Return a claim whose lease is renewed ten times a second."""
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.1)
    factories.product()
    index: Any = factories.embed()
    factories.refill(index)
    return queue.claim(1)


def left() -> float:
    return QueuedProduct.objects.annotate(left=F("lease_until") - Now()).get().left.total_seconds()


def test_renewed__keeps_a_lease_alive(claims: list[queue.Claim]) -> None:
    QueuedProduct.objects.update(lease_until=Now())
    with leases.renewed(claims):
        processes.wait_for(lambda: left() > queue.LEASE_SECONDS - 5)
        assert queue.claim(1) == []


def test_renewed__ends_with_its_block(claims: list[queue.Claim]) -> None:
    with leases.renewed(claims):
        pass
    processes.wait_for(lambda: "visual-search-lease" not in {thread.name for thread in threading.enumerate()})
    QueuedProduct.objects.update(lease_until=Now())
    assert left() <= 0


def test_renewed__touches_no_lease_that_somebody_took_over(claims: list[queue.Claim]) -> None:
    with leases.renewed(claims):
        QueuedProduct.objects.update(lease_until="2000-01-01T00:00Z")
        other = queue.claim(1)
        if other:  # else it was renewed in between, and nobody could take it
            until = QueuedProduct.objects.get().lease_until
            threading.Event().wait(0.3)
            assert QueuedProduct.objects.get().lease_until == until


def test_renewed__survives_a_connection_that_is_cut(claims: list[queue.Claim]) -> None:
    with leases.renewed(claims), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        QueuedProduct.objects.update(lease_until=Now())
        processes.wait_for(lambda: left() > queue.LEASE_SECONDS - 5)


def test_renewed__keeps_out_of_the_way_of_a_shop_that_deletes_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.1)
    products = [factories.product() for _ in range(3)]
    index: Any = factories.embed()
    factories.refill(index)
    taken = queue.claim(10)
    QueuedProduct.objects.update(lease_until=Now())

    with transaction.atomic():
        products[2].delete()
        with leases.renewed(taken):
            # Whoever waited for the row of the third would hold those of the others, which the shop wants next.
            processes.wait_for(lambda: QueuedProduct.objects.filter(lease_until__gt=Now()).count() == 2, seconds=5)
            products[0].delete()

    assert list(QueuedProduct.objects.values_list("product_id", flat=True)) == [products[1].pk]
    assert catalog.product_model()._default_manager.count() == 1
