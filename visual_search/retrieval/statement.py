"""Run a search in one round trip, with settings that can't leak."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
from django.db import connections, transaction
from django.db.utils import DatabaseErrorWrapper
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector
from psycopg.pq import TransactionStatus

from visual_search import conf
from visual_search.models import SearchIndex
from visual_search.retrieval import live

Statement = tuple[str, Sequence[Any]]

_registered: weakref.WeakSet[Any] = weakref.WeakSet()

_SAVEPOINT = "visual_search_read"
_BEGIN = (f"SAVEPOINT {_SAVEPOINT}",)
_UNDO = (f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}", f"RELEASE SAVEPOINT {_SAVEPOINT}")


LIVE = f"(SELECT id FROM {SearchIndex._meta.db_table} WHERE state = 'live')"
"""SQL for the key of the live index, the first column of what `of_live` runs."""


def alone() -> bool:
    """Return whether a statement is a transaction by itself: its settings end with it, and need no undoing."""
    connection = connections[conf.settings.DATABASE]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    # The last: nobody has said BEGIN by hand.
    return not connection.in_atomic_block and raw.autocommit and raw.info.transaction_status == TransactionStatus.IDLE


@contextlib.contextmanager
def savepoint() -> Iterator[None]:
    """Undo what is done inside where it fails, and nothing else of the transaction that there is.

    Django's `atomic()` knows of none that was begun by hand, and can't begin its own within it.
    """
    connection = connections[conf.settings.DATABASE]
    with connection.cursor() as cursor:
        for command in _BEGIN:
            cursor.execute(command)
        try:
            yield
        except Exception:
            # The ORM has noted that all of an atomic block is lost.
            connection.needs_rollback = False
            for command in _UNDO:
                cursor.execute(command)
            raise
        cursor.execute(_UNDO[-1])


def configured(sql: str, settings: Mapping[str, str]) -> str:
    """Return SQL for the value of `sql` that makes `settings` for the rest of the transaction first.

    What asks for the value can't start before: a scan whose order it is has them from its first row on. The planner
    doesn't have them yet: it reckons with those of the session.
    """
    if not settings:
        return sql
    made = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    # Postgres never leaves out a volatile function, nor pulls up the query that calls one.
    return f"(SELECT {sql} FROM (SELECT {made}) AS configured)"


def of_live(
    index: SearchIndex | None,
    sql: str,
    parameters: Sequence[Any],
    *,
    settings: Mapping[str, str],
    live_only: bool = True,
) -> list[tuple[Any, ...]]:
    """Return the rows of `sql` under `settings`; with `live_only`, raise `live.Changed` where `index` isn't `LIVE`.

    Without an index nothing was live yet, and what is live by now doesn't matter. Raises Django's database errors.
    """
    rows = run(sql, parameters, settings=settings)
    if live_only and index is not None:
        # What finds nothing says nothing about the index either.
        (current, *_) = rows[0] if rows else run(f"SELECT {LIVE}", [], settings={})[0]
        if current != index.pk:
            raise live.Changed
    return rows


def run(sql: str, parameters: Sequence[Any], *, settings: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Return the rows of `sql` under `settings`, in one round trip.

    The settings end with it: in a transaction of its own, or a savepoint of the shop's, which is rolled back. That is
    the one way in which they can't reach what the shop does next. A statement without settings is prepared, where the
    shop's OPTIONS have a `prepare_threshold`. Raises Django's database errors.
    """
    connection = connections[conf.settings.DATABASE]
    inside = not alone()
    raw = connection.connection
    if connection.in_atomic_block and connection.needs_rollback:
        raise transaction.TransactionManagementError("The transaction is broken: no query until the end of its block.")
    vectors = any(isinstance(value, HalfVector | Vector) for value in parameters)
    with DatabaseErrorWrapper(connection):
        if vectors:
            _register(raw)
        if not settings:
            # Django's own cursors bind on the client, as text.
            return psycopg.Cursor(raw).execute(sql, parameters).fetchall()
        configure = ", ".join(f"set_config('{name}', %s, true)" for name in settings)
        first = (f"SELECT {configure}", list(settings.values()))
        try:
            return (_pipelined if vectors else _at_once)(raw, first, (sql, parameters), inside=inside)
        except psycopg.Error:
            if not raw.closed and raw.info.transaction_status != TransactionStatus.IDLE:
                for command in _UNDO if inside else ("ROLLBACK",):
                    raw.execute(command)
            raise


def _at_once(raw: Any, first: Statement, search: Statement, *, inside: bool) -> list[tuple[Any, ...]]:
    """Send both as one message, parameters written in: several statements in one message are a transaction."""
    cursor = psycopg.ClientCursor(raw)
    statements = [first[0], search[0]]
    if inside:
        statements = [*_BEGIN, *statements, *_UNDO]
    cursor.execute("; ".join(statements), [*first[1], *search[1]])
    if inside:
        cursor.nextset()
    cursor.nextset()
    return cursor.fetchall()


def _pipelined(raw: Any, first: Statement, search: Statement, *, inside: bool) -> list[tuple[Any, ...]]:
    """Send both in a pipeline, with vectors in binary: written as text, a vector takes longer than the pipeline."""
    control, found = psycopg.Cursor(raw), psycopg.Cursor(raw)
    # Nothing is prepared: of a pipeline that fails psycopg would remember what the server never got to. And what is
    # prepared already outlives a COMMIT, as the settings don't; at a ROLLBACK psycopg forgets it.
    with raw.pipeline():
        for command in _BEGIN if inside else ("BEGIN",):
            control.execute(command, prepare=False)
        control.execute(*first, prepare=False)
        found.execute(*search, binary=True, prepare=False)
        for command in _UNDO if inside else ("COMMIT",):
            control.execute(command, prepare=False)
    return found.fetchall()


def literal(sql: str, parameters: Sequence[Any]) -> str:
    """Return `sql` with its `parameters` written into it as Django's own cursor would, for use within another query."""
    connection = connections[conf.settings.DATABASE]
    connection.ensure_connection()
    if not parameters:
        return sql.replace("%%", "%").replace("%", "%%")
    return psycopg.ClientCursor(connection.connection).mogrify(sql, parameters).replace("%", "%%")


def _register(raw: Any) -> None:
    # It asks the server for the types' numbers, which no connection has to do twice.
    if raw not in _registered:
        register_vector(raw)
        _registered.add(raw)
