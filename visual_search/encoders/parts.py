"""From raw features to the vector that is stored, and to the vector that asks.

A stored vector is `[part | part | ...] / sqrt(parts)` with `part(x; m) = unit(P (unit(x) - m))`: m is the catalogue's
mean of that part, P its projection. Parts are of equal weight in the rows, and every weight lives in the query, so
that one HNSW index serves every setting. Reasons: centring takes away what all pictures have in common, which is noise
(Radovanović et al. 2010 on hubs), and gains points on real photos.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """The frozen transform of one part: `mean` [d], and `projection` [p, d] or None."""

    mean: Floats
    projection: Floats | None = None

    @property
    def dimensions(self) -> int:
        """Return the dimensions that are stored."""
        return len(self.mean) if self.projection is None else len(self.projection)

    def project(self, features: Floats) -> Floats:
        """Return `features` [n, d] projected, [n, p]."""
        return features if self.projection is None else features @ self.projection.T

    def centred(self, features: Floats) -> tuple[Floats, Floats]:
        """Return unit(P (unit(x) - m)) [n, p], and each one's length before it was scaled to 1 [n]."""
        return unit(self.project(unit(features)[0] - self.mean))

    def uncentred(self, features: Floats) -> Floats:
        """Return P unit(x) [n, p], for a query whose own mean isn't known."""
        return self.project(unit(features)[0])


def unit(features: Floats) -> tuple[Floats, Floats]:
    """Scale the rows of `features` [n, d] to length 1 and return them with their lengths [n]; zero stays zero."""
    lengths = np.linalg.norm(features, axis=1)
    return features / np.maximum(lengths, DEGENERATE)[:, None], lengths


def split(features: Floats, dimensions: Sequence[int]) -> list[Floats]:
    """Cut joined features [n, sum(dimensions)] into those of each part."""
    return np.split(features, np.cumsum(dimensions)[:-1], axis=1)


def fit(features: Floats, *, whiten: bool = False) -> Transform:
    """Fit the transform of one part on raw `features` [n, d]: mean, and PCA to 256 where there are pictures enough.

    `whiten` scales each axis by eigenvalue^(-1/4): half of the whitening that makes all axes count the same (Jegou and
    Chum 2012), which was too much on real photos.
    """
    directions = unit(features)[0]
    count, dimensions = directions.shape
    if count < LEAST_FOR_MEAN:
        return Transform(np.zeros(dimensions, np.float32))
    mean = directions.mean(axis=0)
    if count < LEAST_FOR_PROJECTION or dimensions <= PROJECTED:
        return Transform(mean.astype(np.float32))
    centred = (directions - mean).astype(np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)  # ascending eigenvalues
    values, axes = values[::-1][:PROJECTED], axes[:, ::-1][:, :PROJECTED]
    if whiten:
        axes = axes * (values / values[0]).clip(1e-6) ** -0.25
    return Transform(mean.astype(np.float32), np.ascontiguousarray(axes.T.astype(np.float32)))


def stored(features: Floats, transforms: Sequence[Transform]) -> tuple[Floats, Floats]:
    """Return what is stored for joined raw `features`: vectors [n, sum(p)] of length 1, and the parts' lengths [n, k].

    A length below `DEGENERATE` means that the part has no direction, and the vector must not be stored.
    """
    pieces = split(features, [len(transform.mean) for transform in transforms])
    parts, lengths = zip(*(t.centred(piece) for t, piece in zip(transforms, pieces, strict=True)), strict=True)
    return np.hstack(parts) / np.sqrt(np.float32(len(transforms))), np.stack(lengths, axis=1)


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
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def load(data: bytes) -> list[Transform]:
    """Return the transforms that `save` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        count = sum(name.startswith("mean_") for name in arrays)
        return [Transform(arrays[f"mean_{i}"], arrays.get(f"projection_{i}")) for i in range(count)]
