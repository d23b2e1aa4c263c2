"""A logistic curve over the cosines of an index's parts: how likely is it that two pictures show the same product?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PRIOR_WEIGHT = 1.5
PRIOR_MIDDLE = 2.3
"""What holds before any pair is seen: even odds 2.3 standard deviations above different products' mean cosine.

On four shops of real pictures, Lite0 and centred parts, pairs of the same product begin between 2 and 3.
"""

STRENGTH = 5.0
"""How many pairs the prior weighs: with as many, it is half of the answer."""

SPREAD = 0.15
"""Standard deviation of different products' cosines where there are too few to tell."""

SAME_PICTURE = 0.99
"""Cosine of every part from which on it is the same picture, whatever the curve of a small shop says."""

FEWEST_DIFFERENT = 20
MOST_STEPS = 50
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Curve:
    """`probability = 1 / (1 + exp(-(intercept + weights . cosines)))`; no weight is negative, so it never falls."""

    intercept: float
    weights: tuple[float, ...]

    def probability(self, cosines: npt.ArrayLike) -> Floats:
        """Return the probability for cosines [..., k] that the pictures show the same product, [...]."""
        logit = self.intercept + np.asarray(cosines, np.float64) @ np.array(self.weights)
        return np.exp(-np.logaddexp(0, -logit))


def fit(same: Floats, different: Floats, nearest: Floats | None = None, *, repeats: float = 1.0) -> Curve:
    """Fit the curve to the cosines [n, k] of pairs of the same product, and [m, k] of pairs of different ones.

    `different` are drawn at random; `nearest` [l, k], if any, are pairs of different products chosen for being similar,
    and count as further ones of these. `repeats` is how many of `same` tell the same thing over again: so many count as
    one. With x = (cosine - mean) / deviation of those drawn at random, y = +-1, and pairs of either kind counting
    alike, it minimises `sum a log(1 + exp(-y (b + w . x))) + STRENGTH / 2 ((b - b0)^2 + |w - w0|^2)` over w >= 0: a is
    1 / repeats for a pair of the same product and n / m of that for one of different ones, b0 and w0 are the prior's.
    So without pairs it is the prior, pairs that a line separates don't blow it up, and the minimum is the only one. By
    projected Newton steps (Bertsekas 1982), which are iteratively reweighted least squares where no weight is held at
    0.
    """
    parts = same.shape[1]
    enough = len(different) >= FEWEST_DIFFERENT
    mean = different.mean(axis=0) if enough else np.zeros(parts)
    deviation = np.maximum(different.std(axis=0), 1e-3) if enough else np.full(parts, SPREAD)
    prior = np.full(parts + 1, PRIOR_WEIGHT / np.sqrt(parts))
    prior[0] = -PRIOR_WEIGHT * PRIOR_MIDDLE
    if nearest is not None:
        different = np.vstack([different, nearest])
    pairs = (np.vstack([same, different]) - mean) / deviation
    pairs = np.hstack([np.ones((len(pairs), 1)), pairs])
    sign = np.repeat([1.0, -1.0], [len(same), len(different)])
    amount = np.repeat([1.0, len(same) / max(len(different), 1)], [len(same), len(different)])
    found = _minimum(pairs * sign[:, None], amount / repeats, prior)
    weights = found[1:] / deviation
    return Curve(float(found[0] - weights @ mean), tuple(weights.tolist()))


def _minimum(signed: Floats, amount: Floats, prior: Floats) -> Floats:
    """Return the coefficients [1 + k], the first one free and the others >= 0, with the least loss."""

    def loss(at: Floats) -> float:
        return float(amount @ np.logaddexp(0, -signed @ at) + STRENGTH / 2 * ((at - prior) ** 2).sum())

    at = prior.copy()
    for _ in range(MOST_STEPS):
        wrong = np.exp(-np.logaddexp(0, signed @ at))
        gradient = -signed.T @ (amount * wrong) + STRENGTH * (at - prior)
        curvature = (signed * (amount * wrong * (1 - wrong))[:, None]).T @ signed + STRENGTH * np.eye(len(at))
        held = (at <= 0) & (gradient > 0)
        held[0] = False
        free = ~held
        step = np.zeros_like(at)
        step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        size, before = 1.0, loss(at)
        while True:
            new = at - size * step
            new[1:] = np.maximum(new[1:], 0)
            if loss(new) <= before or size < 1e-6:
                break
            size /= 2
        moved, at = float(np.abs(new - at).max()), new
        if moved < TOLERANCE:
            break
    return at
