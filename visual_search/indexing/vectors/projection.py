"""Fit the transforms of an index on its sample, and measure there what the projection costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from visual_search.encoders import parts
from visual_search.indexing.vectors import measures

LEAST_FOR_WHITENING = 5_000
"""Pictures below which half whitening isn't tried: fitted on 282 it cost 6 points."""

ASKED, NEIGHBOURS = 400, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What of the 10 nearest of a picture, unprojected, the stored vectors find (0 to 1), and whether they are
    whitened."""

    overlap: float
    whitened: bool


def fit(
    features: parts.Floats,
    dimensions: Sequence[int],
    *,
    metric: str = parts.COSINE,
    shares: Sequence[float],
    products: npt.NDArray[Any],
) -> tuple[list[parts.Transform], dict[str, Any] | None]:
    """Return the transforms of raw joined `features` [n, sum(dimensions)], and a `Projection` as a dict, if there is
    one.

    `products` [n] says what each picture shows. Half whitening is taken only where it finds the other pictures of a
    product more often, by the lower end of the 95 % bootstrap interval.
    """

    def fitted(whiten: bool) -> list[parts.Transform]:
        pieces = zip(parts.split(features, dimensions), shares, strict=True)
        return [parts.fit(piece, metric=metric, share=share, whiten=whiten) for piece, share in pieces]

    transforms = fitted(False)
    if all(transform.projection is None for transform in transforms):
        return transforms, None
    asked = np.random.default_rng(0).permutation(len(features))[:ASKED]
    stored = _stored(features, transforms, shares)
    whitened = False
    if len(features) >= LEAST_FOR_WHITENING:
        candidates = fitted(True)
        candidate = _stored(features, candidates, shares)
        if whitened := _better(candidate, stored, products):
            transforms, stored = candidates, candidate
    plain = [replace(transform, projection=None) for transform in transforms]
    found, right = (_nearest(vectors, asked) for vectors in (stored, _stored(features, plain, shares)))
    overlap = np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), right.tolist(), strict=True)])
    return transforms, asdict(Projection(overlap=float(overlap), whitened=whitened))


def _stored(features: parts.Floats, transforms: Sequence[parts.Transform], shares: Sequence[float]) -> parts.Floats:
    """Return what the rows hold, in half precision, each part times its share as a query has it, float32 [n, d]."""
    vectors = parts.stored(features, transforms)[0].astype(np.float16).astype(np.float32)
    if transforms[0].metric == parts.EUCLIDEAN:
        return vectors  # they hold their shares
    # The square root on both sides makes a share of their product.
    weights = np.repeat(np.sqrt(np.asarray(shares, np.float32)), [transform.dimensions for transform in transforms])
    return parts.unit(vectors * weights)[0]


def _nearest(vectors: parts.Floats, asked: npt.NDArray[Any], count: int = NEIGHBOURS) -> npt.NDArray[Any]:
    """Return the `count` nearest rows of each row `asked`, itself left out, int [n, count]."""
    # |b|^2 - 2 a . b orders as the distance does, and as the cosine where all are of length 1.
    similarity = 2 * vectors[asked] @ vectors.T - np.square(vectors).sum(axis=1)
    similarity[np.arange(len(asked)), asked] = -np.inf
    return np.argsort(-similarity, axis=1)[:, :count]


def _better(candidate: parts.Floats, stored: parts.Floats, products: npt.NDArray[Any]) -> bool:
    """Return whether `candidate` finds another picture of the same product first, surely more often than `stored`."""
    numbers = np.bincount(products)
    asked = np.flatnonzero(numbers[products] > 1)[: ASKED * 5]
    if len(asked) < measures.LEAST_PAIRS:
        return False
    ours, theirs = (products[_nearest(each, asked, 1)[:, 0]] == products[asked] for each in (candidate, stored))
    return measures.mean(ours.astype(float) - theirs).low > 0
