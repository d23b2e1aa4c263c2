"""Find what nudges have lost: run it every minute."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections, transaction

from visual_search import conf
from visual_search.indexing.intake import nudge
from visual_search.models import ProductChange, QueuedProduct, Refill, SearchIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found: leases that ran out, products that are due, changes that wait to be folded, and more."""

    expired: int
    due: int
    changes: int
    building: int
    refills: int

    @property
    def anything(self) -> bool:
        """Return whether there is work that nobody does."""
        return bool(self.due or self.changes or self.building or self.refills)


def sweep() -> Swept | None:
    """Take back leases that ran out, and wake a worker where there is work; None where another sweep is at it.

    What a lease's holder has not finished when it is back from the dead is refused by its token.
    """
    queue, index = QueuedProduct._meta.db_table, SearchIndex._meta.db_table
    with transaction.atomic(conf.settings.DATABASE), connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('visual_search.sweep'))")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(
            f"""
            UPDATE {queue} SET lease_token = NULL, lease_until = NULL WHERE id IN (
                SELECT id FROM {queue} WHERE lease_until < now() FOR UPDATE SKIP LOCKED)
            """
        )
        expired = cursor.rowcount
        cursor.execute(
            f"""
            SELECT
                (SELECT count(*) FROM {queue} queue JOIN {index} index ON index.id = queue.index_id
                    WHERE index.state = ANY(%(kept)s) AND queue.lease_until IS NULL
                    AND (queue.not_before IS NULL OR queue.not_before <= now())),
                (SELECT count(*) FROM {ProductChange._meta.db_table}),
                (SELECT count(*) FROM {index} WHERE state = 'building'),
                (SELECT count(*) FROM {Refill._meta.db_table} refill JOIN {index} index ON index.id = refill.index_id
                    WHERE index.state = ANY(%(kept)s))
            """,
            {"kept": [str(state) for state in SearchIndex.KEPT]},
        )
        due, changes, building, refills = cursor.fetchone()
    swept = Swept(expired=expired, due=due, changes=changes, building=building, refills=refills)
    if swept.anything:
        nudge.send()
    return swept
