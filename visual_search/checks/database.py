"""Checks of the database that holds products and embeddings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DatabaseError, connections

from visual_search import conf
from visual_search.checks.messages import error, warning
from visual_search.encoders import parts
from visual_search.exceptions import ConfigurationError
from visual_search.indexing.generations import hnsw
from visual_search.indexing.sources import texts
from visual_search.indexing.vectors import fit
from visual_search.models import SearchIndex, cascades
from visual_search.retrieval import canary

LEAST_PGVECTOR = (0, 8, 4)


def check_engine(**kwargs: Any) -> list[checks.CheckMessage]:
    """E008: the database alias is unknown, or no Postgres."""
    alias = conf.settings.DATABASE
    if alias not in connections:
        known = ", ".join(repr(name) for name in connections)
        return [error(f"DATABASE is {alias!r}.", f"DATABASES has {known}.", "E008")]
    if connections[alias].vendor != "postgresql":
        message = f"Database {alias!r} is {connections[alias].vendor}, and visual search needs PostgreSQL."
        hint = "Use django.db.backends.postgresql (psycopg 3) with pgvector; docs/operations.md shows an embedded one."
        return [error(message, hint, "E008")]
    return []


def check_extension(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E010: pgvector is missing, or older than 0.8.4 (which mended index corruption and a data leak)."""
    alias = conf.settings.DATABASE
    if not databases or alias not in databases or check_engine():
        return []
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        row = cursor.fetchone()
        if row is None:
            cursor.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
            row = cursor.fetchone()
            if row is None:
                hint = (
                    "Install pgvector 0.8.4 or newer on the server (on Debian from the PostgreSQL project's packages)."
                )
                return [error(f"Database {alias!r} has no pgvector.", hint, "E010")]
    found = tuple(int(part) for part in row[0].split(".")[:3])
    if found < LEAST_PGVECTOR:
        least = ".".join(map(str, LEAST_PGVECTOR))
        hint = f"Install pgvector {least} or newer, then run as superuser: ALTER EXTENSION vector UPDATE;"
        return [error(f"Database {alias!r} has pgvector {row[0]}.", hint, "E010")]
    return []


def check_text_config(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E012: the database has no text search configuration of that name."""
    alias, name = conf.settings.DATABASE, conf.settings.TEXT_CONFIG
    if not databases or alias not in databases or check_engine() or not isinstance(name, str):
        return []
    with connections[alias].cursor() as cursor:
        # A name may have a schema before it: those on the search path may do without.
        cursor.execute(
            "SELECT cfgname FROM pg_ts_config WHERE pg_ts_config_is_visible(oid) UNION ALL"
            " SELECT nspname || '.' || cfgname FROM pg_ts_config JOIN pg_namespace space ON space.oid = cfgnamespace"
        )
        known = [row[0] for row in cursor.fetchall()]
    if texts.config() in known:
        return []
    close = difflib.get_close_matches(name, [texts.AUTO, *known], n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    hint += 'Give "auto", "simple", or a name that psql lists with \\dF.'
    return [error(f"TEXT_CONFIG is {name!r}, which database {alias!r} doesn't have.", hint, "E012")]


def check_recall(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W011, W013, W017: the live index misses too much, has no HNSW index, or was fitted on too few pictures."""
    alias = conf.settings.DATABASE
    if not databases or alias not in databases or check_engine():
        return []
    try:
        live = SearchIndex.objects.using(alias).live()
    except DatabaseError:
        return []  # before the first migrate
    if live is None:
        return []
    if not hnsw.valid(live.pk):
        message = f"{hnsw.name(live.pk)} is missing or INVALID: searches of {live} compare every vector."
        return [warning(message, f"Run `manage.py visual_search index reindex {live.pk}`.", "W013")]
    if fit.outgrown(live):
        message = f"{live} was fitted on {live.fitted_on} pictures, before there were {parts.LEAST_FOR_MEAN}."
        hint = "It can't tell yet what all pictures have in common. Run `manage.py visual_search index create`."
        return [warning(message, hint, "W017")]
    found = 1.0 if live.recall is None else min(live.recall["unfiltered"], live.recall["filtered"])
    if found >= canary.LEAST_RECALL:
        return []
    hint = f"Run `manage.py visual_search index reindex {live.pk}`, or raise EF_SEARCH; then `recall` measures again."
    message = f"HNSW found {found:.1%} of what is nearest in index {live}; {canary.LEAST_RECALL:.0%} are wanted."
    return [warning(message, hint, "W011")]


def check_cascades(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W014: a delete of a product leaves rows of ours behind."""
    alias = conf.settings.DATABASE
    if not databases or alias not in databases or check_engine():
        return []
    try:
        tables = cascades.missing()
    except ConfigurationError:
        return []  # E003 says so
    if not tables:
        return []
    message = f"Deletes of products leave rows behind: without a foreign key that cascades are {', '.join(tables)}."
    hint = (
        "A migration that altered the product's key dropped them. Run `manage.py migrate`, even with nothing to "
        "migrate: it makes them anew, and deletes what deleted products left."
    )
    return [warning(message, hint, "W014")]
