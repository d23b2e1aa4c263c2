"""Locks that belong to a database session, and end with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connections

from visual_search import conf


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
