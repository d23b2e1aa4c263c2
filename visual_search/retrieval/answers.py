"""From a query to the shop's own products, in rank order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from visual_search import catalog, conf
from visual_search.catalog import ProductImage
from visual_search.indexing import arrays
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct, SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, photos
from visual_search.retrieval.query import Query

READY = "ready"
PENDING = "pending"
UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Products, nearest first, each with `similarity` (a cosine) and `matched_image` (ProductImage or None).

    `state` is "ready", "pending" (no vector yet: ask again later) or "unavailable" (the product has no picture that
    could be embedded). `index` is the key of the index that answered, or None.
    """

    kind: str
    state: str
    index: int | None
    products: list[Any]
    milliseconds: float


def answer(query: Query) -> Answer:
    """Answer `query` from the live index. Raises BadImage and EncoderError for a photo that can't be looked at."""
    started = time.perf_counter()
    index = SearchIndex.objects.using(conf.settings.DATABASE).live()
    found: list[Any] = []
    state = PENDING
    if index is not None:
        gate = gates.of(query)
        matches = nearest.products(index, _target(index, query), gate=gate, limit=query.limit)
        found = _hydrate(matches, gate)
        state = READY if found or query.product is None else _state(index, query.product)
    milliseconds = (time.perf_counter() - started) * 1000
    key = None if index is None else index.pk
    return Answer(kind=query.kind, state=state, index=key, products=found, milliseconds=milliseconds)


def _target(index: SearchIndex, query: Query) -> nearest.Target:
    if query.photo is None:
        return nearest.product(index, query.product)
    return nearest.photo(index, photos.features(index, query.photo), arrays.transforms(index.pk))


def _hydrate(matches: Sequence[nearest.Match], gate: gates.Gate) -> list[Any]:
    """Return the products of `matches` in their order, from one query of the shop's queryset."""
    shop = catalog.current()
    found = gate.products.in_bulk([match.product for match in matches]) if matches else {}
    products = []
    for match in matches:
        if (product := found.get(match.product)) is not None:
            product.similarity = match.similarity
            product.matched_image = _image(shop, product, match.image_key)
            products.append(product)
    return products


def _image(shop: catalog.Catalog, product: Any, key: str) -> ProductImage | None:
    return next((image for image in shop.images(product) if image.key == key), None)


def _state(index: SearchIndex, product: Any) -> str:
    database = conf.settings.DATABASE
    if ProductEmbedding.objects.using(database).filter(index=index, product=product, state="ready").exists():
        return READY
    waiting = (
        QueuedProduct.objects.using(database).filter(product=product, index=index).exists()
        or ProductChange.objects.using(database).filter(product=product).exists()
    )
    return PENDING if waiting else UNAVAILABLE
