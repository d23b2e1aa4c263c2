"""Build the graph of an HNSW index, and build it anew, without blocking writes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import DatabaseError, OperationalError, connections

from visual_search import conf
from visual_search.exceptions import IndexStateError
from visual_search.indexing.generations import hnsw
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

GRAPHS = ((500_000, 32, 128), (50_000, 24, 128), (0, 16, 64))
"""From how many vectors on a graph has which `m` and `ef_construction`.

With `ef_search` at 100, 16 and 64 found of the ten nearest among 100,000 clustered vectors of 501 dimensions 100 % by
the index's own shares of the parts, 97 % by others, and 83 % among 1,000,000. With 24 and 128 it is 98 % or more in
all of these, in a fifth more time and memory; they take 3.6 times as long to build. Under a filter that leaves a tenth
of 1,000,000 they found 97.2 %, and 32 and 128 found 97.8 % in about as much time, in an index of the same size; with
fewer dimensions it is up to a sixth larger.
"""

LEAST_MEMORY, MOST_MEMORY = 64, 3_072
"""Bounds in MB of what a build may take. With too little the graph spills, and what is left goes in row by row: of a
million vectors of 501 dimensions the last 6 % took a sixth of the time.

Where the server's own `maintenance_work_mem` is more than the second, that is the bound.
"""

PATIENCE = 3_000
"""Milliseconds that changing the graph's shape may make searches wait."""


def build(index: SearchIndex) -> None:
    """Create the HNSW index unless a valid one is there; an INVALID one, left by a build that died, is dropped first.

    CONCURRENTLY, save inside a transaction (a test's), where Postgres does not allow it. Waits while another HNSW index
    is built or dropped; a search index that was retired or deleted meanwhile gets none.
    """
    table, operators = ProductEmbedding._meta.db_table, hnsw.OPERATORS[SearchIndex.Metric(index.metric)][1]
    with hnsw.in_turn() as concurrently:
        wanted = SearchIndex.objects.using(conf.settings.DATABASE).filter(pk=index.pk)
        if hnsw.valid(index.pk) or not wanted.exclude(state=SearchIndex.State.RETIRED).exists():
            return
        hnsw.drop(index.pk)
        if not concurrently:
            # Deferred checks of foreign keys that are still to come would refuse the index.
            connections[conf.settings.DATABASE].check_constraints()
        rows = _rows(index)
        m, ef_construction = _graph(rows)
        with _memory(index, rows) as cursor:
            _run(
                cursor,
                index,
                f"CREATE INDEX {concurrently} {hnsw.name(index.pk)} ON {table}"
                f" USING hnsw ((embedding::halfvec({index.dimensions})) {operators})"
                f" WITH (m = {m}, ef_construction = {ef_construction}) WHERE index_id = {index.pk}",
            )
            # Without it the planner knows nothing of what was just loaded.
            cursor.execute(f"ANALYZE {table}")


def rebuild(index: SearchIndex) -> None:
    """Build the HNSW index anew beside the old one and switch, blocking nobody: after many deletes, before a VACUUM.

    Six times as fast as vacuuming as many dead rows out of the graph. An index that has grown past a bound of GRAPHS
    gets the denser graph. Waits while another HNSW index is built or dropped. Not possible inside a transaction. Raises
    IndexStateError where there is none.
    """
    with hnsw.in_turn():
        if not hnsw.valid(index.pk):
            raise IndexStateError(f"Index {index} has no valid HNSW index that could be built anew.")
        _rebuild(index, _rows(index))


def _rebuild(index: SearchIndex, rows: int) -> None:
    with _memory(index, rows) as cursor:
        hnsw.clear(index.pk)
        _reshape(cursor, index, *_graph(rows))
        _run(cursor, index, f"REINDEX INDEX CONCURRENTLY {hnsw.name(index.pk)}")


def _run(cursor: Any, index: SearchIndex, sql: str) -> None:
    """Run `sql`, which builds a graph; once more in one process where there is no memory for several to share.

    That is 64 MB in a container, unless it is told otherwise.
    """
    try:
        cursor.execute(sql)
    except OperationalError as error:
        short = isinstance(error.__cause__, psycopg.errors.DiskFull | psycopg.errors.OutOfMemory)
        if not short or connections[conf.settings.DATABASE].in_atomic_block:
            raise
        logger.warning(
            "Postgres has no room for a parallel build of the HNSW index of %s (%s): it is built by one process, which"
            " takes longer. In Docker, give the container --shm-size=3g.",
            index,
            str(error).split("\n")[0],
        )
        hnsw.clear(index.pk)
        try:
            cursor.execute("SET max_parallel_maintenance_workers = 0")
            cursor.execute(sql)
        finally:
            with suppress(DatabaseError):
                cursor.execute("RESET max_parallel_maintenance_workers")


def _reshape(cursor: Any, index: SearchIndex, m: int, ef_construction: int) -> None:
    """Have the next REINDEX build another graph, where it should: the one that is there knows its own shape."""
    cursor.execute("SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = to_regclass(%s)", [hnsw.name(index.pk)])
    (found,) = cursor.fetchone()
    if {f"m={m}", f"ef_construction={ef_construction}"} <= set(found):
        return
    try:
        # It waits for whoever searches, and who comes later waits for it.
        cursor.execute(f"SET lock_timeout = '{PATIENCE}ms'")
        cursor.execute(f"ALTER INDEX {hnsw.name(index.pk)} SET (m = {m}, ef_construction = {ef_construction})")
    except OperationalError:
        logger.warning("Index %s is in use by a long transaction: its graph is built anew in its old shape.", index)
    finally:
        with suppress(DatabaseError):
            cursor.execute("SET lock_timeout = 0")


def _rows(index: SearchIndex) -> int:
    return ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, state="ready").count()


def _graph(rows: int) -> tuple[int, int]:
    """Return `m` and `ef_construction` for so many vectors."""
    return next((m, ef_construction) for least, m, ef_construction in GRAPHS if rows >= least)


@contextmanager
def _memory(index: SearchIndex, rows: int) -> Iterator[Any]:
    """Yield a cursor that may build a graph of `rows` in memory, and take its time.

    A row takes 2 bytes a dimension, 16 for each of the 2 m links of the lowest layer, and about as much as 10 of those
    for the rest; a parallel build keeps 3 MB to itself. More than the bounds allow is said in the log.
    """
    needed = rows * (2 * (index.dimensions or 0) + 32 * _graph(rows)[0] + 160) * 1.05 / 2**20 + 4
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT setting::bigint / 1024 FROM pg_settings WHERE name = 'maintenance_work_mem'")
        (own,) = cursor.fetchone()
        megabytes = math.ceil(min(max(needed, LEAST_MEMORY), max(own, MOST_MEMORY)))
        if needed > megabytes:
            logger.warning(
                "The graph of index %s takes about %.0f MB to build, and may have %s MB: the build takes several times"
                " as long. Raise Postgres's maintenance_work_mem above that, if the machine has it.",
                index,
                needed,
                megabytes,
            )
        # A limit that suits a shop's queries would end each build.
        made = {"maintenance_work_mem": f"{megabytes}MB", "statement_timeout": "0", "lock_timeout": "0"}
        try:
            for setting, value in made.items():
                # Not SET LOCAL: CONCURRENTLY has no transaction of ours to be local to.
                cursor.execute(f"SET {setting} = '{value}'")
            yield cursor
        finally:
            with suppress(DatabaseError):
                for setting in made:
                    cursor.execute(f"RESET {setting}")
