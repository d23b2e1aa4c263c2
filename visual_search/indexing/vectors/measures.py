"""Figures of quality from ranked answers, with the interval that the sample leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DEPTH = 10
"""Results of an answer that count."""

RECALLS = (1, 5, 10)
RESAMPLES = 1_000

LEAST_PAIRS = 30
"""Pictures with a sibling below which a difference of quality is chance."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def mean(values: npt.ArrayLike, *, seed: int = 0) -> Interval:
    """Return the mean of `values` [n], n > 0, with its percentile bootstrap interval (Efron 1979), 1,000 resamples.

    For the difference of two things that were asked the same, give the differences.
    """
    sample = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    means = np.array([sample[random.integers(len(sample), size=len(sample))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(sample.mean()), float(low), float(high))


def scores(relevant: Sequence[Sequence[bool]], right: Sequence[int]) -> dict[str, Floats]:
    """Return R@1, R@5, R@10, mAP@10 and nDCG@10 of each query, [n] each, in 0 to 1.

    `relevant` says of each query's results, the nearest first, whether they are right; `right` how many right answers
    there are (1 or more). R@k is whether one of the first k is right; AP@10 is the sum of the precisions at the right
    ones, and nDCG@10 that of 1 / log2(rank + 1), both divided by the most that 10 results can reach.
    """
    hits = np.zeros((len(relevant), DEPTH))
    for row, answers in zip(hits, relevant, strict=True):
        row[: len(answers)] = list(answers)[:DEPTH]
    reachable = np.minimum(np.asarray(right, int), DEPTH)
    ranks = np.arange(1, DEPTH + 1)
    precision = hits.cumsum(axis=1) / ranks
    gain = 1 / np.log2(ranks + 1)
    found = {f"R@{k}": hits[:, :k].max(axis=1) for k in RECALLS}
    found["mAP@10"] = (precision * hits).sum(axis=1) / reachable
    found["nDCG@10"] = hits @ gain / gain.cumsum()[reachable - 1]
    return found
