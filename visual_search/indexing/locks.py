"""Locks that belong to a database session, and end with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connections

from visual_search import conf

logger = logging.getLogger("visual_search.indexing")

PAUSE = 0.5
"""Seconds between two tries to get a lock that another session holds."""


@contextmanager
def alone(name: str, key: int) -> Iterator[bool]:
    """Say whether this session is the only one that holds the lock `name` of the index `key`; waits for nobody.

    It lasts as long as Postgres works on the block's statement, even where the process that sent it is gone.
    """
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [name, key])
        taken = cursor.fetchone()[0]
        try:
            yield taken
        finally:
            if taken:
                # Where the connection is broken, the lock is gone with it.
                with suppress(DatabaseError):
                    cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [name, key])


@contextmanager
def in_turn(name: str, key: int) -> Iterator[None]:
    """Wait until no other session holds the lock `name` of `key`, and hold it; it may be taken again within.

    It is asked for again and again: a session that waits for a lock within Postgres has a snapshot meanwhile, and what
    works CONCURRENTLY waits for all of those.
    """
    said = False
    while True:
        with alone(name, key) as taken:
            if taken:
                yield
                return
        if not said:
            logger.info("Another session holds the lock %s: waiting for it to end.", name)
        said = True
        time.sleep(PAUSE)
