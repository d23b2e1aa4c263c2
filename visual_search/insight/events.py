"""Record what kind of search was made, what it showed and what was clicked: never a photo, a vector, or who asked."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, Error, connections, transaction
from django.db.models.functions import Coalesce, Now
from django.http import HttpRequest
from django.utils import timezone

from visual_search import catalog, conf
from visual_search.models import ResultEvent, SearchEvent
from visual_search.retrieval import answers, statement

logger = logging.getLogger("visual_search.insight")

PRUNED_AT_ONCE = 1_000
"""Searches deleted in one transaction, with what they showed: short enough that nobody waits for its locks."""


def record(answer: answers.Answer, *, product: Any = None, request: HttpRequest | None = None) -> uuid.UUID | None:
    """Record `answer` and what it showed; return the key of the search, or None where nothing was recorded.

    `product` is the key of the product that similar ones were asked for. Nothing is recorded where it isn't `wanted`,
    nor of a HEAD request, which shows nothing. An event that can't be written is logged, never an error.
    """
    if not wanted(request) or (request is not None and request.method == "HEAD"):
        return None
    search = SearchEvent(
        kind=answer.kind,
        index_id=answer.index,
        product_id=product,
        results=len(answer.products),
        milliseconds=answer.milliseconds,
    )
    try:
        if statement.alone():
            _insert(search, answer, unhurried=True)
        else:
            # The shop's transaction: a failure here must not poison it, and its commit waits for the disk.
            with statement.savepoint():
                _insert(search, answer, unhurried=False)
    except Error:
        logger.warning("A search could not be recorded.", exc_info=True)
        return None
    return search.pk


def _insert(search: SearchEvent, answer: answers.Answer, *, unhurried: bool) -> None:
    """Insert `search` and what it showed, in one statement: the customer waits for it.

    `unhurried`, it doesn't wait for the disk either: a crash of Postgres may cost the events of its last half second.
    """
    connection = connections[conf.settings.DATABASE]
    fields = [field for field in SearchEvent._meta.concrete_fields if field.name != "created_at"]
    columns = ", ".join(str(field.column) for field in fields)
    values = [field.get_db_prep_save(getattr(search, field.attname), connection) for field in fields]
    product = ResultEvent._meta.get_field("product")
    shown = [product.get_db_prep_save(found.pk, connection) for found in answer.products]
    commit = ", (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried" if unhurried else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH search AS (
                INSERT INTO {SearchEvent._meta.db_table} ({columns})
                VALUES ({", ".join(["%s"] * len(fields))}) RETURNING id)
            INSERT INTO {ResultEvent._meta.db_table} (search_id, product_id, position)
            SELECT search.id, shown.product, shown.position
            FROM search, unnest(%s::{product.db_type(connection)}[]) WITH ORDINALITY AS shown(product, position){commit}
            """,
            [*values, shown],
        )


def click(search: Any, product: Any) -> bool:
    """Record that `product` was opened from the results of `search`; return whether it had been shown there.

    Any values may be given, malformed ones were never shown. Only the first click counts, and with RECORD_EVENTS off
    none does.
    """
    if not conf.settings.RECORD_EVENTS:
        return False
    database = conf.settings.DATABASE
    try:
        shown = ResultEvent.objects.using(database).filter(
            search_id=SearchEvent._meta.pk.to_python(search),
            product_id=catalog.product_model()._meta.pk.to_python(product),
        )
        with contextlib.nullcontext() if statement.alone() else statement.savepoint():
            return bool(shown.update(clicked_at=Coalesce("clicked_at", Now())))
    except (ValidationError, ValueError, TypeError, OverflowError, DataError):
        return False


def wanted(request: HttpRequest | None) -> bool:
    """Return whether events may be recorded: RECORD_EVENTS is on, and the browser doesn't ask not to be tracked.

    It does so by Global Privacy Control, or by the older Do Not Track.
    """
    declined = request is not None and "1" in (request.headers.get("Sec-GPC"), request.headers.get("DNT"))
    return bool(conf.settings.RECORD_EVENTS) and not declined


def prune(days: int | None = None, *, deadline: float = float("inf")) -> int:
    """Delete searches older than `days` (default EVENT_RETENTION_DAYS), until `deadline`; return how many went.

    They go in transactions of a thousand, the oldest first, so that it can be stopped and resumed.
    """
    database = conf.settings.DATABASE
    kept = conf.settings.EVENT_RETENTION_DAYS if days is None else days
    old = (
        SearchEvent.objects.using(database)
        .filter(created_at__lt=timezone.now() - dt.timedelta(days=kept))
        .order_by("created_at")
        .values_list("pk", flat=True)
    )
    pruned = 0
    while keys := list(old[:PRUNED_AT_ONCE]):
        with transaction.atomic(database):
            ResultEvent.objects.using(database).filter(search_id__in=keys).delete()
            pruned += SearchEvent.objects.using(database).filter(pk__in=keys).delete()[0]
        if time.monotonic() >= deadline:
            break
    return pruned
