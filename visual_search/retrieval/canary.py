"""Does HNSW still find what is nearest? Asked on the shop's own products, with and without a filter."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.dispatch import Signal
from django.utils import timezone

from visual_search import conf
from visual_search.exceptions import NoLiveIndex
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, targets
from visual_search.retrieval.query import Query

logger = logging.getLogger("visual_search.recall")

SAMPLES = 100
NEIGHBOURS = 10

LEAST_RECALL = 0.95
"""Recall below which somebody should look: rebuild with `manage.py visual_search index reindex`, or raise EF_SEARCH."""

recall_dropped = Signal()
"""Sent with `recall` (Recall) when a measurement is below `LEAST_RECALL`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Recall@10 of HNSW against exact search, over all products and through a filter that one in ten passes."""

    index: int
    unfiltered: float
    filtered: float
    samples: int
    measured_at: str

    @property
    def least(self) -> float:
        """Return the worse of the two."""
        return min(self.unfiltered, self.filtered)


def measure(*, samples: int = SAMPLES, deadline: float = float("inf")) -> Recall:
    """Measure the live index on `samples` products, or until `deadline`, and store the figures on it.

    Below `LEAST_RECALL` it logs an error and sends `recall_dropped`. Raises NoLiveIndex.
    """
    index = SearchIndex.objects.using(conf.settings.DATABASE).live()
    if index is None:
        raise NoLiveIndex()
    hits, totals, asked = [0, 0], [0, 0], 0
    for key in _sample(index, samples):
        if asked and time.monotonic() >= deadline:
            break
        query = Query(product=key, limit=NEIGHBOURS)
        whole = gates.of(query)
        tenth = dataclasses.replace(whole, sql=f"{whole.sql} AND hashtext(embedding.product_id::text) %% 10 = 0")
        for number, gate in enumerate((whole, tenth)):
            found, right = (_keys(index, query, gate, exact=exact) for exact in (False, True))
            hits[number] += len(found & right)
            totals[number] += len(right)
        asked += 1
    shares = [hit / total if total else 1.0 for hit, total in zip(hits, totals, strict=True)]
    recall = Recall(
        index=index.pk,
        unfiltered=shares[0],
        filtered=shares[1],
        samples=asked,
        measured_at=timezone.now().isoformat(timespec="seconds"),
    )
    SearchIndex.objects.using(conf.settings.DATABASE).filter(pk=index.pk).update(recall=dataclasses.asdict(recall))
    if recall.least < LEAST_RECALL:
        logger.error("Recall of index %s fell to %.1f %%; rebuild its HNSW index.", index, 100 * recall.least)
        recall_dropped.send(SearchIndex, recall=recall)
    return recall


def _sample(index: SearchIndex, samples: int) -> list[Any]:
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT product_id FROM (SELECT DISTINCT product_id FROM {ProductEmbedding._meta.db_table}
                WHERE index_id = %s AND state = 'ready') embedded
            ORDER BY random() LIMIT %s
            """,
            [index.pk, samples],
        )
        return [row[0] for row in cursor.fetchall()]


def _keys(index: SearchIndex, query: Query, gate: gates.Gate, *, exact: bool) -> set[Any]:
    width = NEIGHBOURS * nearest.OVERSAMPLE * (1 + index.regions)
    target = targets.of(index, query)
    # Another index may be activated meanwhile: the figures are of this one all the same.
    found, _ = nearest.ask(index, target, gate=gate, limit=NEIGHBOURS, exact=exact, width=width, live_only=False)
    return {match.product for match in found}
