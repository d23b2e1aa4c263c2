"""Write embeddings: one COPY into a staging table, one upsert from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connections
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from visual_search import conf
from visual_search.models import ProductEmbedding

UNCHANGED = "unchanged"
"""State of a staged row whose picture has the vector already."""

_STAGE = "visual_search_stage"
_COLUMNS = (
    "index_id", "product_id", "image_key", "region", "position", "state", "error_code", "error_message",
    "source_name", "source_sha256", "source_size", "part_lengths", "embedding",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Row:
    """The outcome for one picture, or for one region of it; `embedding` float32 [d] where `state` is "ready"."""

    product: Any
    image_key: str
    position: int
    state: str
    region: Sequence[float] = ()
    error_code: str = ""
    error_message: str = ""
    source_name: str = ""
    source_sha256: str = ""
    source_size: int | None = None
    part_lengths: Sequence[float] = ()
    embedding: np.ndarray[Any, Any] | None = None


def write(index: int, products: Collection[Any], rows: Sequence[Row]) -> None:
    """Make `rows` all that `index` says about `products`, in the caller's transaction.

    A picture that has no row here is forgotten; an `UNCHANGED` one keeps its vector.
    """
    if not products and not rows:
        return
    connection = connections[conf.settings.DATABASE]
    table = ProductEmbedding._meta.db_table
    columns = ", ".join(_COLUMNS)
    updated = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[4:])
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGE} ON COMMIT DELETE ROWS"
            f" AS SELECT {columns} FROM {table} WITH NO DATA"
        )
        # It is empty, unless this transaction wrote before; a TRUNCATE would make new files all the same.
        cursor.execute(f"DELETE FROM {_STAGE}")
        _copy(connection, index, rows)
        cursor.execute(
            f"""
            DELETE FROM {table} old WHERE index_id = %s AND product_id = ANY(%s) AND NOT EXISTS (
                SELECT 1 FROM {_STAGE} new
                WHERE (new.product_id, new.image_key, new.region) = (old.product_id, old.image_key, old.region))
            """,
            [index, list(products)],
        )
        cursor.execute(
            f"""
            UPDATE {table} old SET position = new.position, source_name = new.source_name,
                source_size = new.source_size
            FROM {_STAGE} new WHERE new.state = %s AND old.index_id = new.index_id
            AND (old.product_id, old.image_key, old.region) = (new.product_id, new.image_key, new.region)
            AND (old.position, old.source_name, old.source_size)
                IS DISTINCT FROM (new.position, new.source_name, new.source_size)
            """,
            [UNCHANGED],
        )
        cursor.execute(
            f"""
            INSERT INTO {table} ({columns}) SELECT {columns} FROM {_STAGE} WHERE state <> %s
            ORDER BY product_id, image_key, region
            ON CONFLICT (index_id, product_id, image_key, region) DO UPDATE SET {updated}, updated_at = now()
            """,
            [UNCHANGED],
        )


def _copy(connection: Any, index: int, rows: Sequence[Row]) -> None:
    raw = connection.connection
    if raw.adapters.types.get("halfvec") is None:
        register_vector(raw)  # four queries
    with raw.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {_STAGE} LIMIT 0")
        types = [column.type_code for column in cursor.description]
        with (
            connection.wrap_database_errors,
            cursor.copy(f"COPY {_STAGE} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(types)
            for row in rows:
                copy.write_row(
                    (
                        index,
                        row.product,
                        row.image_key,
                        list(row.region),
                        row.position,
                        row.state,
                        row.error_code,
                        row.error_message,
                        row.source_name,
                        row.source_sha256,
                        row.source_size,
                        list(row.part_lengths),
                        None if row.embedding is None else HalfVector(row.embedding),
                    )
                )
