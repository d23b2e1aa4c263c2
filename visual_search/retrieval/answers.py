"""From a query to the shop's own products, in rank order."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import Error
from django.views.decorators.debug import sensitive_variables
from PIL import Image

from visual_search import catalog, conf
from visual_search.catalog import ProductImage
from visual_search.images import source
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct, SearchIndex
from visual_search.retrieval import fusion, live, nearest, photomean, photos, ranking, tiers, words
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query

logger = logging.getLogger("visual_search.retrieval")

READY = "ready"
PENDING = "pending"
UNAVAILABLE = "unavailable"

WIDER = 4
"""How many times more products a page is ranked from, when re-ranking left it short."""

MOST_RANKED = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Products, the best first, each with `similarity` (at most 1) and `matched_image` (ProductImage).

    `matched_region` is the part of that picture which was nearest, (left, top, right, bottom) in shares of its sides,
    or None for all of it. The first two are None where only words have found the product, and there is nothing to
    compare it with.

    Each has `tier` and `probability` too (see `tiers`; None where the index isn't calibrated, or several things were
    asked with at once). `nothing_good` says that none of them is similar enough to be called so; `some_words` that no
    product has all of the words that were asked for, and those that have some of them came.

    `state` is "ready", "pending" (no vector yet: ask again later) or "unavailable" (the product has no picture that
    could be embedded). `index` is the key of the index that answered, or None; `plan` says how the page was found.
    """

    kind: str
    state: str
    index: int | None
    products: list[Any]
    milliseconds: float = 0.0
    plan: nearest.Plan | None = None
    some_words: bool = False

    @property
    def nothing_good(self) -> bool:
        """Return whether products came, and none of them reaches a tier above the last."""
        return bool(self.products) and all(product.tier == tiers.Tier.NOTHING_GOOD for product in self.products)


# An error report shows the variables of every frame below: the photo, and its vector.
@sensitive_variables()
def answer(query: Query, *, explain: bool = False, learn: bool = True) -> Answer:
    """Answer `query` from the live index.

    With `explain`, the plan has Postgres's own, at the cost of running the search once more. Without `learn`, a photo
    is not added to the mean of photos, since it isn't a customer's. Raises BadImage and EncoderError for a photo that
    can't be looked at.
    """
    started = time.perf_counter()
    words.expect_searchable(query)
    query = read(query)
    found = live.answering(lambda index: _search(index, query, explain=explain, learn=learn))
    if found is None and query.kind == "text":
        found = _search(None, query, explain=explain, learn=learn)
    found = found or Answer(kind=query.kind, state=PENDING, index=None, products=[])
    return replace(found, milliseconds=(time.perf_counter() - started) * 1000)


@sensitive_variables()
def read(query: Query) -> Query:
    """Return `query` with its photos as bytes: a stream can be read once, and each region and index asks for it."""
    streams = {
        id(term.photo): term.photo
        for term in query.terms
        if term.photo is not None and not isinstance(term.photo, Image.Image)
    }
    if not streams:
        return query
    read = {key: source.read(photo, limits=photos.upload_limits()) for key, photo in streams.items()}
    terms = tuple(replace(term, photo=read.get(id(term.photo), term.photo)) for term in query.terms)
    return replace(query, product=None, photo=None, words=None, terms=terms)


def _search(index: SearchIndex | None, query: Query, *, explain: bool, learn: bool) -> Answer:
    gate, shop = gates.of(query), catalog.current()
    grouped = type(shop).group is not catalog.Catalog.group
    thinned = grouped or query.per_seller is not None or query.diversity > 0
    wanted = query.limit * WIDER if thinned else query.limit
    target = fusion.target(index, query)
    while True:
        found = fusion.products(index, query, gate=gate, target=target, limit=wanted, explain=explain)
        products, listed = _hydrate(found.matches, gate, shop, index, query.kind)
        if grouped:
            products = ranking.collapse(products, shop, listed=listed)
        if query.per_seller is not None:
            products = ranking.cap(products, shop, query.per_seller, listed=listed)
        if len(products) >= query.limit or len(found.matches) < wanted or wanted >= MOST_RANKED:
            break
        wanted = min(wanted * WIDER, MOST_RANKED)
    if index is not None and learn:
        photomean.learn(index, found.photos)
    if index is not None and query.diversity > 0:
        products = ranking.diversify(
            products, index, relevance=found.relevance, diversity=query.diversity, limit=query.limit
        )
    state = READY
    if index is not None and not products and query.kind == "similar":
        state = _state(index, query.products)
    return Answer(
        kind=query.kind,
        state=state,
        index=None if index is None else index.pk,
        products=products[: query.limit],
        plan=found.plan,
        some_words=found.some_words and bool(products),
    )


def _hydrate(
    matches: Sequence[nearest.Match], gate: gates.Gate, shop: catalog.Catalog, index: SearchIndex | None, kind: str
) -> tuple[list[Any], dict[Any, Any]]:
    """Return the products of `matches` in their order, and the catalog's own by key: from one query of each.

    Both are asked again: what was hidden since the search is left out. The pictures come from the catalog's products,
    which bring them along.
    """
    keys = [match.product for match in matches]
    if not keys:
        return [], {}
    shown, chosen = gate.load(keys)
    products = []
    for match in matches:
        if match.product in shown and (product := chosen.get(match.product)) is not None:
            product.similarity = match.similarity
            product.tier, product.probability = tiers.of(index, kind, match.cosines)
            key = match.image_key
            product.matched_image = None if key is None else _image(shop, shown[match.product], key)
            product.matched_region = match.region or None
            products.append(product)
    return products, shown


def _image(shop: catalog.Catalog, product: Any, key: str) -> ProductImage | None:
    try:
        return next((image for image in shop.images(product) if image.key == key), None)
    except Error:
        raise
    except Exception:
        logger.exception("The catalog could not list the pictures of product %s.", product.pk)
        return None


def _state(index: SearchIndex, products: Sequence[Any]) -> str:
    database = conf.settings.DATABASE
    rows = ProductEmbedding.objects.using(database).filter(index=index, product__in=products, state="ready")
    if rows.exists():
        return READY
    waiting = (
        QueuedProduct.objects.using(database).filter(product__in=products, index=index).exists()
        or ProductChange.objects.using(database).filter(product__in=products).exists()
    )
    return PENDING if waiting else UNAVAILABLE
