"""Every product for an index, queued some at a time by whoever works: nobody waits for it, and no death loses it."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import Any

from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.db.models.lookups import LessThan

from visual_search import conf
from visual_search.indexing import locks
from visual_search.indexing.intake import changes, nudge
from visual_search.models import Refill, SearchIndex

LOCK = "visual_search.refill"

SECONDS, SHARE, LONGEST = 1.0, 3, 10.0
"""A piece takes so many seconds, or so many times as long as a catalog took to list its products, but not longer."""

AGAIN_AFTER = 60.0
"""Seconds after which products are listed again that could not be: what is saved meanwhile needn't wait for it."""

STUCK = dt.timedelta(minutes=5)
"""After so long without a page, whoever holds the lock is not waited for."""

_not_before = 0.0


def begin(index: SearchIndex, *, forced: bool = False) -> None:
    """Have workers queue every product for `index`, from the first one on, though they are at it already.

    `forced` has unchanged pictures encoded again too; so does one that was begun with it before, and isn't done.
    """
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {Refill._meta.db_table} AS refill (index_id, token, forced) VALUES (%s, %s, %s)
            ON CONFLICT (index_id) DO UPDATE SET token = excluded.token, after = NULL, remaining = NULL, error = '',
                forced = refill.forced OR excluded.forced, moved_at = now()
            """,
            [index.pk, uuid.uuid4(), forced],
        )
    nudge.after_commit(using=conf.settings.DATABASE)


def go_on() -> bool:
    """Queue products for a second or some, for the index that has waited longest; return whether that led any further.

    Raises what the catalog raises where it can't list its products, and not again for AGAIN_AFTER.
    """
    if time.monotonic() < _not_before:
        return False
    waiting = _refills().filter(index__state__in=SearchIndex.KEPT).order_by("moved_at", "index_id")
    for key, stuck in waiting.annotate(stuck=LessThan(F("moved_at"), Now() - STUCK)).values_list("index_id", "stuck"):
        with locks.alone(LOCK, key) as alone:
            # The lock only saves work. A machine that is cut off may keep it for hours.
            refill = _refills().filter(index=key).select_related("index").first() if alone or stuck else None
            if refill is not None and _go_on(refill):
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
    products = _listed(refill)
    listed = time.monotonic()
    until = listed + min(max(SECONDS, SHARE * (listed - started)), LONGEST)
    for start in range(0, max(len(products), 1), changes.QUEUED_AT_ONCE):
        end = start + changes.QUEUED_AT_ONCE
        if not _queue_page(refill, products[start:end], remaining=max(len(products) - end, 0)):
            return start > 0
        if time.monotonic() >= until:
            break
    return True


def _listed(refill: Refill) -> list[Any]:
    """Return the keys of the products to come; where the catalog fails, note why, for all to see, and raise."""
    global _not_before
    try:
        return changes.wanted(refill.after)
    except Exception as error:
        # Without the database nothing is the catalog's fault.
        if connections[conf.settings.DATABASE].is_usable():
            _not_before = time.monotonic() + AGAIN_AFTER
            said = f"{type(error).__name__}: {error}".replace("\0", "")
            _refills().filter(pk=refill.pk, token=refill.token).update(error=said, moved_at=Now())
        raise


def _queue_page(refill: Refill, page: list[Any], *, remaining: int) -> bool:
    """Queue `page` and note it, in one transaction; return False where it has begun anew, or somebody is about to."""
    with transaction.atomic(conf.settings.DATABASE):
        if not _refills().filter(pk=refill.pk, token=refill.token).select_for_update(skip_locked=True).exists():
            return False
        changes.queue(refill.index, page, forced=refill.forced)
        if remaining:
            _refills().filter(pk=refill.pk).update(after=str(page[-1]), remaining=remaining, error="", moved_at=Now())
        else:
            drop(refill.index)
            # Each nudge is a task that calls the next one: with the one at the beginning, two of them share the work.
            nudge.after_commit(using=conf.settings.DATABASE)
    return True


def _refills() -> Any:
    return Refill.objects.using(conf.settings.DATABASE)
