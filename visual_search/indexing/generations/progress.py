"""How far an index is: queries over rows, nothing counted on the side."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from django.db import connections
from django.db.models.functions import Now

from visual_search import catalog, conf
from visual_search.models import FitSample, ProductChange, ProductEmbedding, QueuedProduct, Refill, SearchIndex

PUT_OFF = dt.timedelta(minutes=2)
"""How far ahead something is due that nobody has to wait for: its storage is away."""

RECENT_SECONDS = 30
"""How far back the rate looks."""

LEAST_SECONDS = 1
"""Seconds that a rate is measured over at least: a burst says nothing of the seconds to come."""

LISTED_KEPT = 20
"""A count of the products holds for so many times as long as it took: at once in a small shop, seconds in a large."""

_counted, _kept_until = 0, 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where one index stands: products listed and queued, pictures ready and failed, and pictures a second of late.

    What a worker has yet to queue is `queued` as well: nobody need tell them apart.
    `sampled` products have been through the encoder for the fit, which is most of the work for a small catalogue.
    """

    listed: int
    queued: int
    ready: int
    failed: int
    rate: float
    last_error: str
    sampled: int = 0

    @property
    def done(self) -> int:
        """Return how many products wait for nothing, or have been encoded at least."""
        return min(max(self.listed - self.queued, self.sampled), self.listed)

    @property
    def fraction(self) -> float:
        """Return the share of products that wait for nothing, 0 to 1."""
        return self.done / self.listed if self.listed else 1.0

    @property
    def seconds_left(self) -> float | None:
        """Return the seconds left at the present rate, or None where there is no rate to go by."""
        if not self.queued:
            return 0.0
        if not self.rate or not self.done:
            return None
        return self.queued * ((self.ready + self.failed) / self.done) / self.rate


def of(index: SearchIndex) -> Progress:
    """Return the progress of `index`."""
    listed = _listed()
    with connections[conf.settings.DATABASE].cursor() as cursor:
        # Each of these is counted within an index: the rows themselves are gigabytes of vectors.
        cursor.execute(
            f"""
            -- All rows of a batch have one time: the first batch only says when the clock starts.
            WITH recent AS (SELECT updated_at FROM {ProductEmbedding._meta.db_table}
                WHERE index_id = %(index)s AND region = '{{}}'
                AND updated_at > now() - make_interval(secs => %(recent)s)),
            clock AS (SELECT min(updated_at) AS start, max(updated_at) AS stop FROM recent)
            SELECT (SELECT count(*) FROM {QueuedProduct._meta.db_table} WHERE index_id = %(index)s)
                + (SELECT count(DISTINCT product_id) FROM {ProductChange._meta.db_table} change WHERE NOT EXISTS (
                    SELECT FROM {QueuedProduct._meta.db_table} queue
                    WHERE queue.index_id = %(index)s AND queue.product_id = change.product_id)),
                (SELECT coalesce(remaining, %(all)s) FROM {Refill._meta.db_table} WHERE index_id = %(index)s),
                (SELECT count(*) FROM {ProductEmbedding._meta.db_table}
                    WHERE index_id = %(index)s AND region = '{{}}'),
                (SELECT count(*) FROM {ProductEmbedding._meta.db_table}
                    WHERE index_id = %(index)s AND region = '{{}}' AND state = 'failed'),
                (SELECT count(*) / extract(epoch FROM clock.stop - clock.start) FROM recent, clock
                    WHERE updated_at > clock.start AND clock.stop - clock.start >= make_interval(secs => %(least)s)
                    GROUP BY clock.start, clock.stop),
                (SELECT error_message FROM {ProductEmbedding._meta.db_table}
                    WHERE index_id = %(index)s AND region = '{{}}' AND state = 'failed'
                    ORDER BY updated_at DESC LIMIT 1),
                (SELECT count(*) FROM {FitSample._meta.db_table} WHERE index_id = %(index)s),
                (SELECT error FROM {Refill._meta.db_table} WHERE index_id = %(index)s)
            """,
            {"index": index.pk, "recent": RECENT_SECONDS, "least": LEAST_SECONDS, "all": listed},
        )
        queued, to_queue, pictures, failed, rate, last_error, sampled, unlisted = cursor.fetchone()
    if to_queue is not None:
        # Some of them wait already, for another reason.
        queued = max(queued, min(queued + to_queue, listed))
    return Progress(
        listed=listed,
        queued=queued,
        ready=pictures - failed,
        failed=failed,
        rate=float(rate or 0),
        last_error=unlisted or last_error or "",
        sampled=sampled,
    )


def _listed() -> int:
    """Return how many products the shop lists, counted anew where the last count is older than `LISTED_KEPT` says."""
    global _counted, _kept_until
    started = time.monotonic()
    if started >= _kept_until:
        _counted = catalog.unordered(catalog.current().products().using(conf.settings.DATABASE)).count()
        ended = time.monotonic()
        _kept_until = ended + LISTED_KEPT * (ended - started)
    return _counted


def outstanding() -> bool:
    """Return whether anything is queued or building, in whoever's hands it is; not what is put off for minutes."""
    database = conf.settings.DATABASE
    kept = SearchIndex.objects.using(database).kept()
    # In this order: what moves on to the queue between two looks must be seen in one of them.
    return (
        Refill.objects.using(database).filter(index__in=kept).exists()
        or ProductChange.objects.using(database).exists()
        or QueuedProduct.objects.using(database).filter(index__in=kept).exclude(not_before__gt=Now() + PUT_OFF).exists()
        or kept.filter(state=SearchIndex.State.BUILDING).exists()
    )
