from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from tests import factories, processes, sessions
from visual_search.exceptions import IndexStateError
from visual_search.indexing import locks
from visual_search.indexing.generations import builder, graphs, hnsw, lifecycle
from visual_search.models import ProductEmbedding, SearchIndex

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def index() -> Iterator[SearchIndex]:
    """Return an index whose HNSW index is not there."""
    for _ in range(5):
        factories.product()
    embedded: Any = factories.embed()
    hnsw.drop(embedded.pk)
    yield embedded
    hnsw.drop(embedded.pk)


@contextmanager
def writing(index: SearchIndex) -> Iterator[None]:
    with transaction.atomic():
        ProductEmbedding.objects.filter(index=index).update(source_size=1)
        yield


@pytest.fixture
def writer(index: SearchIndex) -> Iterator[threading.Event]:
    """Hold a transaction open that a concurrent build waits for, until the event is set."""
    with sessions.within(writing(index)) as done:
        yield done


def kill_the_build() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
        )
        return bool(cursor.fetchall())


def is_invalid(index: SearchIndex) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [hnsw.name(index.pk)])
        return cursor.fetchone() == (False,)


def test_build__waits_for_it(index: SearchIndex) -> None:
    assert builder.build(index, float("inf"))
    assert hnsw.valid(index.pk)


def phase(index: SearchIndex) -> str | None:
    progress = hnsw.progress(index.pk)
    return progress and progress.phase


def test_build__goes_on_past_the_deadline(index: SearchIndex, writer: threading.Event) -> None:
    assert not builder.build(index, time.monotonic() + 0.5)
    assert not builder.build(index, time.monotonic() + 0.1), "the thread that builds is not joined by another"
    processes.wait_for(lambda: phase(index) == "waiting for writers before build")

    writer.set()

    processes.wait_for(lambda: builder.build(index, time.monotonic() + 1))


def test_build__an_invalid_index_is_dropped_and_built_again(index: SearchIndex, writer: threading.Event) -> None:
    assert not builder.build(index, time.monotonic() + 0.5)
    processes.wait_for(kill_the_build)
    processes.wait_for(lambda: not builder._threads[index.pk].is_alive())
    assert is_invalid(index)
    assert not hnsw.valid(index.pk)
    writer.set()

    assert builder.build(index, float("inf"))

    assert hnsw.valid(index.pk)


def test_advance__of_a_build_that_was_killed(index: SearchIndex, writer: threading.Event) -> None:
    SearchIndex.objects.filter(pk=index.pk).update(state="building")
    assert not lifecycle.advance(time.monotonic() + 0.5)
    processes.wait_for(kill_the_build)
    writer.set()

    processes.wait_for(lambda: lifecycle.advance(time.monotonic() + 1))

    index.refresh_from_db()
    assert index.state == "ready"


@pytest.fixture
def others_turn() -> Iterator[threading.Event]:
    """Hold the lock of all changes of HNSW indexes in another session, until the event is set."""
    with sessions.within(hnsw.in_turn()) as done:
        yield done


@pytest.fixture
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collect the nudges that a build sends."""
    sent: list[bool] = []
    monkeypatch.setattr(builder.nudge, "send", lambda: sent.append(True))
    return sent


def test_build__waits_for_its_turn_and_wakes_a_worker_once(
    index: SearchIndex, others_turn: threading.Event, nudges: list[bool]
) -> None:
    started = time.monotonic()

    assert not builder.build(index, started + 60)

    assert time.monotonic() - started < 10, "a worker has other things to do than to wait"
    assert (hnsw.valid(index.pk), nudges) == (False, [])
    others_turn.set()
    processes.wait_for(lambda: hnsw.valid(index.pk) and nudges == [True])


@pytest.fixture
def other_builder(index: SearchIndex) -> Iterator[threading.Event]:
    """Hold the lock of who builds this index in another session, until the event is set."""
    with sessions.within(locks.in_turn(builder.LOCK, index.pk)) as done:
        yield done


def test_build__leaves_it_to_who_builds_already(
    index: SearchIndex, other_builder: threading.Event, nudges: list[bool]
) -> None:

    assert not builder.build(index, time.monotonic() + 60)

    processes.wait_for(lambda: not builder._threads[index.pk].is_alive())
    assert nudges == [], "workers would wake each other up for as long as it takes"


def test_build__without_a_deadline_waits_for_who_builds_already(
    index: SearchIndex, other_builder: threading.Event
) -> None:
    threading.Timer(1, other_builder.set).start()

    assert builder.build(index, float("inf"))


def test_build__that_fails_wakes_nobody(
    index: SearchIndex, nudges: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "GRAPHS", ((0, 1, 0),))  # Postgres refuses it

    assert not builder.build(index, float("inf"))

    assert nudges == [], "it would fail again at once, and so on"


def test_build__that_failed_is_not_tried_again_at_once(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "GRAPHS", ((0, 1, 0),))
        for _ in range(3):
            assert not builder.build(index, time.monotonic() + 5)
    assert caplog.text.count("Building the HNSW index") == 1
    assert builder.failure(index) is not None

    monkeypatch.setattr(builder, "AGAIN_AFTER", 0)
    processes.wait_for(lambda: builder.build(index, time.monotonic() + 5))
    assert builder.failure(index) is None


def test_sync__says_why_the_hnsw_index_cannot_be_built(index: SearchIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    SearchIndex.objects.filter(pk=index.pk).update(state="building")
    monkeypatch.setattr(graphs, "GRAPHS", ((0, 1, 0),))

    with pytest.raises(CommandError, match="could not be built: value 1 out of bounds"):
        call_command("visual_search", "sync", stdout=io.StringIO())


def test_build__not_of_what_was_retired_while_it_waited(index: SearchIndex, others_turn: threading.Event) -> None:
    SearchIndex.objects.filter(pk=index.pk).update(state="building")
    assert not builder.build(index, time.monotonic() + 0.1)
    SearchIndex.objects.filter(pk=index.pk).update(state="retired")

    others_turn.set()
    processes.wait_for(lambda: not builder._threads[index.pk].is_alive())

    assert phase(index) is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [hnsw.name(index.pk)])
        assert cursor.fetchone() == (None,)


@pytest.fixture
def another(index: SearchIndex) -> Iterator[SearchIndex]:
    """Return an index beside the first, with its HNSW index."""
    copy = SearchIndex.objects.get(pk=index.pk)
    copy.pk, copy.state = None, SearchIndex.State.BUILDING
    copy.save(force_insert=True)
    graphs.build(copy)
    yield copy
    hnsw.drop(copy.pk)


def build_anew(index: SearchIndex) -> None:
    hnsw.drop(index.pk)
    graphs.build(index)


@pytest.mark.parametrize("change", [build_anew, graphs.rebuild, lambda index: hnsw.drop(index.pk)])
def test_build__and_a_change_of_another_are_no_deadlock(
    another: SearchIndex,
    index: SearchIndex,
    writer: threading.Event,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[SearchIndex], None],
) -> None:
    failures: list[Exception] = []

    def at_once() -> None:
        try:
            change(another)
        except Exception as error:
            failures.append(error)
        connection.close()

    assert not builder.build(index, time.monotonic() + 0.1)
    processes.wait_for(lambda: phase(index) == "waiting for writers before build")
    thread = threading.Thread(target=at_once)
    thread.start()
    time.sleep(1)  # long enough for it to wait for the table, if it did

    writer.set()
    thread.join(30)
    processes.wait_for(lambda: not builder._threads[index.pk].is_alive())

    assert failures == []
    assert hnsw.valid(index.pk), caplog.text


def test_retire__destroys_nothing_of_what_was_resumed_while_it_waited(
    another: SearchIndex, index: SearchIndex, others_turn: threading.Event
) -> None:
    ProductEmbedding.objects.filter(index=index).update(index=another)
    failures: list[Exception] = []

    def retire() -> None:
        try:
            lifecycle.retire(SearchIndex.objects.get(pk=another.pk))
        except Exception as error:
            failures.append(error)
        connection.close()

    thread = threading.Thread(target=retire)
    thread.start()
    processes.wait_for(lambda: SearchIndex.objects.get(pk=another.pk).state == "retired")
    lifecycle.resume(SearchIndex.objects.get(pk=another.pk))

    others_turn.set()
    thread.join(30)

    assert [type(error) for error in failures] == [IndexStateError]
    assert hnsw.valid(another.pk)
    assert ProductEmbedding.objects.filter(index=another).count() == 5


def test_rebuild__of_an_index_that_is_gone(index: SearchIndex) -> None:
    with pytest.raises(IndexStateError, match="no valid HNSW index"):
        graphs.rebuild(index)


def test_reindex__says_that_it_waits(
    another: SearchIndex, others_turn: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(1, others_turn.set).start()

    call_command("visual_search", "index", "reindex", str(another.pk))

    first, last = capsys.readouterr().out.splitlines()
    assert "waits for its turn" in first
    assert "is new" in last
