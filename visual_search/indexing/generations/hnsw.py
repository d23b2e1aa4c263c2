"""The HNSW index of each generation: partial, over an expression, built without blocking writes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, OperationalError, connections

from visual_search import conf
from visual_search.exceptions import IndexStateError
from visual_search.indexing import locks
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

GRAPH, LARGE_GRAPH = (16, 64), (24, 128)
"""`m` and `ef_construction` of a graph, and of one with MANY vectors.

With `ef_search` at 100, 16 and 64 found of the ten nearest among 100,000 clustered vectors of 501 dimensions 100 % by
the index's own shares of the parts, 97 % by others, and 83 % among 1,000,000. With 24 and 128 it is 98 % or more in
all of these, in a fifth more time and memory; they take 3.6 times as long to build.
"""

MANY = 50_000

OPERATORS = {
    SearchIndex.Metric.COSINE: ("<=>", "halfvec_cosine_ops"),
    SearchIndex.Metric.EUCLIDEAN: ("<->", "halfvec_l2_ops"),
    SearchIndex.Metric.PEARSON: ("<=>", "halfvec_cosine_ops"),  # of vectors less their own mean
}
"""Distance operator and operator class of each metric."""

LEAST_MEMORY, MOST_MEMORY = 64, 2_048
"""Bounds in MB of what a build may take: with too little the graph spills, and the build takes 3.6 times as long."""

PATIENCE = 3_000
"""Milliseconds that changing the graph's shape may make searches wait."""

LOCK = "visual_search.hnsw"
"""Name of the lock of what changes an HNSW index CONCURRENTLY: of two on one table Postgres ends one, as a deadlock.

It is the longer one that is ended, with all that it has done: a build that a mere DROP of another index waits for.
"""

MOST_DEAD = 0.2
"""Share of dead rows from which they cost searches something: an HNSW scan visits them too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How far Postgres is with an index: its phase, and tuples done of how many (0 where the phase counts none)."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the HNSW index can be used, its bytes, those of `shared_buffers`, the share of dead rows in the table."""

    valid: bool
    size: int
    memory: int
    dead: float

    @property
    def advice(self) -> tuple[str, ...]:
        """Return what should be done, if anything."""
        found = []
        if not self.valid:
            found.append(
                "The HNSW index is missing or INVALID: searches among many products compare every vector. "
                "`manage.py visual_search index reindex` builds it."
            )
        if self.size > self.memory:
            found.append(
                f"The index has {self.size >> 20} MB and shared_buffers {self.memory >> 20} MB: a search reads from "
                "disk. Raise shared_buffers to the index's size at least."
            )
        if self.dead > MOST_DEAD:
            found.append(f"{self.dead:.0%} of the rows are dead: `manage.py visual_search index reindex`, then VACUUM.")
        return tuple(found)


def is_busy() -> bool:
    """Return whether another session builds or drops an HNSW index, so that a change has to wait."""
    with locks.alone(LOCK, 0) as alone:
        return not alone


def name(index: int) -> str:
    """Return the name of the HNSW index of search index `index`."""
    return f"visual_search_hnsw_{index}"


def operator(index: SearchIndex) -> str:
    """Return the distance operator of the metric of `index`."""
    return OPERATORS[SearchIndex.Metric(index.metric)][0]


def weighted(index: SearchIndex, vector: str, shares: Sequence[float]) -> str:
    """Return SQL for a stored `vector` (SQL) with each part times its share; the planner sees shares as a constant.

    They are multiplied in 32 bits: pgvector's product of two halfvecs raises where one of its elements underflows.
    """
    size = index.dimensions
    arrays = (
        f"array_fill({share!r}::real, ARRAY[{part['dimensions']}])"
        for share, part in zip(shares, index.parts, strict=True)
    )
    return f"({vector}::halfvec({size})::vector({size}) * ({' || '.join(arrays)})::vector({size}))::halfvec({size})"


def similarity(index: SearchIndex, distance: str) -> str:
    """Return SQL for how alike two vectors are whose `distance` (SQL) the operator gives: 1 where they are the same."""
    return f"1 / (1 + {distance})" if index.metric == SearchIndex.Metric.EUCLIDEAN else f"1 - {distance}"


def build(index: SearchIndex) -> None:
    """Create the HNSW index unless a valid one is there; an INVALID one, left by a build that died, is dropped first.

    CONCURRENTLY, save inside a transaction (a test's), where Postgres does not allow it. Waits while another HNSW index
    is built or dropped; a search index that was retired or deleted meanwhile gets none.
    """
    table, operators = ProductEmbedding._meta.db_table, OPERATORS[SearchIndex.Metric(index.metric)][1]
    with in_turn() as concurrently:
        wanted = SearchIndex.objects.using(conf.settings.DATABASE).filter(pk=index.pk)
        if valid(index.pk) or not wanted.exclude(state=SearchIndex.State.RETIRED).exists():
            return
        drop(index.pk)
        if not concurrently:
            # Deferred checks of foreign keys that are still to come would refuse the index.
            connections[conf.settings.DATABASE].check_constraints()
        rows = _rows(index)
        m, ef_construction = _graph(rows)
        with _memory(index, rows) as cursor:
            cursor.execute(
                f"CREATE INDEX {concurrently} {name(index.pk)} ON {table}"
                f" USING hnsw ((embedding::halfvec({index.dimensions})) {operators})"
                f" WITH (m = {m}, ef_construction = {ef_construction}) WHERE index_id = {index.pk}"
            )
            # Without it the planner knows nothing of what was just loaded.
            cursor.execute(f"ANALYZE {table}")


def rebuild(index: SearchIndex) -> None:
    """Build the HNSW index anew beside the old one and switch, blocking nobody: after many deletes, before a VACUUM.

    Six times as fast as vacuuming as many dead rows out of the graph. An index that has grown past MANY vectors gets
    the graph of a large one. Waits while another HNSW index is built or dropped. Not possible inside a transaction.
    Raises IndexStateError where there is none.
    """
    with in_turn():
        if not valid(index.pk):
            raise IndexStateError(f"Index {index} has no valid HNSW index that could be built anew.")
        _rebuild(index, _rows(index))


def _rebuild(index: SearchIndex, rows: int) -> None:
    with _memory(index, rows) as cursor:
        _reshape(cursor, index, *_graph(rows))
        cursor.execute(f"REINDEX INDEX CONCURRENTLY {name(index.pk)}")


def _reshape(cursor: Any, index: SearchIndex, m: int, ef_construction: int) -> None:
    """Have the next REINDEX build another graph, where it should: the one that is there knows its own shape."""
    cursor.execute("SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = to_regclass(%s)", [name(index.pk)])
    (found,) = cursor.fetchone()
    if {f"m={m}", f"ef_construction={ef_construction}"} <= set(found):
        return
    try:
        # It waits for whoever searches, and who comes later waits for it.
        cursor.execute(f"SET lock_timeout = '{PATIENCE}ms'")
        cursor.execute(f"ALTER INDEX {name(index.pk)} SET (m = {m}, ef_construction = {ef_construction})")
    except OperationalError:
        logger.warning("Index %s is in use by a long transaction: its graph is built anew in its old shape.", index)
    finally:
        with suppress(DatabaseError):
            cursor.execute("RESET lock_timeout")


def _rows(index: SearchIndex) -> int:
    return ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, state="ready").count()


def _graph(rows: int) -> tuple[int, int]:
    """Return `m` and `ef_construction` for so many vectors."""
    return LARGE_GRAPH if rows >= MANY else GRAPH


@contextmanager
def _memory(index: SearchIndex, rows: int) -> Iterator[Any]:
    """Yield a cursor that may build a graph of `rows` in memory.

    That takes rows x (2 bytes a dimension + 8 + links), and 30 % more (pgvector#745).
    """
    needed = rows * (2 * (index.dimensions or 0) + 8 + 16 * _graph(rows)[0]) * 1.3 / 2**20
    with connections[conf.settings.DATABASE].cursor() as cursor:
        try:
            # Not SET LOCAL: CONCURRENTLY has no transaction of ours to be local to.
            cursor.execute(f"SET maintenance_work_mem = '{int(min(max(needed, LEAST_MEMORY), MOST_MEMORY))}MB'")
            yield cursor
        finally:
            with suppress(DatabaseError):
                cursor.execute("RESET maintenance_work_mem")


def progress(index: int) -> Build | None:
    """Return how far the build for search index `index` is, or None where none is running."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT phase, tuples_done, tuples_total FROM pg_stat_progress_create_index"
            " WHERE index_relid = to_regclass(%s) OR pid IN ("
            "   SELECT pid FROM pg_stat_activity WHERE query LIKE '%%CREATE INDEX%%' || %s || ' ON%%')",
            [name(index), name(index)],
        )
        row = cursor.fetchone()
    return Build(phase=row[0], done=row[1], total=row[2]) if row else None


def valid(index: int) -> bool:
    """Return whether the HNSW index of search index `index` exists and may be used."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name(index)])
        row = cursor.fetchone()
    return bool(row and row[0])


def health(index: int) -> Health:
    """Return how large the index is, how much memory Postgres may keep it in, and how much of the table is dead."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(pg_relation_size(to_regclass(%s)), 0), pg_size_bytes(current_setting('shared_buffers')),
                coalesce(n_dead_tup, 0), coalesce(n_live_tup, 0)
            FROM pg_stat_user_tables WHERE relid = %s::regclass
            """,
            [name(index), ProductEmbedding._meta.db_table],
        )
        size, memory, dead, alive = cursor.fetchone()
    return Health(valid=valid(index), size=size, memory=memory, dead=dead / (dead + alive) if dead else 0.0)


def drop(index: int) -> None:
    """Drop the HNSW index of search index `index`, if there is one. Waits while another is built or dropped."""
    with in_turn() as concurrently, connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(f"DROP INDEX {concurrently} IF EXISTS {name(index)}")


@contextmanager
def in_turn() -> Iterator[str]:
    """Wait for the turn to change an HNSW index, and yield "CONCURRENTLY"; "" and at once inside a transaction.

    What was known before may not hold any more when the turn comes.
    """
    if connections[conf.settings.DATABASE].in_atomic_block:
        yield ""
        return
    with locks.in_turn(LOCK, 0):
        yield "CONCURRENTLY"
