"""From a signal to the queue: changes are appended, then folded into one queued row per index and product."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections, models, transaction

from visual_search import catalog, conf
from visual_search.indexing.intake import nudge
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct, SearchIndex

FOLDED_AT_ONCE = 5_000

QUEUED_AT_ONCE = 2_000
"""Products that a transaction queues: it shares a lock on each of them, which a shop that locks one waits for."""


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
    recognised and not embedded again. Products are read where they are written: a replica may not have them yet.
    """
    keys = list(queryset.using(conf.settings.DATABASE).order_by().values_list("pk", flat=True))
    record(keys)
    return len(keys)


def fold(*, limit: int = FOLDED_AT_ONCE) -> int:
    """Move up to `limit` changes into the queue of every index that is kept, if any; return how many there were.

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
                INSERT INTO {queue} AS queue (index_id, product_id, generation, priority, attempts, forced)
                SELECT index.id, latest.product_id, latest.generation, %s, 0, false
                FROM latest CROSS JOIN {index} index WHERE index.state = ANY(%s)
                ORDER BY index.id, latest.product_id
                -- Always a new generation: a change that commits late may carry a smaller id than one folded before.
                ON CONFLICT (index_id, product_id) DO UPDATE SET
                    generation = greatest(queue.generation + 1, excluded.generation), priority = excluded.priority,
                    queued_at = now(), attempts = 0, not_before = NULL, lease_token = NULL, lease_until = NULL
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


def wanted(after: str | None = None) -> list[Any]:
    """Return the keys, in order, of the products that every index has to hold, of those past the key `after`.

    They are those that the shop lists, and those that are embedded in some index and hidden just now: they may be shown
    again without a save.
    """
    sql, parameters = _listed()
    sql = f"SELECT listed.key FROM ({sql}) listed(key) UNION SELECT product_id FROM {_table(ProductEmbedding)}"
    # All that are left, and not a page of them: a catalog's queryset may be costly.
    if after is None:
        return _keys(f"{sql} ORDER BY 1", parameters)
    key = catalog.product_model()._meta.pk.db_type(connections[conf.settings.DATABASE])
    sql = f"SELECT wanted.key FROM ({sql}) wanted(key) WHERE wanted.key > CAST(%s AS {key}) ORDER BY 1"
    return _keys(sql, [*parameters, after])


def queue(index: SearchIndex, products: Sequence[Any], *, forced: bool = False) -> None:
    """Queue `products` (keys) for `index`, at bulk priority, in the caller's transaction.

    `forced` has unchanged pictures encoded again too, but for products that the shop has locked just now.
    """
    _queue_some([index], products, priority=QueuedProduct.Priority.BULK, forced=forced)


def is_empty() -> bool:
    """Return whether the shop lists no product."""
    return not catalog.current().products().using(conf.settings.DATABASE).order_by()[:1].exists()


def queue_missing(index: SearchIndex) -> int:
    """Queue listed products that have neither a row in `index` nor a place in its queue; return how many."""
    sql, parameters = _missing(index)
    return _queue([index], _keys(f"{sql} ORDER BY 1", parameters), priority=QueuedProduct.Priority.BULK)


def missing(index: SearchIndex, *, sample: int) -> tuple[int, list[Any]]:
    """Return how many products `queue_missing` would queue, those without pictures among them, and keys of some."""
    sql, parameters = _missing(index)
    with _cursor() as cursor:
        cursor.execute(
            f"SELECT missing.key, count(*) OVER () FROM ({sql}) missing(key) ORDER BY md5(missing.key::text) LIMIT %s",
            [*parameters, sample],
        )
        rows = cursor.fetchall()
    return (rows[0][1] if rows else 0), [row[0] for row in rows]


def force(products: Sequence[Any]) -> int:
    """Queue `products` (keys) for every index that is kept, to be encoded again though unchanged; return the rows."""
    kept = list(SearchIndex.objects.using(conf.settings.DATABASE).kept())
    return _queue(kept, products, priority=QueuedProduct.Priority.SAVED, forced=True)


def _missing(index: SearchIndex) -> tuple[str, Sequence[Any]]:
    sql, parameters = _listed()
    return (
        f"""
        SELECT listed.key FROM ({sql}) listed(key)
        WHERE NOT EXISTS (SELECT 1 FROM {_table(ProductEmbedding)} WHERE index_id = %s AND product_id = listed.key)
        AND NOT EXISTS (SELECT 1 FROM {_table(QueuedProduct)} WHERE index_id = %s AND product_id = listed.key)
        AND NOT EXISTS (SELECT 1 FROM {_table(ProductChange)} WHERE product_id = listed.key)
        """,
        [*parameters, index.pk, index.pk],
    )


def _listed() -> tuple[str, Sequence[Any]]:
    query = catalog.unordered(catalog.current().products().using(conf.settings.DATABASE)).values("pk").query
    return query.get_compiler(conf.settings.DATABASE).as_sql()


def _keys(sql: str, parameters: Sequence[Any]) -> list[Any]:
    with _cursor() as cursor:
        cursor.execute(sql, parameters)
        return [key for (key,) in cursor]


def _queue(indexes: Sequence[SearchIndex], products: Sequence[Any], *, priority: int, forced: bool = False) -> int:
    """Queue `products` (keys) for each of `indexes`; return how many rows that wrote.

    Some at a time, in a transaction of their own unless the caller has one. What a process that dies has not come to is
    queued by whoever asks again.
    """
    written = 0
    for start in range(0, len(products), QUEUED_AT_ONCE):
        with transaction.atomic(conf.settings.DATABASE):
            written += _queue_some(indexes, products[start : start + QUEUED_AT_ONCE], priority=priority, forced=forced)
        # One at the start and one at the end: each nudge is a task, and each task calls the next one.
        if start == 0 or start + QUEUED_AT_ONCE >= len(products):
            nudge.after_commit(using=conf.settings.DATABASE)
    return written


def _queue_some(indexes: Sequence[SearchIndex], products: Sequence[Any], *, priority: int, forced: bool) -> int:
    product, key = _table(catalog.product_model()), _column(catalog.product_model()._meta.pk)
    change, queue = _table(ProductChange), _table(QueuedProduct)
    again = """UPDATE SET forced = true, generation = queue.generation + 1, queued_at = now(), attempts = 0,
        not_before = NULL, lease_token = NULL, lease_until = NULL"""
    keys, numbers = list(products), [index.pk for index in indexes]
    with _cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {queue} AS queue (index_id, product_id, generation, priority, attempts, forced)
            SELECT index.id, free.key, 0, %s, 0, %s FROM (
                SELECT product.{key} AS key FROM {product} product WHERE product.{key} = ANY(%s)
                ORDER BY product.{key} FOR KEY SHARE SKIP LOCKED) free
            CROSS JOIN unnest(%s::bigint[]) index(id) ORDER BY index.id, free.key
            ON CONFLICT (index_id, product_id) DO {again if forced else "NOTHING"}
            """,
            [priority, forced, keys, numbers],
        )
        written = cursor.rowcount
        # What the shop had locked just now takes the way of a save, which waits for nobody.
        cursor.execute(
            f"""
            INSERT INTO {change} (product_id) SELECT product.{key} FROM {product} product
            WHERE product.{key} = ANY(%s) AND EXISTS (
                SELECT 1 FROM unnest(%s::bigint[]) index(id) WHERE NOT EXISTS (
                    SELECT 1 FROM {queue} WHERE index_id = index.id AND product_id = product.{key}))
            """,
            [keys, numbers],
        )
    return written


def _cursor() -> Any:
    return connections[conf.settings.DATABASE].cursor()


def _table(model: type[models.Model]) -> str:
    return connections[conf.settings.DATABASE].ops.quote_name(model._meta.db_table)


def _column(field: Any) -> str:
    return connections[conf.settings.DATABASE].ops.quote_name(field.column)
