"""What may be shown, as SQL: the catalog's products, narrowed by the shop's own queryset."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import operator
import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db import connections, models
from django.db.models.constants import LOOKUP_SEP

from visual_search import catalog, conf
from visual_search.exceptions import InvalidQuery
from visual_search.indexing.sources import texts
from visual_search.models import ProductEmbedding, ProductText
from visual_search.retrieval import statement
from visual_search.retrieval.query import Query

ESTIMATE_SECONDS = 60.0
ESTIMATES_KEPT = 512

_estimates: OrderedDict[tuple[int, bytes], tuple[float, int]] = OrderedDict()

_SECONDS = re.compile(r"(?<=\d\d:\d\d):\d\d(\.\d+)?")
"""Of a time in SQL: where it is now, each search would have an estimate of its own."""


_MATCHING = f"""NOT IN (
    SELECT unwanted.product_id FROM {ProductText._meta.db_table} unwanted
    WHERE unwanted.vector @@ websearch_to_tsquery(%s::regconfig, %s))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The condition on `embedding.product_id` as SQL without parameters, and the querysets that results come from.

    `conditions` are what `sql` asks of a key, as SQL that comes after it. `shown` are the catalog's products;
    `filtered` what the filters leave, where it isn't `shown` itself; `narrowed` the caller's queryset, or None.
    """

    sql: str
    conditions: tuple[str, ...] = ()
    shown: models.QuerySet[Any]
    filtered: tuple[models.QuerySet[Any], ...] = ()
    narrowed: models.QuerySet[Any] | None = None
    empty: bool = False

    def on(self, column: str) -> str:
        """Return the condition on another `column` with keys of products."""
        return " AND ".join(f"{column} {condition}" for condition in self.conditions)

    def load(self, keys: Sequence[Any]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Return the catalog's products by key, and the caller's: those of `keys` that pass by now."""
        wanted = models.Q(pk__in=keys)
        passing = (models.Q(pk__in=each.values("pk")) for each in self.filtered)
        found = catalog.by_key(self.shown, functools.reduce(operator.and_, passing, wanted))
        shown = {product.pk: product for product in found}
        if self.narrowed is None:
            return shown, shown
        return shown, {product.pk: product for product in catalog.by_key(self.narrowed, wanted)}


def of(query: Query) -> Gate:
    """Return the gate of `query`. What it hides is never shown, counted or hinted at.

    Raises InvalidQuery (`invalid_filter`) for filters that the ORM refuses.
    """
    shown = catalog.current().products(query.request).using(conf.settings.DATABASE)
    narrowed = None if query.queryset is None else query.queryset.using(conf.settings.DATABASE)
    filtered: tuple[models.QuerySet[Any], ...] = ()
    try:
        with _refusing(query.filters):
            shown, filtered = _filtered(shown, query.filters)
            conditions = [_condition(queryset) for queryset in (shown, *filtered)]
        if narrowed is not None:
            conditions.append(_condition(narrowed))
    except EmptyResultSet:
        return Gate(sql="FALSE", shown=shown, filtered=filtered, narrowed=narrowed, empty=True)
    for term in query.terms:
        if term.words is not None and term.weight < 0:
            conditions.append(statement.literal(_MATCHING, [texts.config(), term.words]))
    sql = " AND ".join(f"embedding.product_id {condition}" for condition in conditions)
    return Gate(sql=sql, conditions=tuple(conditions), shown=shown, filtered=filtered, narrowed=narrowed)


def _condition(queryset: models.QuerySet[Any]) -> str:
    chosen = catalog.unordered(queryset).values("pk")
    sql, values = chosen.query.get_compiler(conf.settings.DATABASE).as_sql()
    return f"IN ({statement.literal(sql, values)})"


@contextlib.contextmanager
def _refusing(filters: Mapping[str, Any]) -> Iterator[None]:
    """Raise InvalidQuery where the ORM can't make SQL of `filters`."""
    try:
        yield
    except (FieldError, ValidationError, ValueError, TypeError, ArithmeticError) as error:
        if not filters:
            raise
        raise InvalidQuery(
            f"The filters are {filters!r:.200}; give ORM lookups of the product, each with a value of its type.",
            code="invalid_filter",
        ) from error


def _filtered(
    shown: models.QuerySet[Any], filters: Mapping[str, Any]
) -> tuple[models.QuerySet[Any], tuple[models.QuerySet[Any], ...]]:
    """Return `shown` with `filters`; where that may widen it, `shown` alone and what the filters leave of all products.

    Those on what `shown` annotates leave it of `shown`: the plain model has no such thing.
    """
    if not filters or catalog.narrows(shown):
        return shown.filter(**filters), ()
    own = {*shown.query.annotations, *shown.query._filtered_relations}  # type: ignore[attr-defined]
    annotated = {lookup: value for lookup, value in filters.items() if lookup.split(LOOKUP_SEP)[0] in own}
    plain = {lookup: value for lookup, value in filters.items() if lookup not in annotated}
    every = shown.model._base_manager.using(conf.settings.DATABASE)
    parts = ((every.filter(**plain), plain), (shown.filter(**annotated), annotated))
    return shown, tuple(filtered for filtered, given in parts if given)


def estimate(index: int, gate: Gate | None = None) -> int:
    """Return about how many vectors of `index` pass `gate`, or are there: Postgres's estimate, kept for a minute.

    Gates that differ in the seconds of a time alone share it.
    """
    now, condition = time.monotonic(), "TRUE" if gate is None else gate.sql
    key = index, hashlib.sha256(_SECONDS.sub("", condition).encode()).digest()
    if (kept := _estimates.get(key)) and now - kept[0] < ESTIMATE_SECONDS:
        return kept[1]
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {ProductEmbedding._meta.db_table} embedding"
            f" WHERE index_id = {index:d} AND state = 'ready' AND {condition}",
            [],
        )
        plan = cursor.fetchone()[0]
    rows: int = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"]
    _estimates[key] = (now, rows)
    while len(_estimates) > ESTIMATES_KEPT:
        _estimates.popitem(last=False)
    return rows
