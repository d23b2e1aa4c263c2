"""System checks: what is wrong with the set-up, and what to do about it. Ids are never reused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks

from visual_search import catalog, conf
from visual_search.asking import throttles
from visual_search.checks import catalogs, database
from visual_search.checks.messages import error
from visual_search.encoders import registry, sentences
from visual_search.exceptions import ConfigurationError, VisualSearchError
from visual_search.models import SearchIndex
from visual_search.retrieval import query

# Types of the keys whose type alone can be wrong; the others have a check of their own.
_TYPES: dict[str, Any] = {
    "PRODUCT_MODEL": str,
    "PRODUCT_MIGRATION": str,
    "CATALOG": str,
    "COLOUR_SHARE": int | float,
    "LEARN_PHOTO_MEAN": bool,
    "REGIONS": int,
    "METRIC": str,
    "DEVICE": str,
    "RUNTIME": str,
    "ENCODER_CACHE": str,
    "GPU_PIPELINE": str,
    "BATCH_SIZE": int,
    "QUEUE": str,
    "PROPOSE_REGIONS": bool,
    "TEXT_CONFIG": str,
    "TEXT_ENCODER": str,
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
    "REGIONS": (
        SearchIndex.MOST_REGIONS,
        f"An index looks for at most {SearchIndex.MOST_REGIONS} things on a picture.",
    ),
    "MAX_LIMIT": (query.MOST_RESULTS, f"A search has at most {query.MOST_RESULTS} results."),
}

_LEAST = {"REGIONS": 0}

_CHOICES = {
    "METRIC": SearchIndex.Metric.values,
    "RUNTIME": registry.RUNTIMES,
    "GPU_PIPELINE": ("off", "eager", "compiled"),
}

_PATTERNS = {
    "DEVICE": (re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?"), 'Give "auto", "cpu", "mps", "cuda" or "cuda:1".'),
    "QUEUE": (re.compile(r".+"), 'Give the name of a queue, as "visual_search".'),
}


def register() -> None:
    """Register every check with Django."""
    for check in (
        check_keys,
        check_values,
        check_product_model,
        check_product_key,
        catalogs.check_catalog,
        catalogs.check_fields,
        catalogs.check_filters,
        check_encoders,
        check_text_encoder,
    ):
        checks.register(check, checks.Tags.compatibility)
    checks.register(database.check_engine, checks.Tags.compatibility)
    for check in (
        database.check_extension,
        database.check_recall,
        database.check_text_config,
        database.check_cascades,
    ):
        checks.register(check, checks.Tags.database)


def check_keys(**kwargs: Any) -> list[checks.CheckMessage]:
    """E001: a key that is no setting, or settings that are no dict."""
    found = getattr(settings, "VISUAL_SEARCH", {})
    if not isinstance(found, Mapping):
        return [error(f"VISUAL_SEARCH is {found!r}.", 'Give a dict, as {"PRODUCT_MODEL": "shop.Product"}.', "E001")]
    known = conf.names()
    problems = []
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(known)}."
            problems.append(error(f"Unknown key {key!r}.", hint, "E001"))
    return problems


def check_values(**kwargs: Any) -> list[checks.CheckMessage]:
    """E002: a value of the wrong type, or out of range."""
    problems = []
    for key, value in conf.chosen().items():
        if hint := _hint(key, value):
            problems.append(error(f"{key} is {value!r}.", hint, "E002"))
        elif key == "API_RATES":
            problems += _wrong_rates(value)
    return problems


def _hint(key: str, value: Any) -> str:
    """Return what to give in place of `value`, or "" where it may stay."""
    kind = _TYPES.get(key)
    if kind is None:
        return ""
    if key == "COLOUR_SHARE":
        number = isinstance(value, kind) and not isinstance(value, bool)
        return "" if number and 0 <= value <= 1 else "Give a number from 0 to 1."
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return f"Give a value of type {kind.__name__}."
    if key in _CHOICES and value not in _CHOICES[key]:
        return f"Give one of {', '.join(map(repr, _CHOICES[key]))}."
    if key in _PATTERNS and not _PATTERNS[key][0].fullmatch(value):
        return _PATTERNS[key][1]
    least = _LEAST.get(key, 1)
    if kind is int and value < least:
        return f"Give {least} or more."
    most, hint = _MOST.get(key, (value, ""))
    return hint if kind is int and value > most else ""


def _wrong_rates(rates: Mapping[Any, Any]) -> list[checks.CheckMessage]:
    problems = []
    for scope, rate in rates.items():
        if scope not in conf.Settings.API_RATES:
            known = ", ".join(conf.Settings.API_RATES)
            problems.append(error(f"API_RATES has no scope {scope!r}.", f"Scopes are {known}.", "E002"))
        elif not throttles.understands(rate):
            hint = 'Give a rate as "120/min" (s, min, hour or day), or None for no limit.'
            problems.append(error(f"API_RATES[{scope!r}] is {rate!r}.", hint, "E002"))
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
        return [error(found, hint, "E003")]
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
    return [error(message, hint, "E009")]


def check_encoders(**kwargs: Any) -> list[checks.CheckMessage]:
    """E007: an encoder that nobody knows."""
    specs = conf.settings.ENCODERS
    if isinstance(specs, str) or not isinstance(specs, Sequence) or not specs:
        return [error(f"ENCODERS is {specs!r}.", 'Give a list, as ["efficientnet_lite0"].', "E007")]
    problems = []
    for spec in specs:
        try:
            registry.validate(spec)
        except VisualSearchError as found:
            problems.append(error(str(found), "Correct the name in ENCODERS.", "E007"))
    return problems


def check_text_encoder(**kwargs: Any) -> list[checks.CheckMessage]:
    """E013: a sentence encoder that nobody knows, or that is not installed."""
    name = conf.settings.TEXT_ENCODER
    try:
        if name and isinstance(name, str):
            sentences.folder_of(name)
    except VisualSearchError as found:
        hint = f'Give "{sentences.PACKAGED}", a folder, or "" for full text alone.'
        return [error(str(found), hint, "E013")]
    return []
