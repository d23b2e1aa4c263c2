"""What a cosine means in this index: a logistic curve for each kind of query, from the shop's own pictures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connections
from django.utils import timezone

from visual_search import conf
from visual_search.encoders import parts
from visual_search.exceptions import VisualSearchError
from visual_search.indexing import arrays, embedding, encoding, logistic, simulating
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

Floats = npt.NDArray[np.float64]

SIMILAR, PHOTO = "similar", "photo"

THRESHOLDS = {"exact": 0.97, "very_similar": 0.85, "same_spirit": 0.3}
"""Least probability of each tier. What is below the last one is nothing good.

Real photos are less like catalogue pictures than simulated ones, so 0.5 would call a third of good answers bad. At 0.3,
with Lite0, 19 of 20 photos of groceries in a clothes shop are told apart, and 1 in 6 of a grocer's own is.
"""

PRODUCTS, PICTURES = 400, 4
"""Products whose pictures are compared, and pictures of each."""

PHOTOS = 200
LEAST_PRODUCTS = 20
"""Products below which simulated photos say less than the prior."""

MOST_PAIRS = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Stored pictures of some products: `products` [n] as numbers of `keys`, and each part's unit vectors [n, d]."""

    keys: list[Any]
    products: npt.NDArray[np.int64]
    parts: list[npt.NDArray[np.float32]]

    def cosines(self, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Floats:
        """Return the cosines of the parts between the pictures `rows` and `others`, [n, k]."""
        found = [np.einsum("nd,nd->n", part[rows], part[others]) for part in self.parts]
        return np.stack(found, axis=1).astype(np.float64)


def calibrate(index: SearchIndex, *, photos: int = PHOTOS, seconds: float = float("inf")) -> dict[str, Any]:
    """Fit the curves of `index` and store them on it: {kind: {intercept, weights, same, different}, thresholds}.

    For `similar` the pairs of one product are two pictures of it, for `photo` they are a simulated photo and the
    nearest picture of its product, up to `photos` of them or for `seconds`; pairs of different products are drawn at
    random. Where there are too few, the prior of `logistic.fit` holds. An encoder that fails leaves the photos out,
    which is logged: their curve is the one of `similar` then.
    """
    deadline = time.monotonic() + seconds
    sample = _sample(index)
    found: dict[str, Any] = {SIMILAR: _curve(*_similar(sample))}
    found[PHOTO] = {**found[SIMILAR], "same": 0, "different": 0}
    if photos and len(sample.keys) >= LEAST_PRODUCTS:
        try:
            same, different = _photos(index, sample, most=photos, deadline=deadline)
            if len(same):
                found[PHOTO] = _curve(same, different)
        except VisualSearchError:
            logger.warning("Index %s is calibrated without simulated photos.", index, exc_info=True)
    found |= {"thresholds": THRESHOLDS, "measured_at": timezone.now().isoformat(timespec="seconds")}
    index.calibration = found
    SearchIndex.objects.using(conf.settings.DATABASE).filter(pk=index.pk).update(calibration=found)
    return found


def _curve(same: Floats, different: Floats) -> dict[str, Any]:
    curve = logistic.fit(same, different)
    return {
        "intercept": curve.intercept,
        "weights": list(curve.weights),
        "same": len(same),
        "different": len(different),
    }


def _sample(index: SearchIndex) -> Sample:
    """Return the stored pictures of some products, those with several first: they alone make pairs."""
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            WITH pictures AS (SELECT product_id, embedding, row_number() OVER (
                    PARTITION BY product_id ORDER BY position, image_key) AS number
                FROM {ProductEmbedding._meta.db_table} WHERE index_id = %s AND state = 'ready'),
            chosen AS (SELECT product_id FROM pictures WHERE number <= 2 GROUP BY product_id
                ORDER BY count(*) DESC, md5(product_id::text) LIMIT %s)
            SELECT product_id, embedding::text FROM pictures JOIN chosen USING (product_id) WHERE number <= %s
            ORDER BY md5(product_id::text), number
            """,
            [index.pk, PRODUCTS, PICTURES],
        )
        rows = cursor.fetchall()
    keys = list(dict.fromkeys(product for product, _ in rows))
    numbers = {product: number for number, product in enumerate(keys)}
    vectors = [np.fromstring(text[1:-1], np.float32, sep=",") for _, text in rows]
    stacked = np.array(vectors, np.float32).reshape(len(rows), index.dimensions or 0)
    pieces = parts.split(stacked, [part["dimensions"] for part in index.parts])
    return Sample(
        keys, np.array([numbers[product] for product, _ in rows], np.int64), [parts.unit(piece)[0] for piece in pieces]
    )


def _similar(sample: Sample) -> tuple[Floats, Floats]:
    rows, others = np.triu_indices(len(sample.products), 1)
    siblings = sample.products[rows] == sample.products[others]
    same, different = (_some(np.flatnonzero(kind)) for kind in (siblings, ~siblings))
    return sample.cosines(rows[same], others[same]), sample.cosines(rows[different], others[different])


def _some(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return all of `pairs`, or as many as are enough, drawn with a fixed seed."""
    return pairs if len(pairs) <= MOST_PAIRS else np.random.default_rng(0).choice(pairs, MOST_PAIRS, replace=False)


def _photos(index: SearchIndex, sample: Sample, *, most: int, deadline: float) -> tuple[Floats, Floats]:
    encoder = embedding.encoder_of(index)
    taken: list[Any] = []

    def data() -> Iterator[bytes]:
        for photo in simulating.photos(sample.keys[:most], deadline=deadline):
            taken.append(photo.product)
            yield photo.data

    numbers = {product: number for number, product in enumerate(sample.keys)}
    transforms = arrays.transforms(index.pk)
    same, different = [np.zeros((0, len(transforms)))], [np.zeros((0, len(transforms)))]
    random = np.random.default_rng(0)
    for number, features in enumerate(encoding.encode(encoder, data())):
        if not isinstance(features, np.ndarray):
            continue
        vectors, _ = parts.stored(features[None], transforms)
        asked = parts.split(vectors, [transform.dimensions for transform in transforms])
        cosines = np.stack([stored @ parts.unit(part)[0][0] for stored, part in zip(sample.parts, asked, strict=True)])
        own = sample.products == numbers[taken[number]]
        same.append(cosines[:, own].T[[cosines[:, own].sum(axis=0).argmax()]])
        others = np.flatnonzero(~own)
        different.append(cosines[:, random.choice(others, min(len(others), MOST_PAIRS // most))].T)
    return np.vstack(same), np.vstack(different)
