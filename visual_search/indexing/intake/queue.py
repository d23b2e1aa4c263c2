"""Take queued products under a lease, and give them back: finished, or for later."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction

from visual_search import catalog, conf
from visual_search.models import QueuedProduct, SearchIndex

LEASE_SECONDS = 60
MOST_ATTEMPTS = 3
BACKOFF_SECONDS = 30

SUSPECTED_AMONG = 1_000
"""Products that are due, at the front, where a suspect is looked for: whoever claimed it found it there."""

_SUSPECT = "attempts > 0 AND not_before IS NULL"
"""Whoever gave a product back put it off; an attempt without that ended its process."""

RELEASE_PAUSES = (0.0, 0.05, 0.2)
"""Seconds to wait before each try to give back what somebody else has locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A product that this process may embed for one index until its lease runs out."""

    index: int
    product: Any
    generation: int
    attempts: int
    forced: bool = False
    token: uuid.UUID


def claim(limit: int) -> list[Claim]:
    """Lease up to `limit` due products of fitted indexes, the most urgent first, and count the attempt.

    Time is the database's. The attempt is committed before any picture is opened: what kills the process is counted.
    Of those whose worker died, only one is leased: the one that is to blame must not take the others along again. None
    of what else is due waits for them.
    """
    token = uuid.uuid4()
    queue = QueuedProduct._meta.db_table
    # By number: joined with the indexes, Postgres expects few rows and sorts the whole queue for the first of them.
    indexes = SearchIndex.objects.using(conf.settings.DATABASE).kept().filter(fitted_on__isnull=False)
    due = """index_id = ANY(%(indexes)s) AND (not_before IS NULL OR not_before <= now())
        AND (lease_until IS NULL OR lease_until < now())"""
    with transaction.atomic(conf.settings.DATABASE), connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            WITH front AS MATERIALIZED (
                SELECT id, {_SUSPECT} AS suspect FROM {queue} WHERE {due}
                ORDER BY priority, id LIMIT {SUSPECTED_AMONG}),
            lone AS (
                SELECT id FROM {queue} WHERE {due} AND {_SUSPECT} AND id IN (SELECT id FROM front WHERE suspect)
                ORDER BY priority, id LIMIT 1 FOR UPDATE SKIP LOCKED),
            others AS (
                SELECT id FROM {queue} WHERE {due} AND NOT ({_SUSPECT})
                ORDER BY priority, id LIMIT %(limit)s - (SELECT count(*) FROM lone) FOR UPDATE SKIP LOCKED)
            UPDATE {queue} SET lease_token = %(token)s, lease_until = now() + make_interval(secs => %(seconds)s),
                attempts = attempts + 1, not_before = NULL
            WHERE id IN (SELECT id FROM lone UNION ALL SELECT id FROM others)
            RETURNING index_id, product_id, generation, attempts, forced
            """,
            {
                "indexes": list(indexes.values_list("pk", flat=True)),
                "limit": limit,
                "token": token,
                "seconds": LEASE_SECONDS,
            },
        )
        return [
            Claim(index=row[0], product=row[1], generation=row[2], attempts=row[3], forced=row[4], token=token)
            for row in cursor.fetchall()
        ]


def won(claims: Sequence[Claim]) -> set[Any]:
    """Lock and return the products among `claims` that are still ours to finish; call it in a transaction.

    Compare-and-set on generation and token: whoever saved the product again, or took over a lease that ran out, has
    won. Products that the shop has locked are left out as well, since waiting for them could deadlock.
    """
    quoted = connections[conf.settings.DATABASE].ops.quote_name
    shop: Any = catalog.product_model()._meta
    product, key = quoted(shop.db_table), quoted(shop.pk.column)
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT queue.product_id, queue.generation FROM {QueuedProduct._meta.db_table} queue
            JOIN {product} product ON product.{key} = queue.product_id
            WHERE queue.index_id = %s AND queue.lease_token = %s AND queue.product_id = ANY(%s)
            FOR UPDATE OF queue SKIP LOCKED FOR KEY SHARE OF product SKIP LOCKED
            """,
            [claims[0].index, claims[0].token, [claim.product for claim in claims]],
        )
        generations = dict(cursor.fetchall())
    return {claim.product for claim in claims if generations.get(claim.product) == claim.generation}


def held(claims: Sequence[Claim]) -> list[Claim]:
    """Return those of `claims` whose lease is still ours."""
    rows = _rows(claims).values_list("product_id", "generation")
    generations = dict(rows)
    return [claim for claim in claims if generations.get(claim.product) == claim.generation]


def remove(claims: Sequence[Claim], products: Iterable[Any]) -> None:
    """Take the finished `products` of `claims` off the queue."""
    _rows(claims).filter(product_id__in=list(products)).delete()


def release(claims: Sequence[Claim], *, seconds: float | None = None, counted: bool = True) -> None:
    """End the lease of `claims`; they are due again in `seconds`, or after a pause that doubles with each attempt.

    With `counted=False` the attempt is taken back: it failed through no fault of these products.
    """
    if not claims:
        return
    attempts = max(claim.attempts for claim in claims)
    later = BACKOFF_SECONDS * 2 ** (attempts - 1) if seconds is None else seconds
    left = len(claims)
    for pause in RELEASE_PAUSES:
        time.sleep(pause)
        left -= _release(claims, seconds=later, counted=counted)
        if not left or not _rows(claims).exists():
            return


def _release(claims: Sequence[Claim], *, seconds: float, counted: bool) -> int:
    table = QueuedProduct._meta.db_table
    with connections[conf.settings.DATABASE].cursor() as cursor:
        # Our own heartbeat holds a row for a moment; of what the shop still holds after the last pause, since it
        # deletes it, the lease runs out: waiting for several of its rows could deadlock with it.
        cursor.execute(
            f"""
            UPDATE {table} SET lease_token = NULL, lease_until = NULL,
                not_before = now() + make_interval(secs => %s), attempts = attempts - %s
            WHERE id IN (
                SELECT id FROM {table} WHERE index_id = %s AND lease_token = %s AND product_id = ANY(%s)
                FOR UPDATE SKIP LOCKED)
            """,
            [seconds, int(not counted), claims[0].index, claims[0].token, [claim.product for claim in claims]],
        )
        return cursor.rowcount


def _rows(claims: Sequence[Claim]) -> Any:
    return QueuedProduct.objects.using(conf.settings.DATABASE).filter(
        index_id=claims[0].index,
        lease_token=claims[0].token,
        product_id__in=[claim.product for claim in claims],
    )
