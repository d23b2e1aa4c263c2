"""From raw features to the vector that is stored, and to the vector that asks.

A stored vector is `[part | part | ...] / sqrt(parts)` with `part(x; m) = unit(P (unit(x) - m))`: m is the catalogue's
mean of that part, P its projection. Parts are of equal weight in the rows, and every weight lives in the query, so
that one HNSW index serves every setting. Reasons: centring takes away what all pictures have in common, which is noise
(Radovanović et al. 2010 on hubs), and gains points on real photos.

That is for the cosine. Pearson takes `unit(x - mean(x))` in place of `unit(x)`, mean(x) the mean of x's own components.
Euclidean stores `[part | part | ...]` with `part(x; m) = c P (x - m)`: not scaled to 1, since its distances hold the
lengths. m doesn't change them, and keeps the numbers small for half precision. A query can't re-weight them, since a
weight would have to stand on both sides, so c holds the part's share: see `fit`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from visual_search.encoders import colour as colours

Floats = npt.NDArray[np.float32]

LEAST_FOR_MEAN = 20
"""Pictures below which a mean says more about these pictures than about the catalogue."""

LEAST_FOR_PROJECTION = 1_000
"""Pictures below which a PCA loses more than it saves: fitted on 27 it cost 7 points, on 1,000 nothing measurable."""

PROJECTED = 256
"""Dimensions that a projected part keeps."""

DEGENERATE = 1e-6
"""Length below which a part has no direction."""

COSINE, EUCLIDEAN, PEARSON = "cosine", "euclidean", "pearson"
"""The metrics that `compared` knows, as `SearchIndex.Metric` names them."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """The frozen transform of one part: `mean` [d], `projection` [p, d] or None, and Euclidean's constant, `scale`."""

    mean: Floats
    projection: Floats | None = None
    metric: str = COSINE
    scale: float = 1.0

    @property
    def dimensions(self) -> int:
        """Return the dimensions that are stored."""
        return len(self.mean) if self.projection is None else len(self.projection)

    def project(self, features: Floats) -> Floats:
        """Return `features` [n, d] projected, [n, p]."""
        return features if self.projection is None else features @ self.projection.T

    def centred(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the part as it is stored [n, p], and each one's length before it was scaled to 1 [n].

        The length is 0 where the features have none that the metric can go by. Euclidean doesn't scale to 1: it gives
        the length of the features, by which a picture without any is told.
        """
        directions, lengths = compared(features, self.metric)
        part = self.project(directions - self.mean)
        if self.metric == EUCLIDEAN:
            return part * np.float32(self.scale), lengths
        vectors, left = unit(part)
        return vectors, np.where(lengths > DEGENERATE, left, np.float32(0))

    def uncentred(self, features: Floats) -> Floats:
        """Return P unit(x) [n, p], for a query whose own mean isn't known; Euclidean has no use for it."""
        return self.project(compared(features, self.metric)[0])


def unit(features: Floats) -> tuple[Floats, Floats]:
    """Scale the rows of `features` [n, d] to length 1 and return them with their lengths [n]; zero stays zero."""
    lengths = np.linalg.norm(features, axis=1)
    return features / np.maximum(lengths, DEGENERATE)[:, None], lengths


def compared(features: Floats, metric: str) -> tuple[Floats, Floats]:
    """Return `features` [n, d] as `metric` compares them, and lengths [n] that are 0 where there is nothing to compare.

    Cosine, `a . b / (|a| |b|)`, compares directions:

    >>> pair = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    >>> one, other = compared(pair, "cosine")[0]
    >>> print(f"{one @ other:.4f}")
    0.9746

    Pearson's correlation is the cosine of `a - mean(a)` and `b - mean(b)`, each minus the mean of its own components:

    >>> one, other = compared(pair, "pearson")[0]
    >>> print(f"{one @ other:.4f}")
    1.0000

    Euclidean, `|a - b|`, compares the features as they are; the similarity is `1 / (1 + |a - b|)`:

    >>> one, other = compared(pair, "euclidean")[0]
    >>> print(f"{np.linalg.norm(one - other):.3f}, {1 / (1 + np.linalg.norm(one - other)):.4f}")
    5.196, 0.1614
    """
    directions, lengths = unit(features)
    if metric == EUCLIDEAN:
        return features, lengths
    if metric == PEARSON:
        # Of unit vectors: what rounding leaves of a constant one is below DEGENERATE then, however large it was.
        return unit(directions - directions.mean(axis=1, keepdims=True))
    return directions, lengths


def split(features: Floats, dimensions: Sequence[int]) -> list[Floats]:
    """Cut joined features [n, sum(dimensions)] into those of each part."""
    return np.split(features, np.cumsum(dimensions)[:-1], axis=1)


def fit(features: Floats, *, metric: str = COSINE, share: float = 1.0, whiten: bool = False) -> Transform:
    """Fit the transform of one part on raw `features` [n, d]: mean, and PCA to 256 where there are pictures enough.

    Euclidean's constant is `c = sqrt(share) / r`, r the root mean square of `|P (x - m)|`. Encoders differ in the size
    of their features: divided by r, two pictures are as far apart in one part as in another, on average, and `share`,
    the part's in the whole, weighs the squares that the distance adds up. Where shares add up to 1, two pictures are
    about sqrt(2) apart whatever the encoders, once pictures are enough for a mean. Where r is 0, c is sqrt(share).

    `whiten` scales each axis by eigenvalue^(-1/4): half of the whitening that makes all axes count the same (Jégou and
    Chum 2012), which was too much on real photos.
    """
    directions, lengths = compared(features, metric)
    count, dimensions = directions.shape
    mean = np.zeros(dimensions, np.float32)
    if count >= LEAST_FOR_MEAN:
        mean = directions.mean(axis=0, dtype=np.float64).astype(np.float32)
    projection = None
    if count >= LEAST_FOR_PROJECTION and dimensions > PROJECTED:
        centred = (directions - mean).astype(np.float64)
        values, axes = np.linalg.eigh(centred.T @ centred)  # ascending eigenvalues
        values, axes = values[::-1][:PROJECTED], axes[:, ::-1][:, :PROJECTED]
        if whiten:
            axes = axes * (values / values[0]).clip(1e-6) ** -0.25
        projection = np.ascontiguousarray(axes.T.astype(np.float32))
    transform = Transform(mean, projection, metric)
    if metric != EUCLIDEAN:
        return transform
    squares = np.square(transform.project(directions - mean), dtype=np.float64).sum(axis=1)
    spread = math.sqrt(squares.mean()) if count else 0.0
    measured = spread > DEGENERATE * lengths.max(initial=0)
    return replace(transform, scale=math.sqrt(share) / (spread if measured else 1.0))


def stored(features: Floats, transforms: Sequence[Transform]) -> tuple[Floats, Floats]:
    """Return what is stored for joined raw `features`: vectors [n, sum(p)], and the parts' lengths [n, k].

    Vectors have the length 1, but for Euclidean. A length below `DEGENERATE` means that there is nothing to compare the
    part by, and the vector must not be stored: not for Euclidean either, which could, so that the same pictures fail
    whatever the metric, and the gate lets an index of another one pass.
    """
    pieces = split(features, [len(transform.mean) for transform in transforms])
    parts, lengths = zip(*(t.centred(piece) for t, piece in zip(transforms, pieces, strict=True)), strict=True)
    whole = np.hstack(parts)
    if transforms[0].metric != EUCLIDEAN:
        whole /= np.sqrt(np.float32(len(transforms)))
    return whole, np.stack(lengths, axis=1)


def shares(names: Sequence[str], *, colour: float) -> list[float]:
    """Return the shares of the parts `names`: `colour` for the colour part, the others share the rest equally."""
    rest = len(names) - names.count(colours.NAME)
    if rest in (0, len(names)):
        return [1 / len(names)] * len(names)
    return [colour / (len(names) - rest) if name == colours.NAME else (1 - colour) / rest for name in names]


def save(transforms: Sequence[Transform]) -> bytes:
    """Return `transforms` as the bytes of an .npz file."""
    arrays = {f"mean_{i}": t.mean for i, t in enumerate(transforms)}
    arrays |= {f"projection_{i}": t.projection for i, t in enumerate(transforms) if t.projection is not None}
    for i, transform in enumerate(transforms):
        arrays |= {f"metric_{i}": np.array(transform.metric), f"scale_{i}": np.array(transform.scale)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def load(data: bytes) -> list[Transform]:
    """Return the transforms that `save` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        count = sum(name.startswith("mean_") for name in arrays)
        return [
            Transform(
                arrays[f"mean_{i}"],
                arrays.get(f"projection_{i}"),
                metric=arrays[f"metric_{i}"].item(),
                scale=arrays[f"scale_{i}"].item(),
            )
            for i in range(count)
        ]
