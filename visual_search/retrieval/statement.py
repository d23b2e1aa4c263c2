"""Run a search in one round trip, with settings that can't leak."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
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


def run(
    index: SearchIndex | None,
    sql: str,
    parameters: Sequence[Any],
    *,
    settings: Mapping[str, str],
    live_only: bool = True,
) -> list[tuple[Any, ...]]:
    """Return the rows of `sql` under `settings`; with `live_only`, raise `live.Changed` where `index` is not the live
    one.

    Without an index nothing is live yet, and what is live by now doesn't matter. The settings and the live index's
    key travel in the same round trip. Their transaction ends with it: one of its own, or a savepoint of the shop's,
    which is rolled back. That is the one way in which the settings can't reach what the shop does next. Raises
    Django's database errors.
    """
    connection = connections[conf.settings.DATABASE]
    connection.ensure_connection()
    raw = connection.connection
    inside = connection.in_atomic_block or not raw.autocommit
    if connection.in_atomic_block and connection.needs_rollback:
        raise transaction.TransactionManagementError("The transaction is broken: no query until the end of its block.")
    configure = ", ".join(f"set_config('{name}', %s, true)" for name in settings)
    first = f"SELECT (SELECT id FROM {SearchIndex._meta.db_table} WHERE state = 'live'), {configure}"
    ask = _pipelined if any(isinstance(value, HalfVector | Vector) for value in parameters) else _at_once
    with DatabaseErrorWrapper(connection):
        try:
            live_index, rows = ask(raw, (first, list(settings.values())), (sql, parameters), inside=inside)
        except psycopg.Error:
            if not raw.closed and raw.info.transaction_status != TransactionStatus.IDLE:
                for command in _UNDO if inside else ("ROLLBACK",):
                    raw.execute(command)
            raise
    if live_only and index is not None and live_index != index.pk:
        raise live.Changed
    return rows


def _at_once(raw: Any, first: Statement, search: Statement, *, inside: bool) -> tuple[Any, list[tuple[Any, ...]]]:
    """Send both as one message, parameters written in: several statements in one message are a transaction."""
    cursor = psycopg.ClientCursor(raw)
    statements = [first[0], search[0]]
    if inside:
        statements = [*_BEGIN, *statements, *_UNDO]
    cursor.execute("; ".join(statements), [*first[1], *search[1]])
    if inside:
        cursor.nextset()
    (live_index, *_) = cursor.fetchone() or (None,)
    cursor.nextset()
    return live_index, cursor.fetchall()


def _pipelined(raw: Any, first: Statement, search: Statement, *, inside: bool) -> tuple[Any, list[tuple[Any, ...]]]:
    """Send both in a pipeline, with vectors in binary: written as text, a vector takes longer than the pipeline."""
    _register(raw)
    # Django's own cursors bind on the client, as text.
    control, settings, found = (psycopg.Cursor(raw) for _ in range(3))
    with raw.pipeline():
        for command in _BEGIN if inside else ("BEGIN",):
            control.execute(command)
        settings.execute(*first)
        found.execute(*search, binary=True)
        for command in _UNDO if inside else ("ROLLBACK",):
            control.execute(command)
    (live_index, *_) = settings.fetchone() or (None,)
    return live_index, found.fetchall()


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
