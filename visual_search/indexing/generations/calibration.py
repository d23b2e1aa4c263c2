"""What a cosine means in this index: a logistic curve for each kind of query, from the shop's own pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from visual_search import catalog, conf
from visual_search.encoders import colour, parts
from visual_search.indexing.generations import logistic, simulating
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import arrays, embedding, encoding
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]

SIMILAR, PHOTO = "similar", "photo"

THRESHOLDS = {"exact": 0.97, "very_similar": 0.85, "same_spirit": 0.35}
"""Least probability of each tier. What is below the last one is nothing good.

Real photos are less like catalogue pictures than simulated ones, so 0.5 would call a third of good answers bad: see
docs/evaluation.md for what 0.35 gives.
"""

PRODUCTS, PICTURES = 400, 4
"""Products whose pictures are compared, and pictures of each."""

PHOTOS, PHOTOS_EACH = 200, 4
"""Simulated photos at most, and of each product: one alone is a matter of luck in a small shop."""

LEAST_PRODUCTS = 20
"""Products below which simulated photos say less than the prior."""

RANDOM, NEAREST = 25, 5
"""Pictures of other products that a picture or photo is compared with: drawn at random, and for a photo the nearest.

Customers see the most similar ones. Random ones alone leave those in a tail that no curve is fitted to: with them, half
of the photos of groceries would be "in the same spirit" as some appliance. "Find similar" is asked for just these: with
them among the different ones, the same bag in another colour would be nothing good.
"""

MOST_PAIRS = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Stored pictures of some products: `products` [n] as numbers of `keys`, and each part's unit vectors [n, d].

    `coloured` [k] says which parts are of colour; `groups` [n] numbers the articles that products are variants of.
    """

    keys: list[Any]
    products: npt.NDArray[np.int64]
    parts: list[npt.NDArray[np.float32]]
    coloured: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64]

    def cosines(self, asked: list[npt.NDArray[np.float32]]) -> Floats:
        """Return the cosines [n, k] of the parts between `asked`, a unit vector [d] of each part, and all pictures."""
        found = [stored @ vector for stored, vector in zip(self.parts, asked, strict=True)]
        return np.stack(found, axis=1).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Cosines of the parts of pairs of pictures, [n, k] each.

    `same`: of one product; `different`: of different ones, drawn at random; `nearest`: of different ones, the most
    similar ones to a picture, whatever their colours. `repeats`: how many of `same` are of one product.
    """

    same: Floats
    different: Floats
    nearest: Floats
    repeats: float = 1.0

    def of(self, used: npt.NDArray[np.bool_]) -> Pairs:
        """Return the cosines of the parts `used` [k] alone."""
        return Pairs(self.same[:, used], self.different[:, used], self.nearest[:, used], self.repeats)


def calibrate(index: SearchIndex, *, photos: int = PHOTOS, seconds: float = float("inf")) -> dict[str, Any]:
    """Fit the curves of `index` and store them on it: {kind: {curves, same, different}, thresholds, measured_at}.

    Each of `curves` is {intercept, weights}, a weight for each part; the least probable of them holds. One knows all
    parts; where one of them is of colour, another goes by the rest alone, so that no colour makes a mug of a red dress.

    For `similar` the pairs of one product are two pictures of it, for `photo` they are a simulated photo and the
    nearest picture of its product, up to `photos` of them or for `seconds`; pairs of different products are drawn at
    random, and for `photo` the most similar ones. Where there are too few, the prior of `logistic.fit` holds. An
    encoder that fails leaves the photos out, which is logged. What is stored stays where it is better: thresholds,
    which the shop may have chosen, and a curve of more than twice as many photos as came in time. Where there never was
    one, it is that of `similar`.
    """
    sample = _sample(index)
    found: dict[str, Any] = {SIMILAR: _curves(_similar(sample), sample.coloured)}
    photographed: dict[str, Any] = {**found[SIMILAR], "same": 0, "different": 0}
    cut_short = False
    if photos and len(sample.keys) >= LEAST_PRODUCTS:
        try:
            pairs, cut_short = _photos(index, sample, most=photos, seconds=seconds)
            if len(pairs.same):
                photographed = _curves(pairs, sample.coloured)
        except DatabaseError:
            raise
        except Exception:
            cut_short = True
            logger.warning("Index %s is calibrated without simulated photos.", index, exc_info=True)
    return _store(index, found, photographed, cut_short=cut_short)


def _store(
    index: SearchIndex, found: dict[str, Any], photographed: dict[str, Any], *, cut_short: bool
) -> dict[str, Any]:
    """Store what was `found` beside the thresholds, and what `photographed` says unless it was `cut_short`."""
    database = conf.settings.DATABASE
    with transaction.atomic(database):
        stored = SearchIndex.objects.using(database).select_for_update().get(pk=index.pk).calibration or {}
        if cut_short and stored.get(PHOTO, {}).get("same", 0) > 2 * photographed["same"]:
            logger.warning(
                "Index %s keeps its curve for photos, of %s: %s were simulated in time.",
                index,
                stored[PHOTO]["same"],
                photographed["same"],
            )
            photographed = stored[PHOTO]
        found |= {
            PHOTO: photographed,
            "thresholds": THRESHOLDS | stored.get("thresholds", {}),
            "measured_at": timezone.now().isoformat(timespec="seconds"),
        }
        SearchIndex.objects.using(database).filter(pk=index.pk).update(calibration=found)
    index.calibration = found
    return found


def _curves(pairs: Pairs, coloured: npt.NDArray[np.bool_]) -> dict[str, Any]:
    every = np.ones_like(coloured)
    mixed = coloured.any() and not coloured.all()
    curves = []
    for used in [every, ~coloured] if mixed else [every]:
        chosen = pairs.of(used)
        curve = logistic.fit(chosen.same, chosen.different, chosen.nearest, repeats=pairs.repeats)
        weights = np.zeros(len(used))
        weights[used] = curve.weights
        curves.append({"intercept": curve.intercept, "weights": weights.tolist()})
    return {"curves": curves, "same": len(pairs.same), "different": len(pairs.different) + len(pairs.nearest)}


def _sample(index: SearchIndex) -> Sample:
    """Return the stored pictures of some products, those with several first: they alone make pairs."""
    table = ProductEmbedding._meta.db_table
    whole = f"index_id = {index.pk:d} AND state = 'ready' AND region = '{{}}'"
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            WITH chosen AS MATERIALIZED (SELECT product_id FROM {table} WHERE {whole} GROUP BY product_id
                ORDER BY least(count(*), 2) DESC, md5(product_id::text) LIMIT %s),
            pictures AS (SELECT product_id, embedding, row_number() OVER (
                    PARTITION BY product_id ORDER BY position, image_key) AS number
                FROM {table} JOIN chosen USING (product_id) WHERE {whole})
            SELECT product_id, embedding::text FROM pictures WHERE number <= %s
            ORDER BY md5(product_id::text), number
            """,
            [PRODUCTS, PICTURES],
        )
        rows = cursor.fetchall()
    keys = list(dict.fromkeys(product for product, _ in rows))
    numbers = {product: number for number, product in enumerate(keys)}
    vectors = [np.fromstring(text[1:-1], np.float32, sep=",") for _, text in rows]
    stacked = np.array(vectors, np.float32).reshape(len(rows), index.dimensions or 0)
    pieces = parts.split(stacked, [part["dimensions"] for part in index.parts])
    return Sample(
        keys=keys,
        products=np.array([numbers[product] for product, _ in rows], np.int64),
        parts=[parts.unit(piece)[0] for piece in pieces],
        coloured=np.array([part["name"] == colour.NAME for part in index.parts]),
        groups=_groups(keys)[[numbers[product] for product, _ in rows]],
    )


def _groups(keys: list[Any]) -> npt.NDArray[np.int64]:
    """Return for each of the products `keys` a number of its article, its own where it is no variant."""
    shop, products = catalog.current(), pictures.load(keys)
    first: dict[Any, int] = {}
    numbers = []
    for number, key in enumerate(keys):
        group = catalog.said(shop.group, products[key], otherwise=None) if key in products else None
        numbers.append(number if group is None else first.setdefault(group, number))
    return np.array(numbers, np.int64)


def _similar(sample: Sample) -> Pairs:
    def compared() -> Iterator[tuple[Floats, Rows, Rows]]:
        for row, product in enumerate(sample.products):
            own = sample.products == product
            other = sample.groups != sample.groups[row]
            yield sample.cosines([part[row] for part in sample.parts]), own & (np.arange(len(own)) < row), other

    return _pairs(sample, compared(), most_alike=0)


def _pairs(sample: Sample, compared: Iterable[tuple[Floats, Rows, Rows]], *, most_alike: int = NEAREST) -> Pairs:
    """Return the pairs of each of `compared`: its cosines with all pictures, those of its product, and the others."""
    empty = np.zeros((0, len(sample.parts)))
    same, different, nearest = [empty], [empty], [empty]
    random = np.random.default_rng(0)
    what = np.ones_like(sample.coloured) if sample.coloured.all() else ~sample.coloured
    for cosines, own, other in compared:
        same.append(cosines[own])
        # Products that share a picture are told apart by nobody.
        others = cosines[other & (cosines.min(axis=1) < logistic.SAME_PICTURE)]
        different.append(others[random.choice(len(others), min(len(others), RANDOM), replace=False)])
        nearest.append(others[(others @ what).argsort(kind="stable")[::-1][:most_alike]])
    kept = [np.vstack(kind) for kind in (same, different, nearest)]
    kept = [kind if len(kind) <= MOST_PAIRS else random.choice(kind, MOST_PAIRS, replace=False) for kind in kept]
    return Pairs(same=kept[0], different=kept[1], nearest=kept[2])


def _photos(index: SearchIndex, sample: Sample, *, most: int, seconds: float) -> tuple[Pairs, bool]:
    """Return the pairs of simulated photos and pictures, and whether time ran out before there were all of them."""
    encoder = embedding.encoder_of(index)
    # Loading the encoder takes its own time.
    deadline = time.monotonic() + seconds
    taken: list[Any] = []

    def data() -> Generator[bytes]:
        for photo in simulating.photos(sample.keys, most=min(most, PHOTOS_EACH * len(sample.keys)), deadline=deadline):
            taken.append(photo.product)
            yield photo.data

    numbers = {product: number for number, product in enumerate(sample.keys)}
    transforms = arrays.transforms(index.pk)

    def compared() -> Iterator[tuple[Floats, Rows, Rows]]:
        for number, features in enumerate(encoding.encode(encoder, data())):
            if not isinstance(features, np.ndarray):
                continue
            vectors, _ = parts.stored(features[None], transforms)
            asked = parts.split(vectors, [transform.dimensions for transform in transforms])
            cosines = sample.cosines([parts.unit(part)[0][0] for part in asked])
            own = sample.products == numbers[taken[number]]
            # A photo shows a product from one side: of its pictures, the nearest.
            nearest = np.where(own, cosines.sum(axis=1), -np.inf).argmax()
            yield cosines, np.arange(len(own)) == nearest, sample.groups != sample.groups[nearest]

    pairs = replace(_pairs(sample, compared()), repeats=len(taken) / max(len(set(taken)), 1))
    return pairs, time.monotonic() >= deadline
