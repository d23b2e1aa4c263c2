from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from tests import factories, processes
from visual_search.indexing import builder, hnsw, lifecycle
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


@pytest.fixture
def writer(index: SearchIndex) -> Iterator[threading.Event]:
    """Hold a transaction open that a concurrent build waits for, until the event is set."""
    held, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            ProductEmbedding.objects.filter(index=index).update(source_size=1)
            held.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert held.wait(10)
    yield done
    done.set()
    thread.join()


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


def test_build__leaves_it_to_who_builds_already(index: SearchIndex) -> None:
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s), %s)", [builder.LOCK, index.pk])
            held.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)
    try:
        assert not builder.build(index, float("inf"))
    finally:
        done.set()
        thread.join()
