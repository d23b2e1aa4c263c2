from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests import factories, processes, sessions
from visual_search.indexing.generations import graphs, hnsw
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


@pytest.mark.parametrize(
    ("rows", "m"), [(0, 16), (49_999, 16), (50_000, 24), (499_999, 24), (500_000, 32), (10_000_000, 32)]
)
def test_graph__is_denser_the_more_vectors_there_are(rows: int, m: int) -> None:
    assert graphs._graph(rows)[0] == m


def test_rebuild__gives_an_index_that_has_grown_the_graph_of_a_large_one(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, kept = file(index), (setting("lock_timeout"), setting("maintenance_work_mem"))
    assert shape(index) == SMALL

    graphs.rebuild(index)
    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (SMALL, True, True)

    before = file(index)
    monkeypatch.setattr(graphs, "GRAPHS", ((5, 24, 128), (0, 16, 64)))
    graphs.rebuild(index)
    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (LARGE, True, True)
    assert (setting("lock_timeout"), setting("maintenance_work_mem")) == kept


def test_rebuild__waits_for_no_long_transaction_to_change_the_graph(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graphs, "GRAPHS", ((5, 24, 128), (0, 16, 64)))
    monkeypatch.setattr(graphs, "PATIENCE", 100)
    before = file(index)

    @contextmanager
    def reading() -> Iterator[None]:
        with transaction.atomic():
            ProductEmbedding.objects.filter(index=index).first()
            yield

    def build() -> None:
        graphs.rebuild(index)
        connection.close()

    builder = threading.Thread(target=build)
    with sessions.within(reading()):
        builder.start()
        # A concurrent build ends when the last one is gone who may use the old graph.
        processes.wait_for(lambda: "old shape" in caplog.text)
    builder.join(30)

    assert (shape(index), file(index) != before, hnsw.valid(index.pk)) == (SMALL, True, True)


def test_rebuild__clears_away_what_one_that_failed_has_left(index: SearchIndex) -> None:
    left = f"{hnsw.name(index.pk)}_ccnew"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE INDEX {left} ON {ProductEmbedding._meta.db_table} (state) WHERE index_id = {index.pk}")
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [left])

    graphs.rebuild(index)

    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [left])
        assert cursor.fetchone() == (None,)
    assert hnsw.valid(index.pk)


def test_build__takes_as_much_memory_as_the_server_gives_where_that_is_more(
    index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "LEAST_MEMORY", 900)
    given = {}
    for most, own in ((200, 100), (200, 300), (1_000, 300)):
        monkeypatch.setattr(graphs, "MOST_MEMORY", most)
        with connection.cursor() as cursor:
            cursor.execute(f"SET maintenance_work_mem = '{own}MB'")
        with CaptureQueriesContext(connection) as queries:
            graphs.rebuild(index)
        (made,) = (query["sql"] for query in queries if query["sql"].startswith("SET maintenance_work_mem"))
        given[most, own] = made.split("'")[1]

    assert given == {(200, 100): "200MB", (200, 300): "300MB", (1_000, 300): "900MB"}


@pytest.mark.one_shop
@pytest.mark.parametrize(("dimensions", "rows", "workers"), [(16, 8_000, 0), (600, 3_000, 2)])
def test_build__takes_as_much_memory_as_the_graph_needs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, dimensions: int, rows: int, workers: int
) -> None:
    monkeypatch.setattr(graphs, "GRAPHS", ((0, 24, 48),))  # as dense as a large one, and sooner done
    monkeypatch.setattr(graphs, "LEAST_MEMORY", 1)
    index = SearchIndex.objects.create(encoders=["tiny"], dimensions=dimensions, fitted_on=rows)
    product = factories.product(pictures=[])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO visual_search_productembedding (index_id, product_id, image_key, region, position, state,"
            " error_code, error_message, source_name, source_sha256, part_lengths, embedding)"
            " SELECT %s, %s, number, '{}', 0, 'ready', '', '', '', '', '{}',"
            " (SELECT array_agg(random() - 0.5)::vector FROM generate_series(1, %s) WHERE number > 0)"
            " FROM generate_series(1, %s) number",
            [index.pk, product.pk, dimensions, rows],
        )
        cursor.execute(f"ALTER TABLE visual_search_productembedding SET (parallel_workers = {workers})")
    said: list[str] = []
    raw: Any = connection.connection
    raw.add_notice_handler(lambda notice: said.append(notice.message_primary))

    graphs.build(index)

    assert hnsw.valid(index.pk)
    assert not [each for each in said if "no longer fits" in each]
    assert "takes about" not in caplog.text
    # Half of it is too little.
    monkeypatch.setattr(graphs, "MOST_MEMORY", _taken(index, rows) // 2)
    with connection.cursor() as cursor:
        cursor.execute(f"SET maintenance_work_mem = '{graphs.MOST_MEMORY}MB'")
    graphs.rebuild(index)
    assert [each for each in said if "no longer fits" in each]
    assert "takes about" in caplog.text
    hnsw.drop(index.pk)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE visual_search_productembedding RESET (parallel_workers)")


def _taken(index: SearchIndex, rows: int) -> int:
    with CaptureQueriesContext(connection) as queries, graphs._memory(index, rows):
        pass
    (made,) = (query["sql"] for query in queries if query["sql"].startswith("SET maintenance_work_mem"))
    return int(made.split("'")[1].removesuffix("MB"))


def test_rebuild__takes_longer_than_the_shops_queries_may(index: SearchIndex) -> None:
    @contextmanager
    def reading() -> Iterator[None]:
        with transaction.atomic():
            ProductEmbedding.objects.filter(index=index).first()
            yield

    database = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} SET statement_timeout = '500ms'")
    connection.close()
    try:
        before = file(index)
        with sessions.within(reading()) as done:
            # What works CONCURRENTLY waits for it.
            threading.Timer(1.5, done.set).start()
            graphs.rebuild(index)
        assert (file(index) != before, hnsw.valid(index.pk), setting("statement_timeout")) == (True, True, "500ms")
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {database} RESET statement_timeout")
        connection.close()
