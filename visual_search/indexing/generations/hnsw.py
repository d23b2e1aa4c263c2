"""The HNSW index of each generation, partial and over an expression: what searches and watchers need of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections

from visual_search import conf
from visual_search.indexing import locks
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

OPERATORS = {
    SearchIndex.Metric.COSINE: ("<=>", "halfvec_cosine_ops"),
    SearchIndex.Metric.EUCLIDEAN: ("<->", "halfvec_l2_ops"),
    SearchIndex.Metric.PEARSON: ("<=>", "halfvec_cosine_ops"),  # of vectors less their own mean
}
"""Distance operator and operator class of each metric."""

LOCK = "visual_search.hnsw"
"""Name of the lock of what changes an HNSW index CONCURRENTLY: of two on one table Postgres ends one, as a deadlock.

It is the longer one that is ended, with all that it has done: a build that a mere DROP of another index waits for.
"""

MANY_ROWS = 10_000
"""Rows below which nobody notices the dead ones: every product is sorted then."""

MOST_DEAD = 0.2
"""Share of dead rows from which they cost searches something: an HNSW scan visits them too."""


LARGE = 2**30
"""Bytes of an index from which finding its pages in memory costs more than comparing what is on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How far Postgres is with an index: its phase, and tuples done of how many (0 where the phase counts none)."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the HNSW index of search index `index` can be used, its bytes, and those of `shared_buffers`.

    `dead` is the share of the table's rows that are so (0 where they are few); `small_pages` says that Postgres has no
    huge ones, which it doesn't tell before version 17.
    """

    index: int
    valid: bool
    size: int
    memory: int
    dead: float
    small_pages: bool = False

    @property
    def advice(self) -> tuple[str, ...]:
        """Return what should be done, if anything."""
        found = []
        if not self.valid:
            found.append(
                "The HNSW index is missing or INVALID: searches among many products compare every vector. "
                f"`manage.py visual_search index reindex {self.index}` builds it."
            )
        if self.size > self.memory:
            found.append(
                f"The index has {self.size >> 20} MB and shared_buffers {self.memory >> 20} MB: a search reads from "
                "disk. Raise shared_buffers to the index's size at least."
            )
        elif self.small_pages and self.size > LARGE:
            found.append(
                f"The index has {self.size >> 20} MB and Postgres no huge pages: with them a search takes about two"
                " thirds of the time. Reserve them with vm.nr_hugepages; huge_pages = try, the default, takes them."
            )
        if self.dead > MOST_DEAD:
            command = f"manage.py visual_search index reindex {self.index}"
            found.append(f"{self.dead:.0%} of the rows are dead: `{command}`, then VACUUM.")
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
                coalesce(current_setting('huge_pages_status', true), '') = 'off',
                coalesce(n_dead_tup, 0), coalesce(n_live_tup, 0)
            FROM pg_stat_user_tables WHERE relid = %s::regclass
            """,
            [name(index), ProductEmbedding._meta.db_table],
        )
        size, memory, small, dead, alive = cursor.fetchone()
    share = dead / (dead + alive) if dead + alive >= MANY_ROWS else 0.0
    return Health(index=index, valid=valid(index), size=size, memory=memory, dead=share, small_pages=small)


def drop(index: int) -> None:
    """Drop the HNSW index of search index `index`, if there is one. Waits while another is built or dropped."""
    with in_turn() as concurrently, connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(f"DROP INDEX {concurrently} IF EXISTS {name(index)}")
        clear(index)


def clear(index: int) -> None:
    """Drop what builds that failed have left of the HNSW index of search index `index`: writes go on keeping it up."""
    with in_turn() as concurrently, connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indrelid = %s::regclass AND NOT indisvalid AND relname ~ %s",
            [ProductEmbedding._meta.db_table, rf"^{name(index)}(_cc(new|old)\d*)?$"],
        )
        for (left,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {concurrently} IF EXISTS {left}")


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
