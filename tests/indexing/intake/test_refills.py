from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories, processes, sessions
from visual_search import catalog, exceptions, models
from visual_search.indexing import locks, worker
from visual_search.indexing.generations import activity, lifecycle, progress
from visual_search.indexing.intake import changes, nudge, refills, sweeper

pytestmark = pytest.mark.django_db

State = models.SearchIndex.State


@pytest.fixture
def _page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "QUEUED_AT_ONCE", 2)
    monkeypatch.setattr(refills, "SECONDS", 0.0)
    monkeypatch.setattr(refills, "SHARE", 0)


def queued(**where: Any) -> list[tuple[Any, int]]:
    return sorted(models.QueuedProduct.objects.filter(**where).values_list("product_id", "priority"))


def nothing_queued() -> models.SearchIndex:
    """Return a new index without a queue, and with nothing to be queued."""
    index = lifecycle.create(["tiny"])
    refills.drop(index)
    models.QueuedProduct.objects.all().delete()
    return index


def products(count: int) -> list[Any]:
    """Return the keys of new products, in order, which nothing announced."""
    keys = sorted(factories.product(pictures=[]).pk for _ in range(count))
    models.ProductChange.objects.all().delete()
    return keys


def test_go_on__queues_what_is_listed_and_not_queued_yet() -> None:
    keys = products(3)
    index = lifecycle.create(["tiny"])

    assert refills.is_going_on(index)
    assert refills.go_on()

    assert queued(index=index) == [(key, 10) for key in keys]
    assert not refills.is_going_on(index)
    assert not refills.go_on()


def test_go_on__includes_what_is_embedded_and_hidden_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, shown = factories.product(), factories.product()
    factories.embed()
    only = catalog.product_model()._default_manager.filter(pk=shown.pk)
    monkeypatch.setattr(type(catalog.current()), "products", lambda self, request=None: only)
    index = nothing_queued()

    factories.refill(index)

    assert queued(index=index) == sorted([(hidden.pk, 10), (shown.pk, 10)])


@pytest.mark.usefixtures("_page_by_page")
def test_go_on__goes_on_where_it_was() -> None:
    keys = products(5)
    index = nothing_queued()
    refills.begin(index)

    assert [progress.of(index).queued, len(queued())] == [5, 0]
    for count in (2, 4):
        assert refills.go_on()
        refill = models.Refill.objects.get()
        assert queued() == [(key, 10) for key in keys[:count]]
        assert (refill.after, refill.remaining) == (str(keys[count - 1]), 5 - count)
        # Together with what is queued already.
        assert progress.of(index).queued == 5
        assert progress.outstanding()
    assert refills.go_on()
    assert len(queued()) == progress.of(index).queued == 5
    assert not models.Refill.objects.exists()


@pytest.mark.usefixtures("_page_by_page")
def test_begin__again_starts_over_and_forced_stays_so() -> None:
    products(3)
    index = nothing_queued()
    refills.begin(index, forced=True)
    refills.go_on()

    refills.begin(index)

    refill = models.Refill.objects.get()
    assert (refill.after, refill.remaining, refill.forced) == (None, None, True)
    models.QueuedProduct.objects.all().delete()
    while refills.go_on():
        pass
    assert list(models.QueuedProduct.objects.values_list("forced", flat=True)) == [True] * 3
    refills.begin(index)
    assert models.Refill.objects.get().forced is False


@pytest.mark.parametrize("forced", [False, True])
def test_go_on__is_undone_by_whoever_began_anew_meanwhile(forced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    products(3)
    index = nothing_queued()
    refills.begin(index)
    wanted, late = changes.wanted, []

    def meanwhile(after: str | None = None) -> list[Any]:
        found = wanted(after)
        late.extend(products(1))
        refills.begin(index, forced=forced)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(changes, "wanted", meanwhile)
        assert not refills.go_on()

    assert queued() == []
    assert refills.go_on()
    assert list(models.QueuedProduct.objects.values_list("forced", flat=True)) == [forced] * 4
    assert (late[0], 10) in queued()


@pytest.mark.usefixtures("_page_by_page")
def test_go_on__takes_the_index_that_has_waited_longest() -> None:
    products(3)
    first, second = nothing_queued(), nothing_queued()
    for index, minutes in ((second, 3), (first, 2)):
        refills.begin(index)
        waiting = models.Refill.objects.filter(index=index)
        waiting.update(moved_at=F("moved_at") - timedelta(minutes=minutes))

    seen = [first.pk, second.pk]
    for expected in ([second.pk], seen):
        assert refills.go_on()
        assert sorted(set(models.QueuedProduct.objects.values_list("index_id", flat=True))) == expected


@pytest.mark.usefixtures("_page_by_page")
@pytest.mark.parametrize("resumed", [False, True])
def test_fit__waits_until_all_are_queued(resumed: bool) -> None:
    for _ in range(5):
        factories.product()
    models.ProductChange.objects.all().delete()
    index = lifecycle.create(["tiny"])
    if resumed:
        lifecycle.cancel(index)
        lifecycle.resume(index)

    assert worker.step()
    index.refresh_from_db()
    assert (len(queued(index=index)), index.fitted_on) == (2, None)

    factories.embed()
    index.refresh_from_db()
    assert index.fitted_on == 5


def test_go_on__nothing_is_listed() -> None:
    index = lifecycle.create(["tiny"])

    assert refills.go_on()
    assert not refills.is_going_on(index)


@pytest.mark.parametrize("step", [lifecycle.cancel, lifecycle.retire])
def test_index_that_is_given_up_wants_nothing(step: Any) -> None:
    products(3)
    index = lifecycle.create(["tiny"])

    step(index)

    assert not models.Refill.objects.exists()
    with pytest.raises(exceptions.IndexStateError):
        lifecycle.fill(index)
    assert not models.Refill.objects.exists()
    # Were there one all the same, nobody would mind it.
    refills.begin(index)
    assert not refills.go_on()
    assert not progress.outstanding()
    assert activity.activity(rate=0) == activity.Activity.IDLE
    swept = sweeper.sweep()
    assert swept is not None
    assert not swept.anything


def test_index_is_not_complete_before_all_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()
    index: Any = factories.embed()
    models.SearchIndex.objects.update(state="building")
    refills.begin(index)
    with monkeypatch.context() as patch:
        patch.setattr(refills, "go_on", lambda: False)
        factories.embed()
        index.refresh_from_db()
        assert (index.state, queued()) == (State.BUILDING, [])
        with pytest.raises(exceptions.IndexStateError, match="is not filled yet: 1 products are queued"):
            lifecycle.build(index)

    factories.embed()

    index.refresh_from_db()
    assert index.state == State.READY


@pytest.mark.usefixtures("_page_by_page")
def test_work__that_nobody_announced_is_found_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()
    index: Any = factories.embed()
    nudges: list[bool] = []
    monkeypatch.setattr(nudge, "_publish", lambda: nudges.append(True))
    with transaction.atomic(), monkeypatch.context() as patch:
        patch.setattr(nudge, "after_commit", lambda using: None)
        refills.begin(index)

    assert activity.activity(rate=0) == activity.Activity.WAITING
    swept = sweeper.sweep()

    assert swept is not None
    assert (swept.refills, nudges) == (1, [True])
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {models.Refill._meta.db_table} SET moved_at = now() - interval '2 minutes'")
    assert activity.activity(rate=0) == activity.Activity.ABSENT


def test_worker__embeds_what_is_saved_though_products_can_not_be_listed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    factories.product()
    index: Any = factories.embed()
    refills.begin(index)
    asked: list[bool] = []

    def fail(after: str | None = None) -> list[Any]:
        asked.append(True)
        raise ZeroDivisionError("by a catalog")

    wanted = changes.wanted
    monkeypatch.setattr(changes, "wanted", fail)
    for _ in range(2):
        saved = factories.product()
        factories.embed()
        assert models.ProductEmbedding.objects.filter(product=saved, state="ready").exists()

    assert len(asked) == 1, "it is left in peace for a while"
    assert "All products are to be queued, and that failed" in caplog.text
    assert refills.is_going_on(index)
    assert progress.of(index).last_error == "ZeroDivisionError: by a catalog"
    assert activity.activity(rate=0) == activity.Activity.PAUSED
    monkeypatch.setattr(refills, "_not_before", 0.0)
    with pytest.raises(ZeroDivisionError):
        factories.embed()
    monkeypatch.setattr(refills, "_not_before", 0.0)
    monkeypatch.setattr(changes, "wanted", wanted)
    factories.embed()
    assert progress.of(index).last_error == ""
    assert activity.activity(rate=0) == activity.Activity.IDLE


@contextmanager
def queueing(index: models.SearchIndex, product: Any) -> Iterator[None]:
    """Queue the key `product` in a transaction that stays open: whoever queues it too waits."""
    with transaction.atomic():
        models.QueuedProduct.objects.create(index=index, product_id=product, generation=0)
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_go_on__locks_few_products_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "QUEUED_AT_ONCE", 2)
    keys = products(5)
    index: Any = factories.embed()
    nudges: list[bool] = []
    monkeypatch.setattr(nudge, "_publish", lambda: nudges.append(True))

    def run() -> None:
        try:
            factories.refill(index)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with sessions.within(queueing(index, keys[3])):
        thread.start()
        processes.wait_for(lambda: len(queued()) == 2, seconds=5)
        with transaction.atomic():
            catalog.product_model()._default_manager.select_for_update(nowait=True).get(pk=keys[0])
        assert nudges == [True], "a worker takes what is queued by now"
    thread.join(10)

    assert queued() == [(key, 10) for key in keys]
    assert nudges == [True, True]


@contextmanager
def refilling(index: models.SearchIndex) -> Iterator[None]:
    with locks.alone(refills.LOCK, index.pk) as taken:
        assert taken
        yield


@pytest.mark.django_db(transaction=True)
def test_go_on__one_process_at_a_time() -> None:
    products(3)
    index: Any = factories.embed()
    refills.begin(index)

    with sessions.within(refilling(index)):
        assert not refills.go_on()
        assert activity.activity(rate=0) == activity.Activity.WORKING
        assert queued() == []
        # Its machine may be cut off.
        models.Refill.objects.update(moved_at=F("moved_at") - 2 * refills.STUCK)
        assert refills.go_on()
    assert len(queued()) == 3


@contextmanager
def beginning(index: models.SearchIndex) -> Iterator[None]:
    with transaction.atomic():
        lifecycle.fill(index)
        yield


@pytest.mark.django_db(transaction=True)
def test_go_on__waits_for_nobody_who_is_about_to_begin() -> None:
    products(3)
    index: Any = factories.embed()
    refills.begin(index)

    with sessions.within(beginning(index)), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        assert not refills.go_on()
        cursor.execute("RESET lock_timeout")
    assert refills.go_on()
    assert len(queued()) == 3


@pytest.mark.worker
@pytest.mark.one_shop
@pytest.mark.django_db(transaction=True)
def test_process__that_is_killed_loses_nothing() -> None:
    keys = products(40)
    index: Any = factories.embed()
    refills.begin(index, forced=True)
    slow = processes.python(
        "import time\n"
        "from visual_search.indexing.intake import changes, refills\n"
        "changes.QUEUED_AT_ONCE, queue = 2, changes.queue\n"
        "def slowly(*arguments, **options):\n"
        "    written = queue(*arguments, **options)\n"
        "    time.sleep(0.1)\n"
        "    return written\n"
        "changes.queue = slowly\n"
        "refills.go_on()\n"
    )
    try:
        processes.wait_for(lambda: len(queued()) >= 6, seconds=60)
        assert activity.activity(rate=0) == activity.Activity.WORKING
    finally:
        slow.kill()
        slow.communicate()
    came_to = len(queued())
    assert came_to < 40

    # Its session, and with it the lock, goes once Postgres notices.
    processes.wait_for(refills.go_on)

    assert queued() == [(key, 10) for key in keys]
    assert not refills.is_going_on(index)
    # What was queued once isn't queued again: its generation would tell.
    generations = Counter(models.QueuedProduct.objects.values_list("generation", flat=True))
    assert generations == {0: 40}


STEPS = st.one_of(
    st.just("page"),
    st.sampled_from(["begin", "begin forced", "crash", "add", "delete"]),
    st.tuples(st.just("take"), st.integers(1, 4)),
)


class Crashed(Exception):
    pass


@pytest.mark.usefixtures("_page_by_page")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7), st.lists(STEPS, max_size=25))
def test_whatever_happens_every_product_is_queued_after_the_last_beginning(count: int, steps: list[Any]) -> None:
    with transaction.atomic():
        _happens(count, steps)
        transaction.set_rollback(True)


def _happens(count: int, steps: list[Any]) -> None:
    manager = catalog.product_model()._default_manager
    products(count)
    index = nothing_queued()
    there: set[Any] = set()
    taken: dict[Any, bool] = {}
    forced = begun = False
    for step in steps:
        if step in ("begin", "begin forced"):
            forced = step == "begin forced" or (forced and refills.is_going_on(index))
            refills.begin(index, forced=step == "begin forced")
            there, taken, begun = set(manager.values_list("pk", flat=True)), {}, True
        elif step == "page":
            refills.go_on()
        elif step == "crash":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(refills, "_not_before", 0.0)
                patch.setattr(refills, "Now", _crash)
                patch.setattr(refills, "drop", _crash)
                try:
                    refills.go_on()
                except Crashed:
                    pass
                else:
                    assert not refills.is_going_on(index)
        elif step == "add":
            products(1)
        elif step == "delete" and (some := manager.order_by("?").first()):
            there.discard(some.pk)
            some.delete()
        elif step[0] == "take":
            rows = list(models.QueuedProduct.objects.order_by("id")[: step[1]])
            for row in rows:
                taken[row.product_id] = taken.get(row.product_id, False) or row.forced
                row.delete()
    while refills.go_on():
        pass
    for product, was in models.QueuedProduct.objects.values_list("product_id", "forced"):
        taken[product] = taken.get(product, False) or was

    assert not begun or there <= taken.keys()
    assert not forced or all(taken[product] for product in there)
    assert not models.Refill.objects.exists()


def _crash(*arguments: Any) -> None:
    raise Crashed
