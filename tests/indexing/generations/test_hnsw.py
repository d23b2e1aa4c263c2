from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from tests import factories, processes, sessions
from visual_search.indexing.generations import hnsw
from visual_search.models import ProductEmbedding, SearchIndex

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def index() -> Iterator[SearchIndex]:
    for _ in range(5):
        factories.product()
    embedded: Any = factories.embed()
    yield embedded
    hnsw.drop(embedded.pk)


def shape(index: SearchIndex) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", [hnsw.name(index.pk)])
        return set(cursor.fetchone()[0])


def file(index: SearchIndex) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filepath(to_regclass(%s))", [hnsw.name(index.pk)])
        return str(cursor.fetchone()[0])


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        return str(cursor.fetchone()[0])


SMALL, LARGE = {"m=16", "ef_construction=64"}, {"m=24", "ef_construction=128"}


def test_rebuild__gives_an_index_that_has_grown_the_graph_of_a_large_one(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, kept = file(index), (setting("lock_timeout"), setting("maintenance_work_mem"))
    assert shape(index) == SMALL

    hnsw.rebuild(index)
    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (SMALL, True, True)

    before = file(index)
    monkeypatch.setattr(hnsw, "MANY", 5)
    hnsw.rebuild(index)
    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (LARGE, True, True)
    assert (setting("lock_timeout"), setting("maintenance_work_mem")) == kept


def test_rebuild__waits_for_no_long_transaction_to_change_the_graph(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hnsw, "MANY", 5)
    monkeypatch.setattr(hnsw, "PATIENCE", 100)
    before = file(index)

    @contextmanager
    def reading() -> Iterator[None]:
        with transaction.atomic():
            ProductEmbedding.objects.filter(index=index).first()
            yield

    def build() -> None:
        hnsw.rebuild(index)
        connection.close()

    builder = threading.Thread(target=build)
    with sessions.within(reading()):
        builder.start()
        # A concurrent build ends when the last one is gone who may use the old graph.
        processes.wait_for(lambda: "old shape" in caplog.text)
    builder.join(30)

    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (SMALL, True, True)
