"""Re-rankers: each takes ranked products and returns some of them in another order, and can be left out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections

from visual_search import catalog, conf
from visual_search.indexing.generations import hnsw
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.retrieval")

MOST_DIVERSIFIED = 100
"""Products among which differences are measured: n * n of them."""


def collapse(products: Sequence[Any], shop: catalog.Catalog, *, listed: Mapping[Any, Any]) -> list[Any]:
    """Keep the nearest variant of each article, as `Catalog.group` tells them of the catalog's products, by key."""
    seen: set[Any] = set()
    kept = []
    for product in products:
        group = _said(shop.group, listed[product.pk])
        if group is None or group not in seen:
            kept.append(product)
            seen.add(group)
    return kept


def cap(products: Sequence[Any], shop: catalog.Catalog, most: int, *, listed: Mapping[Any, Any]) -> list[Any]:
    """Keep at most `most` products of each seller, the nearest ones; those without a seller all stay.

    `listed` are the catalog's products by key, which have what `Catalog.seller` reads.
    """
    counts: Counter[Any] = Counter()
    kept = []
    for product in products:
        seller = _said(shop.seller, listed[product.pk])
        counts[seller] += 1
        if seller is None or counts[seller] <= most:
            kept.append(product)
    return kept


def _said(ask: Callable[[Any], Any], product: Any) -> Any:
    """Return what `ask` says of `product`; None, logged, where it can't be told or be compared."""
    value = catalog.said(ask, product, otherwise=None)
    try:
        hash(value)
    except TypeError:
        logger.error("The catalog's %s() of product %s can't be hashed: return a key.", ask.__name__, product.pk)
        return None
    return value


def diversify(
    products: Sequence[Any], index: SearchIndex, *, relevance: Mapping[Any, float], diversity: float, limit: int
) -> list[Any]:
    """Return `limit` of `products` by maximal marginal relevance (Carbonell and Goldstein 1998).

    One after the other, the one with the highest `(1 - diversity) * relevance - diversity * s` is taken, s being the
    largest similarity of its picture that matched to that of one that is taken already; `relevance` is by key. Only
    the first 100 are considered.
    """
    left = list(products[:MOST_DIVERSIFIED])
    between = _similarities(index, left)
    nearest = dict.fromkeys((product.pk for product in left), 0.0)
    taken: list[Any] = []
    while left and len(taken) < limit:
        best = max(left, key=lambda product: (1 - diversity) * relevance[product.pk] - diversity * nearest[product.pk])
        left.remove(best)
        taken.append(best)
        for product in left:
            nearest[product.pk] = max(nearest[product.pk], between.get((best.pk, product.pk), 0.0))
    return taken


def _similarities(index: SearchIndex, products: Sequence[Any]) -> dict[tuple[Any, Any], float]:
    """Return how alike the matched pictures of each two of `products` are, computed where the vectors are."""
    between = hnsw.similarity(index, f"(a.embedding {hnsw.operator(index)} b.embedding)")
    keys = [product.pk for product in products]
    images = [product.matched_image.key if product.matched_image else "" for product in products]
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            WITH shown AS (
                SELECT product_id, embedding FROM {ProductEmbedding._meta.db_table}
                WHERE index_id = %s AND state = 'ready' AND product_id = ANY(%s) AND image_key = ANY(%s)
                AND region = '{{}}'
                AND (product_id::text, image_key) IN (SELECT * FROM unnest(%s::text[], %s::text[])))
            SELECT a.product_id, b.product_id, {between}
            FROM shown a, shown b WHERE a.product_id <> b.product_id
            """,
            [index.pk, keys, images, [str(key) for key in keys], images],
        )
        return {(row[0], row[1]): row[2] for row in cursor.fetchall()}
