"""From a signal to the queue: changes are appended, then folded into one queued row per index and product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections, models, transaction

from visual_search import catalog, conf
from visual_search.indexing import nudge
from visual_search.models import ProductChange, QueuedProduct, SearchIndex

FOLDED_AT_ONCE = 5_000


def record(products: Iterable[Any], *, using: str | None = None) -> None:
    """Note that the pictures of `products` (keys) may have changed, in the caller's transaction, and wake a worker."""
    using = using or conf.settings.DATABASE
    rows = [ProductChange(product_id=key) for key in products]
    if not rows:
        return
    ProductChange.objects.using(using).bulk_create(rows, batch_size=1_000)
    nudge.after_commit(using=using)


def refresh(queryset: models.QuerySet[Any]) -> int:
    """Queue the products of `queryset` after a bulk operation that sends no signals; return how many.

    `QuerySet.update()`, `bulk_create()` and raw SQL change pictures unseen. Pictures whose bytes are the same are
    recognised and not embedded again.
    """
    keys = list(queryset.order_by().values_list("pk", flat=True))
    record(keys, using=queryset.db)
    return len(keys)


def fold(*, limit: int = FOLDED_AT_ONCE) -> int:
    """Move up to `limit` changes into the queue of every index that is kept, and return how many there were.

    Rows that the shop has locked are left for the next time: waiting for them while holding others could deadlock
    with the shop's own transaction.
    """
    product = _table(catalog.product_model())
    key = _column(catalog.product_model()._meta.pk)
    change, queue, index = _table(ProductChange), _table(QueuedProduct), _table(SearchIndex)
    with transaction.atomic(conf.settings.DATABASE), _cursor() as cursor:
        cursor.execute(
            f"""
            WITH taken AS (
                SELECT change.id, change.product_id
                FROM {change} change JOIN {product} product ON product.{key} = change.product_id
                ORDER BY change.id LIMIT %s
                FOR UPDATE OF change SKIP LOCKED FOR KEY SHARE OF product SKIP LOCKED
            ), folded AS (
                DELETE FROM {change} WHERE id IN (SELECT id FROM taken)
            ), latest AS (
                SELECT product_id, max(id) AS generation FROM taken GROUP BY product_id
            ), queued AS (
                INSERT INTO {queue} AS queue (index_id, product_id, generation, priority, attempts)
                SELECT index.id, latest.product_id, latest.generation, %s, 0
                FROM latest CROSS JOIN {index} index WHERE index.state = ANY(%s)
                ORDER BY index.id, latest.product_id
                -- Always a new generation: a change that commits late may carry a smaller id than one folded before.
                ON CONFLICT (index_id, product_id) DO UPDATE SET
                    generation = greatest(queue.generation + 1, excluded.generation), priority = excluded.priority,
                    attempts = 0, not_before = NULL, lease_token = NULL, lease_until = NULL
            )
            SELECT count(*) FROM taken
            """,
            [limit, QueuedProduct.Priority.SAVED, [str(state) for state in SearchIndex.KEPT]],
        )
        folded = cursor.fetchone()[0]
        if folded < limit:
            cursor.execute(
                f"""
                DELETE FROM {change} WHERE id IN (
                    SELECT id FROM {change} change
                    WHERE NOT EXISTS (SELECT 1 FROM {product} product WHERE product.{key} = change.product_id)
                    LIMIT %s FOR UPDATE SKIP LOCKED)
                """,
                [limit],
            )
    return folded


def queue_all(index: SearchIndex) -> int:
    """Queue every product that the shop lists for `index`, at bulk priority; return how many rows that added."""
    listed = catalog.current().products().using(conf.settings.DATABASE).order_by().values("pk").query
    sql, parameters = listed.get_compiler(conf.settings.DATABASE).as_sql()
    product, key = _table(catalog.product_model()), _column(catalog.product_model()._meta.pk)
    change, queue = _table(ProductChange), _table(QueuedProduct)
    with transaction.atomic(conf.settings.DATABASE), _cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {queue} (index_id, product_id, generation, priority, attempts)
            SELECT %s, product.{key}, 0, %s, 0 FROM {product} product WHERE product.{key} IN ({sql})
            ORDER BY product.{key} FOR KEY SHARE SKIP LOCKED
            ON CONFLICT (index_id, product_id) DO NOTHING
            """,
            [index.pk, QueuedProduct.Priority.BULK, *parameters],
        )
        added = cursor.rowcount
        # What the shop had locked just now takes the way of a save, which waits for nobody.
        cursor.execute(
            f"""
            INSERT INTO {change} (product_id) SELECT product.{key} FROM {product} product
            WHERE product.{key} IN ({sql})
            AND NOT EXISTS (SELECT 1 FROM {queue} WHERE index_id = %s AND product_id = product.{key})
            """,
            [*parameters, index.pk],
        )
        nudge.after_commit(using=conf.settings.DATABASE)
    return added


def waiting() -> bool:
    """Return whether there are changes to fold."""
    return ProductChange.objects.using(conf.settings.DATABASE).exists()


def _cursor() -> Any:
    return connections[conf.settings.DATABASE].cursor()


def _table(model: type[models.Model]) -> str:
    return connections[conf.settings.DATABASE].ops.quote_name(model._meta.db_table)


def _column(field: Any) -> str:
    return connections[conf.settings.DATABASE].ops.quote_name(field.column)
