"""The foreign keys from our rows to their product, which cascade in the database and which Django knows nothing of.

A migration that alters the product's key drops all foreign keys to it, and makes those anew that Django knows.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import Error, connections, transaction

from visual_search import catalog, conf
from visual_search.models.embeddings import ProductEmbedding
from visual_search.models.indexes import FitSample
from visual_search.models.queue import QueuedProduct
from visual_search.models.texts import ProductText

logger = logging.getLogger("visual_search.indexing")

PATIENCE = 5_000
"""Milliseconds to wait for whoever saves products just now; who comes later waits meanwhile."""


def missing() -> list[str]:
    """Return the tables, of those that there are, whose rows a delete of their product doesn't take along."""
    connection = connections[conf.settings.DATABASE]
    tables = sorted(model._meta.db_table for model in (ProductEmbedding, QueuedProduct, FitSample, ProductText))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT ours.name FROM unnest(%s::text[], %s::text[]) ours(name, quoted)
            WHERE to_regclass(ours.quoted) IS NOT NULL AND to_regclass(%s) IS NOT NULL AND NOT EXISTS (
                SELECT FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'c' AND convalidated
                AND conrelid = to_regclass(ours.quoted) AND confrelid = to_regclass(%s)
                AND conkey = ARRAY(SELECT attnum FROM pg_attribute
                    WHERE attrelid = to_regclass(ours.quoted) AND attname = 'product_id'))
            ORDER BY ours.name
            """,
            [tables, list(map(connection.ops.quote_name, tables)), *[_product()] * 2],
        )
        return [row[0] for row in cursor.fetchall()]


def restore() -> dict[str, int]:
    """Make the foreign keys anew that are `missing`; return how many rows of deleted products went, by table.

    What is in use for long, or another's, is left as it is, and logged.
    """
    deleted = {}
    for table in missing():
        try:
            deleted[table] = _restored(table)
        except Error as error:
            logger.warning("%s is in use, or not to be altered: migrate again later. %s", table, error)
        else:
            logger.warning(
                "%s has its foreign key to products again; %s rows of products that were deleted meanwhile are gone.",
                table,
                deleted[table],
            )
    return deleted


def _restored(table: str) -> int:
    connection = connections[conf.settings.DATABASE]
    quote, key = connection.ops.quote_name, connection.ops.quote_name(str(catalog.product_model()._meta.pk.column))
    with connection.cursor() as cursor:
        # At first for new rows alone: saves of products wait for no more than that.
        with transaction.atomic(conf.settings.DATABASE):
            cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}ms'")
            cursor.execute(_addition(table))
        cursor.execute(
            f"DELETE FROM {quote(table)} ours WHERE NOT EXISTS ("
            f"SELECT FROM {_product()} product WHERE product.{key} = ours.product_id)"
        )
        deleted = cursor.rowcount
        cursor.execute(f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(_name(table))}")
    return deleted


def _addition(table: str) -> str:
    quote: Any = connections[conf.settings.DATABASE].ops.quote_name
    return (
        f"ALTER TABLE {quote(table)} DROP CONSTRAINT IF EXISTS {quote(_name(table))},"
        f" ADD CONSTRAINT {quote(_name(table))} FOREIGN KEY (product_id) REFERENCES {_product()}"
        f" ({quote(catalog.product_model()._meta.pk.column)}) ON DELETE CASCADE NOT VALID"
    )


def _name(table: str) -> str:
    return f"{table}_product_fk"


def _product() -> str:
    return connections[conf.settings.DATABASE].ops.quote_name(catalog.product_model()._meta.db_table)
