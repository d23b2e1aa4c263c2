"""Run a search in one round trip, with settings that can't leak."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connections, transaction
from django.db.utils import DatabaseErrorWrapper
from pgvector.psycopg import register_vector

from visual_search import conf
from visual_search.models import SearchIndex
from visual_search.retrieval import live

_BRACKETS = {
    False: ("BEGIN", ("ROLLBACK",)),
    True: (
        "SAVEPOINT visual_search_read",
        ("ROLLBACK TO SAVEPOINT visual_search_read", "RELEASE SAVEPOINT visual_search_read"),
    ),
}
"""How to begin and to undo: alone, or inside a transaction of the shop's."""

_registered: weakref.WeakSet[Any] = weakref.WeakSet()


def run(
    index: SearchIndex, sql: str, parameters: Sequence[Any], *, settings: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    """Return the rows of `sql` under `settings`; raise `live.Changed` where `index` is not the live one.

    `parameters` are sent in binary, a `pgvector.HalfVector` as its bytes: half the time of a list of numbers as text.
    Everything goes out in one pipeline: BEGIN (or a savepoint in the shop's transaction), the settings, the live
    index's key, the query, and a rollback, which is the one way in which the settings can't reach what the shop does
    next. Raises Django's database errors.
    """
    connection = connections[conf.settings.DATABASE]
    connection.ensure_connection()
    raw = connection.connection
    _register(raw)
    inside = connection.in_atomic_block or not raw.autocommit
    if connection.in_atomic_block and connection.needs_rollback:
        raise transaction.TransactionManagementError("The transaction is broken: no query until the end of its block.")
    # Django's own cursors bind on the client, as text.
    control, first, search = (psycopg.Cursor(raw) for _ in range(3))
    configure = ", ".join(f"set_config('{name}', %s, true)" for name in settings)
    live_index = f"(SELECT id FROM {SearchIndex._meta.db_table} WHERE state = 'live')"
    begin, end = _BRACKETS[inside]
    with DatabaseErrorWrapper(connection):
        try:
            with raw.pipeline():
                control.execute(begin)
                first.execute(f"SELECT {live_index}, {configure}", list(settings.values()))
                search.execute(sql, parameters, binary=True)
                for command in end:
                    control.execute(command)
        except psycopg.Error:
            if not raw.closed:
                for command in end:
                    control.execute(command)
            raise
        current = first.fetchone()
        rows = search.fetchall()
    if current is None or current[0] != index.pk:
        raise live.Changed
    return rows


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
