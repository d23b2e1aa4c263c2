"""How far an index is: queries over rows, nothing counted on the side."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from visual_search import catalog, conf
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct, SearchIndex

RECENT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where one index stands: products listed and queued, pictures ready and failed, and pictures a second of late."""

    listed: int
    queued: int
    ready: int
    failed: int
    rate: float
    last_error: str

    @property
    def done(self) -> int:
        """Return how many products wait for nothing."""
        return max(self.listed - self.queued, 0)

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
    embedding, queue = ProductEmbedding._meta.db_table, QueuedProduct._meta.db_table
    changed = ProductChange.objects.using(database).values("product_id").distinct().count()
    with connections[database].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*) FILTER (WHERE state = 'ready'), count(*) FILTER (WHERE state = 'failed'),
                (SELECT count(*) FROM {queue} WHERE index_id = %(index)s),
                count(*) FILTER (WHERE updated_at > now() - make_interval(secs => %(recent)s))
                    / greatest(extract(epoch FROM now() - min(updated_at)
                        FILTER (WHERE updated_at > now() - make_interval(secs => %(recent)s))), 1),
                (SELECT error_message FROM {embedding}
                    WHERE index_id = %(index)s AND state = 'failed' ORDER BY updated_at DESC LIMIT 1)
            FROM {embedding} WHERE index_id = %(index)s
            """,
            {"index": index.pk, "recent": RECENT_SECONDS},
        )
        ready, failed, queued, rate, last_error = cursor.fetchone()
    return Progress(
        listed=catalog.current().products().using(database).order_by().count(),
        queued=queued + changed,
        ready=ready,
        failed=failed,
        rate=float(rate or 0),
        last_error=last_error or "",
    )


def outstanding() -> bool:
    """Return whether anything is queued or building, in whoever's hands it is."""
    database = conf.settings.DATABASE
    kept = SearchIndex.objects.using(database).kept()
    return (
        QueuedProduct.objects.using(database).filter(index__in=kept).exists()
        or ProductChange.objects.using(database).exists()
        or kept.filter(state=SearchIndex.State.BUILDING).exists()
    )
