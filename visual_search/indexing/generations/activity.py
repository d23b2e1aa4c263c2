"""Whether somebody takes what is queued: read from rows and locks, since nothing reports to a web process."""

from __future__ import annotations

import enum

from django.db import connections

from visual_search import conf
from visual_search.indexing.generations import builder
from visual_search.indexing.intake import refills
from visual_search.indexing.vectors import fit
from visual_search.models import ProductChange, QueuedProduct, Refill, SearchIndex

PATIENCE_SECONDS = 60
"""How long something may wait before there seems to be no worker: a lost nudge is found within a minute."""


class Activity(enum.StrEnum):
    """What becomes of the queue."""

    IDLE = "idle"
    WORKING = "working"
    WAITING = "waiting"
    PAUSED = "paused"
    ABSENT = "absent"


def activity(*, rate: float) -> Activity:
    """Return what becomes of the queue, where `rate` pictures a second were written of late.

    Nothing to do, a worker at it, waiting for one, everything put off for a while, or no worker for a minute. Time is
    the database's.
    """
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*) + (SELECT count(*) FROM {Refill._meta.db_table} refill
                    JOIN {SearchIndex._meta.db_table} index ON index.id = refill.index_id
                    WHERE index.state = ANY(%(kept)s)),
                count(*) FILTER (WHERE queue.lease_until > now()),
                extract(epoch FROM now() - least(
                    min(greatest(queue.queued_at, queue.not_before))
                        FILTER (WHERE queue.not_before IS NULL OR queue.not_before <= now()),
                    (SELECT min(created_at) FROM {ProductChange._meta.db_table}),
                    (SELECT min(refill.moved_at) FROM {Refill._meta.db_table} refill
                        JOIN {SearchIndex._meta.db_table} index ON index.id = refill.index_id
                        WHERE index.state = ANY(%(kept)s) AND refill.error = ''),
                    (SELECT min(created_at) FROM {SearchIndex._meta.db_table} index WHERE state = 'building'
                        AND NOT EXISTS (SELECT FROM {Refill._meta.db_table}
                            WHERE index_id = index.id AND error <> ''))))
            FROM {QueuedProduct._meta.db_table} queue JOIN {SearchIndex._meta.db_table} index
            ON index.id = queue.index_id WHERE index.state = ANY(%(kept)s)
            """,
            {"kept": [str(state) for state in SearchIndex.KEPT]},
        )
        queued, leased, waited = cursor.fetchone()
    if waited is None:
        return Activity.PAUSED if queued else Activity.IDLE
    if rate or leased or _locked():
        return Activity.WORKING
    return Activity.ABSENT if waited > PATIENCE_SECONDS else Activity.WAITING


def _locked() -> bool:
    """Return whether another process fills or fits an index, or builds its HNSW index: it holds no lease meanwhile."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            """
            SELECT EXISTS (
                SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND pid <> pg_backend_pid()
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND classid IN (hashtext(%s)::oid, hashtext(%s)::oid, hashtext(%s)::oid))
            """,
            [fit.LOCK, builder.LOCK, refills.LOCK],
        )
        return cursor.fetchone()[0]
