"""What an index has to show before it may replace the live one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import OperationalError, connections, models, transaction
from psycopg import errors

from visual_search import catalog, conf
from visual_search.indexing.generations import hnsw
from visual_search.indexing.intake import changes
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import measures
from visual_search.models import ProductEmbedding, QueuedProduct, SearchIndex

LEAST_COVERAGE = 0.999
LEAST_RECALL = 0.98
LARGEST_LOSS = 0.01

SAME = 1e-6
"""Distances that differ by less are the same."""

LOOKED_AT = 200
"""Products without an outcome whose pictures are listed."""

SAMPLES = 200
NEIGHBOURS = 10

FRESH_SECONDS = 3_600
LARGEST_CHANGE = 0.01
"""How old figures may be that an index is judged by, and what share of its pictures may have come or gone since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured of an index, and why it may not become live (`reasons`, empty where it may).

    `coverage` is (products with an outcome, or without a picture) / listed; `recall` is recall@10 of HNSW against exact
    search on `samples` stored pictures; `sibling` is the share of sampled pictures whose nearest other one shows the
    same product, and `difference` the lower end of the 95 % bootstrap interval of its difference to the live index's,
    in the same pairs.
    """

    coverage: float
    failed: int
    recall: float | None
    samples: int
    sibling: float | None
    difference: float | None
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether the index may become live."""
        return not self.reasons


Counting = Callable[[str, int, int], None]
"""Takes what is measured, and how much of how much is done."""


class OutOfTime(Exception):
    """What was asked of Postgres took longer than the time that was left."""


def evaluate(
    index: SearchIndex, *, samples: int = SAMPLES, seconds: float = float("inf"), counting: Counting | None = None
) -> Evaluation:
    """Measure `index` against the gate on up to `samples` pictures or for `seconds`, and store the result on it.

    Half of the time is for each of recall and siblings: an exact search among millions takes seconds.
    """
    started = time.monotonic()
    counting = counting or (lambda what, done, total: None)
    rival = _rival(index)
    figures: dict[str, Any] = {"recall": None, "samples": 0, "sibling": None, "difference": None}
    hurried = False
    try:
        figures |= _recall(index, samples=samples, deadline=started + seconds / 2, counting=counting)
        figures |= _siblings(index, rival, samples=samples, deadline=started + seconds, counting=counting)
    except OutOfTime:
        hurried = True
    found = _judged(index, rival, figures, hurried=hurried)
    # What `manage.py visual_search evaluate` measured stays beside it.
    index.evaluation = {**(index.evaluation or {}), **asdict(found)}
    index.evaluation["measured"] = None if hurried else _conditions(index, rival)
    _indexes().filter(pk=index.pk).update(evaluation=index.evaluation)
    return found


def judge(index: SearchIndex, *, seconds: float, counting: Counting | None = None) -> Evaluation:
    """Judge `index` by figures of the last hour where it passes with the counts of now, else by `seconds` of measuring.

    What failed may have been mended since.
    """
    rival, stored = _rival(index), index.evaluation or {}
    if _fresh(stored.get("measured"), _conditions(index, rival)):
        found = _judged(index, rival, {name: stored[name] for name in ("recall", "samples", "sibling", "difference")})
        if found.passed:
            return found
    return evaluate(index, seconds=seconds, counting=counting)


def _conditions(index: SearchIndex, rival: SearchIndex | None) -> dict[str, Any]:
    """Return when, on how many pictures, beside which live index and how thoroughly searched something is measured."""
    beside = {"rival": rival and rival.pk, "ef_search": conf.settings.EF_SEARCH}
    return {"at": time.time(), "pictures": _pictures(index, "ready"), **beside}


def _fresh(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> bool:
    if not then or (then["rival"], then["ef_search"]) != (now["rival"], now["ef_search"]):
        return False
    changed = abs(then["pictures"] - now["pictures"])
    return now["at"] - then["at"] < FRESH_SECONDS and changed <= LARGEST_CHANGE * now["pictures"]


def _judged(
    index: SearchIndex, rival: SearchIndex | None, figures: Mapping[str, Any], *, hurried: bool = False
) -> Evaluation:
    recall, difference = figures["recall"], figures["difference"]
    coverage, failed = _coverage(index), _pictures(index, "failed")
    reasons = []
    if coverage < LEAST_COVERAGE:
        reasons.append(f"{coverage:.2%} of the listed products have an outcome; {LEAST_COVERAGE:.1%} are needed.")
    if rival is not None and failed > (others := _pictures(rival, "failed")):
        reasons.append(f"{failed} pictures failed, {others} in the live index.")
    if hurried:
        reasons.append(
            "There was too little time to measure it. "
            f"`manage.py visual_search index evaluate {index.pk}` takes it; what it finds holds for an hour."
        )
    if recall is not None and recall < LEAST_RECALL:
        found = f"HNSW finds {recall:.1%} of the 10 nearest of {figures['samples']} pictures"
        reasons.append(f"{found}; {LEAST_RECALL:.0%} are needed.")
    if difference is not None and difference < -LARGEST_LOSS:
        reasons.append(f"It may find siblings {-difference:.1%} less often than the live index.")
    return Evaluation(coverage=coverage, failed=failed, reasons=tuple(reasons), **figures)


def missing(index: SearchIndex) -> int:
    """Return how many listed products have pictures, but neither an outcome in `index` nor a place in its queue.

    Of many it is estimated from LOOKED_AT of them: only the catalog knows which of them have pictures.
    """
    count, some = changes.missing(index, sample=LOOKED_AT)
    if not some:
        return 0
    pictured = sum(bool(pictures.of(product)) for product in pictures.load(some).values())
    return math.ceil(count * pictured / len(some))


def _coverage(index: SearchIndex) -> float:
    """Return the share of listed products that wait for nothing, and that nobody forgot to queue."""
    listed = catalog.unordered(catalog.current().products().using(conf.settings.DATABASE))
    total = listed.count()
    queued = QueuedProduct.objects.using(conf.settings.DATABASE).filter(index=index)
    waiting = catalog.by_key(listed, models.Q(pk__in=queued.values("product_id"))).count() + missing(index)
    return 1.0 - waiting / total if total else 1.0


def _pictures(index: SearchIndex, state: str) -> int:
    return int(ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, state=state).count())


def _recall(index: SearchIndex, *, samples: int, deadline: float, counting: Counting) -> dict[str, Any]:
    hits = total = asked = 0
    # In an order that has nothing to do with anything else.
    sql = f"SELECT id FROM {_TABLE} WHERE index_id = %s AND state = 'ready' ORDER BY md5(id::text) LIMIT %s"
    keys = _run(sql, [index.pk, samples], deadline)
    for (key,) in keys:
        try:
            found = _nearest(index, key, exact=False, deadline=deadline)
            right = _nearest(index, key, exact=True, deadline=deadline)
        except OutOfTime:
            if not asked:
                raise
            break
        # By distance: where pictures are the same, others than the exact search names are right answers too.
        hits += sum(distance <= right[-1] + SAME for distance in found)
        total, asked = total + len(right), asked + 1
        counting("recall", asked, len(keys))
    return {"recall": hits / total if total else None, "samples": asked}


def _nearest(index: SearchIndex, key: int, *, exact: bool, deadline: float) -> list[float]:
    """Return the distances of the nearest pictures to that of row `key`, itself among them."""
    distance = (
        f"(embedding::halfvec({index.dimensions}) {hnsw.operator(index)}"
        f" (SELECT embedding::halfvec({index.dimensions}) FROM {_TABLE} WHERE id = %s))"
    )
    # By number: as an expression of its own, an exact search would reckon each distance twice.
    rows = _run(
        f"SELECT {distance}{' + 0' if exact else ''} FROM {_TABLE} WHERE index_id = {index.pk:d} AND state = 'ready'"
        f" ORDER BY 1 LIMIT {NEIGHBOURS}",
        [key],
        deadline,
    )
    return [row[0] for row in rows]


def _siblings(
    index: SearchIndex, rival: SearchIndex | None, *, samples: int, deadline: float, counting: Counting
) -> dict[str, float | None]:
    """Ask with pictures of products that have several: is the nearest other picture one of the same product?"""
    hits: list[tuple[bool, bool]] = []
    chosen = _with_siblings(index, rival, samples, deadline)
    for product, image in chosen:
        try:
            ours = _finds_sibling(index, product, image, deadline)
            hits.append((ours, ours if rival is None else _finds_sibling(rival, product, image, deadline)))
        except OutOfTime:
            if len(hits) < measures.LEAST_PAIRS:
                raise
            break
        counting("siblings", len(hits), len(chosen))
    if len(hits) < measures.LEAST_PAIRS:
        return {}
    pairs = np.array(hits, dtype=float)
    difference = None if rival is None else measures.mean(pairs[:, 0] - pairs[:, 1]).low
    return {"sibling": float(pairs[:, 0].mean()), "difference": difference}


def _with_siblings(
    index: SearchIndex, rival: SearchIndex | None, samples: int, deadline: float = float("inf")
) -> list[tuple[Any, ...]]:
    indexes = [index.pk] if rival is None else [index.pk, rival.pk]
    return _run(
        f"""
        SELECT product_id, image_key FROM (
            SELECT product_id, image_key, count(*) OVER (PARTITION BY product_id) AS pictures FROM (
                SELECT product_id, image_key FROM {_TABLE}
                WHERE index_id = ANY(%s) AND state = 'ready' AND region = '{{}}'
                GROUP BY product_id, image_key HAVING count(*) = %s) shared) counted
        WHERE pictures > 1 ORDER BY md5(product_id::text || image_key) LIMIT %s
        """,
        [indexes, len(indexes), samples],
        deadline,
    )


def _finds_sibling(index: SearchIndex, product: Any, image: str, deadline: float) -> bool:
    rows = _run(
        f"SELECT product_id, image_key FROM {_TABLE}"
        f" WHERE index_id = {index.pk:d} AND state = 'ready' AND region = '{{}}'"
        f" ORDER BY embedding::halfvec({index.dimensions}) {hnsw.operator(index)}"
        f" (SELECT {_weighted(index)} FROM {_TABLE}"
        f" WHERE index_id = {index.pk:d} AND product_id = %s AND image_key = %s AND region = '{{}}') LIMIT 2",
        [product, image],
        deadline,
    )
    nearest = next((row for row in rows if row != (product, image)), None)
    return nearest is not None and nearest[0] == product


def _weighted(index: SearchIndex) -> str:
    """Return SQL for an embedding with the shares that a query gives its parts; Euclidean rows hold them themselves."""
    shares = [float(part["share"]) for part in index.parts]
    if len(set(shares)) == 1 or index.metric == SearchIndex.Metric.EUCLIDEAN:
        return f"embedding::halfvec({index.dimensions})"
    return hnsw.weighted(index, "embedding", shares)


def _run(sql: str, parameters: list[Any], deadline: float) -> list[tuple[Any, ...]]:
    """Return the rows of `sql`; raise OutOfTime where it can't be done by the `deadline`."""
    alias, left = conf.settings.DATABASE, deadline - time.monotonic()
    if left <= 0:
        raise OutOfTime
    try:
        with transaction.atomic(alias), connections[alias].cursor() as cursor:
            cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(conf.settings.EF_SEARCH)])
            if left < float("inf"):
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(math.ceil(1_000 * left))])
            cursor.execute(sql, parameters)
            rows = cursor.fetchall()
            # Only a rollback keeps the settings from what the shop does next in its own transaction.
            transaction.set_rollback(True, using=alias)
    except OperationalError as error:
        if left < float("inf") and isinstance(error.__cause__, errors.QueryCanceled):
            raise OutOfTime from error
        raise
    return rows


def _rival(index: SearchIndex) -> SearchIndex | None:
    live = _indexes().live()
    return live if live is not None and live.pk != index.pk else None


def _indexes() -> Any:
    return SearchIndex.objects.using(conf.settings.DATABASE)


_TABLE = ProductEmbedding._meta.db_table
