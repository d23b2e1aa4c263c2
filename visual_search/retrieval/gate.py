"""What may be shown, as SQL: the catalog's products, narrowed by the shop's own queryset."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections, models

from visual_search import catalog, conf
from visual_search.indexing.sources import texts
from visual_search.models import ProductEmbedding, ProductText
from visual_search.retrieval import statement
from visual_search.retrieval.query import Query

ESTIMATE_SECONDS = 60.0
ESTIMATES_KEPT = 512

_estimates: OrderedDict[tuple[int, str], tuple[float, int]] = OrderedDict()


_MATCHING = f"""NOT IN (
    SELECT unwanted.product_id FROM {ProductText._meta.db_table} unwanted
    WHERE unwanted.vector @@ websearch_to_tsquery(%s::regconfig, %s))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The condition on `embedding.product_id` as SQL without parameters, and the querysets that results come from.

    `conditions` are what `sql` asks of a key, as SQL that comes after it. `shown` are the catalog's products;
    `narrowed` the caller's queryset, or None.
    """

    sql: str
    conditions: tuple[str, ...] = ()
    shown: models.QuerySet[Any]
    narrowed: models.QuerySet[Any] | None = None
    empty: bool = False

    def on(self, column: str) -> str:
        """Return the condition on another `column` with keys of products."""
        return " AND ".join(f"{column} {condition}" for condition in self.conditions)


def of(query: Query) -> Gate:
    """Return the gate of `query`. What it hides is never shown, counted or hinted at."""
    shown = catalog.current().products(query.request).using(conf.settings.DATABASE)
    if query.filters:
        shown = shown.filter(**query.filters)
    narrowed = None if query.queryset is None else query.queryset.using(conf.settings.DATABASE)
    conditions = []
    for queryset in [shown] if narrowed is None else [shown, narrowed]:
        # An ordering inside IN (...) costs a sort that nobody sees, but for DISTINCT ON, which picks by it.
        chosen = queryset if queryset.query.distinct_fields else queryset.order_by()
        try:
            sql, values = chosen.values("pk").query.get_compiler(conf.settings.DATABASE).as_sql()
        except EmptyResultSet:
            return Gate(sql="FALSE", shown=shown, narrowed=narrowed, empty=True)
        conditions.append(f"IN ({statement.literal(sql, values)})")
    for term in query.terms:
        if term.words is not None and term.weight < 0:
            conditions.append(statement.literal(_MATCHING, [texts.config(), term.words]))
    sql = " AND ".join(f"embedding.product_id {condition}" for condition in conditions)
    return Gate(sql=sql, conditions=tuple(conditions), shown=shown, narrowed=narrowed)


def estimate(index: int, gate: Gate | None = None) -> int:
    """Return about how many vectors of `index` pass `gate`, or are there: Postgres's estimate, kept for a minute."""
    now, condition = time.monotonic(), "TRUE" if gate is None else gate.sql
    if (kept := _estimates.get((index, condition))) and now - kept[0] < ESTIMATE_SECONDS:
        return kept[1]
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {ProductEmbedding._meta.db_table} embedding"
            f" WHERE index_id = {index:d} AND state = 'ready' AND {condition}",
            [],
        )
        plan = cursor.fetchone()[0]
    rows: int = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"]
    _estimates[index, condition] = (now, rows)
    while len(_estimates) > ESTIMATES_KEPT:
        _estimates.popitem(last=False)
    return rows
