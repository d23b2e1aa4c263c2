"""The HNSW index of each generation: partial, over an expression, built without blocking writes."""

from __future__ import annotations

from django.db import connections

from visual_search import conf
from visual_search.models import ProductEmbedding, SearchIndex

M = 16
EF_CONSTRUCTION = 64

OPERATOR_CLASSES = {SearchIndex.Metric.COSINE: "halfvec_cosine_ops"}


def name(index: int) -> str:
    """Return the name of the HNSW index of search index `index`."""
    return f"visual_search_hnsw_{index}"


def build(index: SearchIndex) -> None:
    """Create the HNSW index unless a valid one is there; an INVALID one, left by a build that died, is dropped first.

    CONCURRENTLY, save inside a transaction (a test's), where Postgres does not allow it.
    """
    if valid(index.pk):
        return
    connection = connections[conf.settings.DATABASE]
    drop(index.pk)
    concurrently = "" if connection.in_atomic_block else "CONCURRENTLY"
    if connection.in_atomic_block:
        # Deferred checks of foreign keys that are still to come would refuse the index.
        connection.check_constraints()
    table, operators = ProductEmbedding._meta.db_table, OPERATOR_CLASSES[SearchIndex.Metric(index.metric)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX {concurrently} {name(index.pk)} ON {table}"
            f" USING hnsw ((embedding::halfvec({index.dimensions})) {operators})"
            f" WITH (m = {M}, ef_construction = {EF_CONSTRUCTION}) WHERE index_id = {index.pk}"
        )
        # Without it the planner knows nothing of what was just loaded.
        cursor.execute(f"ANALYZE {table}")


def valid(index: int) -> bool:
    """Return whether the HNSW index of search index `index` exists and may be used."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name(index)])
        row = cursor.fetchone()
    return bool(row and row[0])


def drop(index: int) -> None:
    """Drop the HNSW index of search index `index`, if there is one."""
    connection = connections[conf.settings.DATABASE]
    concurrently = "" if connection.in_atomic_block else "CONCURRENTLY"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {concurrently} IF EXISTS {name(index)}")
