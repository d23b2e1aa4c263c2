"""How far an index is: queries over rows, nothing counted on the side."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import connections
from django.db.models.functions import Now

from visual_search import catalog, conf
from visual_search.models import FitSample, ProductChange, ProductEmbedding, QueuedProduct, SearchIndex

PUT_OFF = dt.timedelta(minutes=2)
"""How far ahead something is due that nobody has to wait for: its storage is away."""

RECENT_SECONDS = 30
"""How far back the rate looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where one index stands: products listed and queued, pictures ready and failed, and pictures a second of late.

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
    database = conf.settings.DATABASE
    listed = catalog.current().products().using(database).order_by().values("pk").query
    sql, parameters = listed.get_compiler(database).as_sql()
    with connections[database].cursor() as cursor:
        cursor.execute(
            f"""
            WITH pictures AS (SELECT state, error_message, updated_at FROM {ProductEmbedding._meta.db_table}
                WHERE index_id = %s AND region = '{{}}'),
            -- All rows of a batch have one time: the first batch only says when the clock starts.
            recent AS (SELECT updated_at FROM pictures WHERE updated_at > now() - make_interval(secs => %s)),
            clock AS (SELECT min(updated_at) AS start, max(updated_at) AS stop FROM recent)
            SELECT (SELECT count(*) FROM ({sql}) listed),
                (SELECT count(*) FROM (
                    SELECT product_id FROM {QueuedProduct._meta.db_table} WHERE index_id = %s
                    UNION SELECT product_id FROM {ProductChange._meta.db_table}) waiting),
                (SELECT count(*) FROM pictures WHERE state = 'ready'),
                (SELECT count(*) FROM pictures WHERE state = 'failed'),
                (SELECT coalesce(count(*) / nullif(extract(epoch FROM clock.stop - clock.start), 0), 0)
                    FROM recent, clock WHERE updated_at > clock.start GROUP BY clock.start, clock.stop),
                (SELECT error_message FROM pictures WHERE state = 'failed' ORDER BY updated_at DESC LIMIT 1),
                (SELECT count(*) FROM {FitSample._meta.db_table} WHERE index_id = %s)
            """,
            [index.pk, RECENT_SECONDS, *parameters, index.pk, index.pk],
        )
        total, queued, ready, failed, rate, last_error, sampled = cursor.fetchone()
    return Progress(
        listed=total,
        queued=queued,
        ready=ready,
        failed=failed,
        rate=float(rate or 0),
        last_error=last_error or "",
        sampled=sampled,
    )


def outstanding() -> bool:
    """Return whether anything is queued or building, in whoever's hands it is; not what is put off for minutes."""
    database = conf.settings.DATABASE
    kept = SearchIndex.objects.using(database).kept()
    return (
        QueuedProduct.objects.using(database).filter(index__in=kept).exclude(not_before__gt=Now() + PUT_OFF).exists()
        or ProductChange.objects.using(database).exists()
        or kept.filter(state=SearchIndex.State.BUILDING).exists()
    )
