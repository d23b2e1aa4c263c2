"""Every product for an index, queued some at a time by whoever works: nobody waits for it, and no death loses it."""

from __future__ import annotations

import time
from typing import Any

from django.db import connections, transaction
from django.db.models.functions import Now

from visual_search import catalog, conf
from visual_search.indexing import locks
from visual_search.indexing.intake import changes, nudge
from visual_search.models import Refill, SearchIndex

LOCK = "visual_search.refill"

SECONDS = 1.0
"""How long a piece takes: what is saved meanwhile waits for it."""

SHARE = 3
"""Or so many times as long as listing the products took, where a catalog takes its time for it."""


def begin(index: SearchIndex, *, forced: bool = False) -> None:
    """Have workers queue every product for `index`, from the first one on, though they are at it already.

    `forced` has unchanged pictures encoded again too; so does a refill that was begun with it, and isn't done.
    """
    with connections[conf.settings.DATABASE].cursor() as cursor:
        table = Refill._meta.db_table
        cursor.execute(
            f"""
            INSERT INTO {table} AS refill (index_id, forced) VALUES (%s, %s)
            ON CONFLICT (index_id) DO UPDATE SET
                after = NULL, remaining = NULL, forced = refill.forced OR excluded.forced, moved_at = now()
            """,
            [index.pk, forced],
        )
    nudge.after_commit(using=conf.settings.DATABASE)


def go_on() -> bool:
    """Queue products for about a second, for one index that wants them; return whether that led any further."""
    for key in _refills().filter(index__state__in=SearchIndex.KEPT).order_by("index").values_list("index", flat=True):
        with locks.alone(LOCK, key) as alone:
            if alone and (refill := _refills().filter(index=key).select_related("index").first()) and _go_on(refill):
                return True
    return False


def is_going_on(index: SearchIndex) -> bool:
    """Return whether there are products that are still to be queued for `index`, or looked for."""
    return bool(_refills().filter(index=index).exists())


def drop(index: SearchIndex) -> None:
    """Leave the rest: the index is given up."""
    _refills().filter(index=index).delete()


def _go_on(refill: Refill) -> bool:
    started = time.monotonic()
    key = catalog.product_model()._meta.pk
    products = changes.wanted(None if refill.after is None else key.to_python(refill.after))
    until = time.monotonic() + max(SECONDS, SHARE * (time.monotonic() - started))
    for start in range(0, max(len(products), 1), changes.QUEUED_AT_ONCE):
        end = start + changes.QUEUED_AT_ONCE
        if not _queue_page(refill, products[start:end], remaining=max(len(products) - end, 0)):
            return start > 0
        if time.monotonic() >= until:
            break
    return True


def _queue_page(refill: Refill, page: list[Any], *, remaining: int) -> bool:
    """Queue `page` and note it, in one transaction; return False where somebody began anew, or gave the index up."""
    with transaction.atomic(conf.settings.DATABASE):
        ours = _refills().filter(pk=refill.pk, after=refill.after, forced=refill.forced).select_for_update()
        if not ours.exists():
            return False
        changes.queue(refill.index, page, forced=refill.forced)
        if remaining:
            refill.after = str(page[-1])
            _refills().filter(pk=refill.pk).update(after=refill.after, remaining=remaining, moved_at=Now())
        else:
            drop(refill.index)
            # Each nudge is a task that calls the next one: with the one at the beginning, two of them share the work.
            nudge.after_commit(using=conf.settings.DATABASE)
    return True


def _refills() -> Any:
    return Refill.objects.using(conf.settings.DATABASE)
