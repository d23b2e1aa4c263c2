from __future__ import annotations

from typing import Any

import pytest

from tests import factories
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import changes, nudge, queue, sweeper
from visual_search.models import QueuedProduct, SearchIndex

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that each nudge is appended to; none goes out."""
    nudges: list[bool] = []
    monkeypatch.setattr(nudge, "_publish", lambda: nudges.append(True))
    monkeypatch.setattr(nudge, "_closed_from", 0.0)
    return nudges


def swept(**found: int) -> sweeper.Swept:
    return sweeper.Swept(**({"expired": 0, "due": 0, "changes": 0, "building": 0, "refills": 0} | found))


def test_sweep__of_a_shop_at_rest_wakes_nobody(sent: list[bool]) -> None:
    factories.product()
    factories.embed()
    sent.clear()

    assert sweeper.sweep() == swept()
    assert sent == []


def test_sweep__finds_changes_that_no_nudge_announced(sent: list[bool]) -> None:
    product = factories.product()
    factories.embed()
    changes.record([product.pk])

    assert sweeper.sweep() == swept(changes=1)
    assert sent == [True]


def test_sweep__takes_back_leases_that_ran_out(sent: list[bool]) -> None:
    for _ in range(2):
        factories.product()
    index: Any = factories.embed()
    factories.refill(index)
    (claim,) = queue.claim(1)
    assert sweeper.sweep() == swept(due=1), "a lease that runs is nobody's to take"
    QueuedProduct.objects.filter(lease_token=claim.token).update(lease_until="2000-01-01T00:00Z")

    assert sweeper.sweep() == swept(expired=1, due=2)
    assert queue.held([claim]) == []
    assert QueuedProduct.objects.get(product=claim.product).attempts == 1, "the attempt counts"


def test_sweep__leaves_alone_what_was_put_off(sent: list[bool]) -> None:
    factories.product()
    index: Any = factories.embed()
    factories.refill(index)
    queue.release(queue.claim(1))
    sent.clear()

    assert sweeper.sweep() == swept()
    assert sent == []


def test_sweep__wakes_a_worker_for_an_index_that_waits_for_its_build(sent: list[bool]) -> None:
    factories.product()
    index: Any = factories.embed()
    SearchIndex.objects.filter(pk=index.pk).update(state="building")
    sent.clear()

    assert sweeper.sweep() == swept(building=1)
    assert sent == [True]


def test_sweep__counts_nothing_of_a_retired_index(sent: list[bool]) -> None:
    factories.product()
    factories.embed()
    other = lifecycle.create()
    SearchIndex.objects.filter(pk=other.pk).update(state="retired")
    sent.clear()

    assert sweeper.sweep() == swept()


def test_sweep__with_a_broken_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(nudge, "_publish", broken)
    monkeypatch.setattr(nudge, "_closed_from", 0.0)
    factories.product()

    assert sweeper.sweep() is not None
