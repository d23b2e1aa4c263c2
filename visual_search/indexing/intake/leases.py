"""Keep the leases of what takes long."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections

from visual_search import conf
from visual_search.indexing.intake import queue
from visual_search.models import QueuedProduct

logger = logging.getLogger("visual_search.indexing")

RENEWED_EVERY = 20.0
"""Seconds between renewals: two may fail before the lease ends."""


@contextmanager
def renewed(claims: Sequence[queue.Claim]) -> Iterator[None]:
    """Renew the lease of `claims`, taken together, from a thread of its own until the block ends.

    Most end sooner than the first renewal, and the thread never opens a connection.
    """
    ended = threading.Event()
    arguments = (claims[0].token, ended)
    threading.Thread(target=_renew, args=arguments, name="visual-search-lease", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _renew(token: uuid.UUID, ended: threading.Event) -> None:
    table = QueuedProduct._meta.db_table
    while not ended.wait(RENEWED_EVERY):
        connection = connections[conf.settings.DATABASE]
        try:
            with connection.cursor() as cursor:
                # What the shop is deleting needs no lease; waiting for it here would deadlock with its next delete.
                cursor.execute(
                    f"UPDATE {table} SET lease_until = now() + make_interval(secs => %s)"
                    f" WHERE id IN (SELECT id FROM {table} WHERE lease_token = %s FOR UPDATE SKIP LOCKED)",
                    [queue.LEASE_SECONDS, token],
                )
        except Exception:
            logger.warning("A lease could not be renewed; somebody else may take its products over.", exc_info=True)
        finally:
            connection.close()
