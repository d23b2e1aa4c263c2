"""System checks: what is wrong with the set-up, and what to do about it. Ids are never reused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connections, models

from visual_search import catalog, conf
from visual_search.asking import throttles
from visual_search.encoders import registry
from visual_search.exceptions import ConfigurationError, VisualSearchError
from visual_search.indexing import hnsw, texts
from visual_search.models import SearchIndex
from visual_search.retrieval import canary, query

LEAST_PGVECTOR = (0, 8, 4)

# Types of the keys whose type alone can be wrong; the others have a check of their own.
_TYPES: dict[str, type[Any]] = {
    "PRODUCT_MODEL": str,
    "PRODUCT_MIGRATION": str,
    "CATALOG": str,
    "DEVICE": str,
    "BATCH_SIZE": int,
    "QUEUE": str,
    "TEXT_CONFIG": str,
    "DATABASE": str,
    "EF_SEARCH": int,
    "UPLOAD_MAX_BYTES": int,
    "UPLOAD_MAX_PIXELS": int,
    "MAX_LIMIT": int,
    "API_RATES": dict,
    "RECORD_EVENTS": bool,
    "EVENT_RETENTION_DAYS": int,
}

_MOST = {
    "EF_SEARCH": (1000, "pgvector allows 1 to 1000."),
    "MAX_LIMIT": (query.MOST_RESULTS, f"A search has at most {query.MOST_RESULTS} results."),
}


def register() -> None:
    """Register every check with Django."""
    for check in (
        check_keys,
        check_values,
        check_product_model,
        check_product_key,
        check_catalog,
        check_encoders,
        check_engine,
    ):
        checks.register(check, checks.Tags.compatibility)
    for check in (check_extension, check_recall, check_text_config):
        checks.register(check, checks.Tags.database)


def _problem(message: str, hint: str, number: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, obj="settings.VISUAL_SEARCH", id=f"visual_search.{number}")


def check_keys(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: a key that is no setting, or settings that are no dict."""
    found = getattr(settings, "VISUAL_SEARCH", {})
    if not isinstance(found, Mapping):
        return [_problem(f"VISUAL_SEARCH is {found!r}.", 'Give a dict, as {"PRODUCT_MODEL": "shop.Product"}.', "E001")]
    known = conf.names()
    problems = []
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
            problems.append(_problem(f"Unknown key {key!r}.", hint, "E001"))
    return problems


def check_values(**kwargs: Any) -> list[checks.CheckMessage]:
    """E002: a value of the wrong type, or out of range."""
    problems = []
    for key, value in conf.chosen().items():
        if hint := _hint(key, value):
            problems.append(_problem(f"{key} is {value!r}.", hint, "E002"))
        elif key == "API_RATES":
            problems += _wrong_rates(value)
    return problems


def _hint(key: str, value: Any) -> str:
    """Return what to give in place of `value`, or "" where it may stay."""
    kind = _TYPES.get(key)
    if kind is None:
        return ""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return f"Give a value of type {kind.__name__}."
    if kind is int and value < 1:
        return "Give 1 or more."
    most, hint = _MOST.get(key, (value, ""))
    return hint if kind is int and value > most else ""


def _wrong_rates(rates: Mapping[Any, Any]) -> list[checks.CheckMessage]:
    problems = []
    for scope, rate in rates.items():
        if scope not in conf.Settings.API_RATES:
            known = ", ".join(conf.Settings.API_RATES)
            problems.append(_problem(f"API_RATES has no scope {scope!r}.", f"Scopes are {known}.", "E002"))
        elif not throttles.understands(rate):
            hint = 'Give a rate as "120/min" (s, min, hour or day), or None for no limit.'
            problems.append(_problem(f"API_RATES[{scope!r}] is {rate!r}.", hint, "E002"))
    return problems


def check_product_model(**kwargs: Any) -> list[checks.CheckMessage]:
    """E003: PRODUCT_MODEL names no installed model."""
    try:
        catalog.product_model()
    except ConfigurationError:
        label = conf.settings.PRODUCT_MODEL
        names = [model._meta.label for model in apps.get_models() if not model._meta.auto_created]
        close = difflib.get_close_matches(str(label), names, n=1) if label else []
        hint = f"Did you mean {close[0]!r}?" if close else 'Set it to your product model, as "catalogue.Product".'
        found = f"PRODUCT_MODEL is {label!r}, which is no installed model." if label else "PRODUCT_MODEL is not set."
        return [_problem(found, hint, "E003")]
    return []


def check_product_key(**kwargs: Any) -> list[checks.CheckMessage]:
    """E009: the product's primary key is another thing in Python than in SQL, where searches compare it."""
    try:
        model = catalog.product_model()
    except ConfigurationError:
        return []  # E003 says so
    field: Any = model._meta.pk
    while field.remote_field:  # the parent's key, where a product has a table of its own beside it
        field = field.target_field
    if not hasattr(field, "from_db_value"):
        return []
    message = f"The primary key of {model._meta.label} is a {type(field).__name__}, which has a from_db_value()."
    hint = (
        "Searches read keys as the database has them, and would find nothing. Use a field without one (AutoField, "
        "UUIDField, CharField) as the key, and what customers see, as a hashed id, in another field or a property."
    )
    return [_problem(message, hint, "E009")]


def check_catalog(**kwargs: Any) -> list[checks.CheckMessage]:
    """E004-E006: the catalog can't be imported, names unknown models, or finds no image field."""
    try:
        shop = catalog.current()
    except ConfigurationError as error:
        return [_problem(str(error), "Give the dotted path of a subclass of visual_search.Catalog.", "E004")]
    problems = []
    for label, attribute in shop.image_models.items():
        if hint := _image_model_hint(label, attribute):
            message = f"{type(shop).__name__}.image_models names {label!r}: {attribute!r}."
            problems.append(_problem(message, hint, "E005"))
    try:
        product = catalog.product_model()
    except ConfigurationError:
        return problems  # E003 says so
    if type(shop).images is catalog.Catalog.images and not shop.image_field_names():
        message = f"{product._meta.label} has no ImageField, and {conf.settings.CATALOG} does not say where images are."
        hint = "Write a visual_search.Catalog with image_models and images(), and name it in CATALOG."
        problems.append(_problem(message, hint, "E006"))
    return problems


def _image_model_hint(label: str, attribute: str) -> str:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return 'There is no such model: write it as "app_label.Model".'
    first = attribute.split("__")[0]
    try:
        model._meta.get_field(first)
    except FieldDoesNotExist:
        if not any(isinstance(field, models.ForeignKey) and field.attname == first for field in model._meta.fields):
            return f"{label} has no attribute {first!r}: name the one that holds the product's key."
    return ""


def check_encoders(**kwargs: Any) -> list[checks.CheckMessage]:
    """E007: an encoder that nobody knows."""
    specs = conf.settings.ENCODERS
    if isinstance(specs, str) or not isinstance(specs, Sequence) or not specs:
        return [_problem(f"ENCODERS is {specs!r}.", 'Give a list, as ["efficientnet_lite0"].', "E007")]
    problems = []
    for spec in specs:
        try:
            registry.validate(spec)
        except VisualSearchError as error:
            problems.append(_problem(str(error), "Correct the name in ENCODERS.", "E007"))
    return problems


def check_engine(**kwargs: Any) -> list[checks.CheckMessage]:
    """E008: the database alias is unknown, or no Postgres."""
    alias = conf.settings.DATABASE
    if alias not in connections:
        known = ", ".join(repr(name) for name in connections)
        return [_problem(f"DATABASE is {alias!r}.", f"DATABASES has {known}.", "E008")]
    if connections[alias].vendor != "postgresql":
        message = f"Database {alias!r} is {connections[alias].vendor}, and visual search needs PostgreSQL."
        hint = "Use django.db.backends.postgresql (psycopg 3) with pgvector; docs/operations.md shows an embedded one."
        return [_problem(message, hint, "E008")]
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
                return [_problem(f"Database {alias!r} has no pgvector.", hint, "E010")]
    found = tuple(int(part) for part in row[0].split(".")[:3])
    if found < LEAST_PGVECTOR:
        least = ".".join(map(str, LEAST_PGVECTOR))
        hint = f"Install pgvector {least} or newer, then run as superuser: ALTER EXTENSION vector UPDATE;"
        return [_problem(f"Database {alias!r} has pgvector {row[0]}.", hint, "E010")]
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
    return [_problem(f"TEXT_CONFIG is {name!r}, which database {alias!r} doesn't have.", hint, "E012")]


def check_recall(databases: Sequence[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W011, W013: HNSW misses too much of what is nearest, as the recall canary found; or there is no HNSW index."""
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
        return [_warning(message, f"Run `manage.py visual_search index reindex {live.pk}`.", "W013")]
    found = 1.0 if live.recall is None else min(live.recall["unfiltered"], live.recall["filtered"])
    if found >= canary.LEAST_RECALL:
        return []
    hint = f"Run `manage.py visual_search index reindex {live.pk}`, or raise EF_SEARCH; then `recall` measures again."
    message = f"HNSW found {found:.1%} of what is nearest in index {live}; {canary.LEAST_RECALL:.0%} are wanted."
    return [_warning(message, hint, "W011")]


def _warning(message: str, hint: str, number: str) -> checks.CheckMessage:
    return checks.Warning(message, hint=hint, obj="settings.VISUAL_SEARCH", id=f"visual_search.{number}")
