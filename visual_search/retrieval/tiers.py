"""In words, how near a result is: tiers that don't move with the colour knob, since they read the parts' cosines."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from visual_search.indexing.generations import logistic
from visual_search.models import SearchIndex


class Tier(StrEnum):
    """How near a result is, the nearest first."""

    EXACT = "exact"
    VERY_SIMILAR = "very_similar"
    SAME_SPIRIT = "same_spirit"
    NOTHING_GOOD = "nothing_good"


def of(index: SearchIndex | None, kind: str, cosines: Sequence[float]) -> tuple[Tier | None, float | None]:
    """Return the tier and the probability of a result whose parts have these `cosines` to what was asked.

    `kind` is "similar" or "photo". The probability is that both show the same product, had one of the same and one of
    different ones been as likely to be met: see `logistic.fit`. None where the index isn't calibrated for it.
    """
    calibration = (index and index.calibration) or {}
    curves = [
        logistic.Curve(curve["intercept"], tuple(curve["weights"]))
        for curve in calibration.get(kind, {}).get("curves", ())
    ]
    if not curves or any(len(curve.weights) != len(cosines) for curve in curves):
        return None, None
    # A part without a direction is like nothing.
    known = np.nan_to_num(np.asarray(cosines, np.float64))
    probability = min(float(curve.probability(known)) for curve in curves)
    thresholds = calibration["thresholds"]
    if known.min() >= logistic.SAME_PICTURE:
        probability = max(probability, thresholds[Tier.EXACT])
    tier = next((tier for tier in Tier if probability >= thresholds.get(tier.value, 0.0)), Tier.NOTHING_GOOD)
    return tier, probability
