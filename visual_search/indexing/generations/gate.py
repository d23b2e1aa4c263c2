"""What an index has to show before it may replace the live one."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import connections, transaction

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


def evaluate(index: SearchIndex, *, samples: int = SAMPLES, seconds: float = float("inf")) -> Evaluation:
    """Measure `index` against the gate on up to `samples` pictures or for `seconds`, and store the result on it."""
    deadline = time.monotonic() + seconds
    live = _indexes().live()
    rival = live if live is not None and live.pk != index.pk else None
    coverage, failed = _coverage(index), _failed(index)
    recall, sampled = _recall(index, samples=samples, deadline=deadline)
    sibling, difference = _siblings(index, rival, samples=samples, deadline=deadline)
    reasons = []
    if coverage < LEAST_COVERAGE:
        reasons.append(f"{coverage:.2%} of the listed products have an outcome; {LEAST_COVERAGE:.1%} are needed.")
    if rival is not None and failed > (others := _failed(rival)):
        reasons.append(f"{failed} pictures failed, {others} in the live index.")
    if recall is not None and recall < LEAST_RECALL:
        reasons.append(f"HNSW finds {recall:.1%} of the 10 nearest; {LEAST_RECALL:.0%} are needed.")
    if difference is not None and difference < -LARGEST_LOSS:
        reasons.append(f"It may find siblings {-difference:.1%} less often than the live index.")
    found = Evaluation(
        coverage=coverage, failed=failed, recall=recall, samples=sampled, sibling=sibling, difference=difference,
        reasons=tuple(reasons),
    )  # fmt: skip
    # What `manage.py visual_search evaluate` measured stays beside it.
    index.evaluation = {**(index.evaluation or {}), **asdict(found)}
    _indexes().filter(pk=index.pk).update(evaluation=index.evaluation)
    return found


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
    listed = catalog.current().products().using(conf.settings.DATABASE).order_by()
    total = listed.count()
    queued = QueuedProduct.objects.using(conf.settings.DATABASE).filter(index=index)
    waiting = listed.filter(pk__in=queued.values("product_id")).count() + missing(index)
    return 1.0 - waiting / total if total else 1.0


def _failed(index: SearchIndex) -> int:
    rows = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, state="failed")
    return rows.count()


def _recall(index: SearchIndex, *, samples: int, deadline: float) -> tuple[float | None, int]:
    hits = total = asked = 0
    for key in _sample(index, samples):
        if asked and time.monotonic() >= deadline:
            break
        found = _nearest(index, key, exact=False)
        right = _nearest(index, key, exact=True)
        # By distance: where pictures are the same, others than the exact search names are right answers too.
        hits += sum(distance <= right[-1] + SAME for distance in found)
        total, asked = total + len(right), asked + 1
    return (hits / total if total else None), asked


def _sample(index: SearchIndex, samples: int) -> list[int]:
    """Return keys of ready rows in an order that has nothing to do with anything else."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {_TABLE} WHERE index_id = %s AND state = 'ready' ORDER BY md5(id::text) LIMIT %s",
            [index.pk, samples],
        )
        return [row[0] for row in cursor.fetchall()]


def _nearest(index: SearchIndex, key: int, *, exact: bool) -> list[float]:
    """Return the distances of the nearest pictures to that of row `key`, itself among them."""
    distance = (
        f"embedding::halfvec({index.dimensions}) {hnsw.operator(index)}"
        f" (SELECT embedding::halfvec({index.dimensions}) FROM {_TABLE} WHERE id = %s)"
    )
    rows = _run(
        f"SELECT {distance} FROM {_TABLE} WHERE index_id = {index.pk:d} AND state = 'ready'"
        f" ORDER BY ({distance}){' + 0' if exact else ''} LIMIT {NEIGHBOURS}",
        [key, key],
    )
    return [row[0] for row in rows]


def _siblings(
    index: SearchIndex, rival: SearchIndex | None, *, samples: int, deadline: float
) -> tuple[float | None, float | None]:
    """Ask with pictures of products that have several: is the nearest other picture one of the same product?"""
    hits: list[tuple[bool, bool]] = []
    for product, image in _with_siblings(index, rival, samples):
        if hits and time.monotonic() >= deadline:
            break
        ours = _finds_sibling(index, product, image)
        hits.append((ours, ours if rival is None else _finds_sibling(rival, product, image)))
    if len(hits) < measures.LEAST_PAIRS:
        return None, None
    pairs = np.array(hits, dtype=float)
    if rival is None:
        return float(pairs[:, 0].mean()), None
    return float(pairs[:, 0].mean()), measures.mean(pairs[:, 0] - pairs[:, 1]).low


def _with_siblings(index: SearchIndex, rival: SearchIndex | None, samples: int) -> list[tuple[Any, str]]:
    indexes = [index.pk] if rival is None else [index.pk, rival.pk]
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT product_id, image_key FROM (
                SELECT product_id, image_key, count(*) OVER (PARTITION BY product_id) AS pictures FROM (
                    SELECT product_id, image_key FROM {_TABLE}
                    WHERE index_id = ANY(%s) AND state = 'ready' AND region = '{{}}'
                    GROUP BY product_id, image_key HAVING count(*) = %s) shared) counted
            WHERE pictures > 1 ORDER BY md5(product_id::text || image_key) LIMIT %s
            """,
            [indexes, len(indexes), samples],
        )
        return cursor.fetchall()


def _finds_sibling(index: SearchIndex, product: Any, image: str) -> bool:
    rows = _run(
        f"SELECT product_id, image_key FROM {_TABLE}"
        f" WHERE index_id = {index.pk:d} AND state = 'ready' AND region = '{{}}'"
        f" ORDER BY embedding::halfvec({index.dimensions}) {hnsw.operator(index)}"
        f" (SELECT {_weighted(index)} FROM {_TABLE}"
        f" WHERE index_id = {index.pk:d} AND product_id = %s AND image_key = %s AND region = '{{}}') LIMIT 2",
        [product, image],
    )
    nearest = next((row for row in rows if row != (product, image)), None)
    return nearest is not None and nearest[0] == product


def _weighted(index: SearchIndex) -> str:
    """Return SQL for an embedding with the shares that a query gives its parts; Euclidean rows hold them themselves."""
    shares = [float(part["share"]) for part in index.parts]
    if len(set(shares)) == 1 or index.metric == SearchIndex.Metric.EUCLIDEAN:
        return f"embedding::halfvec({index.dimensions})"
    return hnsw.weighted(index, "embedding", shares)


def _run(sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    alias = conf.settings.DATABASE
    with transaction.atomic(alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(conf.settings.EF_SEARCH)])
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
        # Only a rollback keeps the setting from what the shop does next in its own transaction.
        transaction.set_rollback(True, using=alias)
    return rows


def _indexes() -> Any:
    return SearchIndex.objects.using(conf.settings.DATABASE)


_TABLE = ProductEmbedding._meta.db_table
