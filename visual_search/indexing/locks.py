"""Locks that belong to a database session, and end with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, connections

from visual_search import conf

logger = logging.getLogger("visual_search.indexing")

PAUSE = 0.5
"""Seconds between two tries to get a lock that another session holds."""


@contextmanager
def alone(name: str, key: int) -> Iterator[bool]:
    """Say whether this session is the only one that holds the lock `name` of the index `key`; waits for nobody.

    It lasts as long as Postgres works on the block's statement, even where the process that sent it is gone.
    """
    connection = connections[conf.settings.DATABASE]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [name, key])
        taken = cursor.fetchone()[0]
        try:
            yield taken
        finally:
            if taken and not _freed(cursor, name, key):
                # The lock goes with the session: kept, it would have everybody else wait.
                connection.close()


def _freed(cursor: Any, name: str, key: int) -> bool:
    try:
        cursor.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [name, key])
    except Error:
        return False
    if not (freed := bool(cursor.fetchone()[0])):
        logger.error(
            "The lock %s was taken in another session than this. A pooler that hands out another connection for each "
            "transaction keeps it: give workers and commands a connection of their own.",
            name,
        )
    return freed


@contextmanager
def in_turn(name: str, key: int) -> Iterator[bool]:
    """Wait until no other session holds the lock `name` of `key`, hold it, and say True; it may be taken again within.

    It is asked for again and again: a session that waits for a lock within Postgres has a snapshot meanwhile, and what
    works CONCURRENTLY waits for all of those.
    """
    said = False
    while True:
        with alone(name, key) as taken:
            if taken:
                yield True
                return
        if not said:
            logger.info("Another session holds the lock %s: waiting for it to end.", name)
        said = True
        time.sleep(PAUSE)
