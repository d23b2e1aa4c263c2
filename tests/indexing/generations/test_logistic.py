from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from visual_search.indexing.generations import logistic

cosines = st.floats(-1, 1, width=32)


@st.composite
def pairs(draw: Any) -> tuple[Any, Any]:
    parts = draw(st.integers(1, 3))
    sizes = st.integers(0, 60)
    same = draw(arrays.arrays(np.float64, (draw(sizes), parts), elements=cosines))
    return same, draw(arrays.arrays(np.float64, (draw(sizes), parts), elements=cosines))


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_fit__of_any_pairs_never_falls_and_never_blows_up(pair: tuple[Any, Any]) -> None:
    curve = logistic.fit(*pair)

    assert np.isfinite([curve.intercept, *curve.weights]).all()
    assert min(curve.weights) >= 0
    ladder = curve.probability(np.linspace(-1, 1, 21)[:, None].repeat(len(curve.weights), axis=1))
    assert ((ladder >= 0) & (ladder <= 1)).all()
    assert (np.diff(ladder) >= 0).all()


@given(pairs())
@settings(max_examples=30, deadline=None)
def test_fit__finds_the_least_loss(pair: tuple[Any, Any]) -> None:
    same, different = pair
    curve = logistic.fit(same, different)
    deviation = np.maximum(different.std(axis=0), 1e-3) if len(different) >= 20 else np.full(same.shape[1], 0.15)
    mean = different.mean(axis=0) if len(different) >= 20 else np.zeros(same.shape[1])
    amount = len(same) / max(len(different), 1)

    def loss(intercept: float, weights: Any) -> float:
        def log_loss(sign: float, rows: Any) -> float:
            return float(np.logaddexp(0, -sign * (intercept + (rows - mean) / deviation @ weights)).sum())

        prior = 1.5 / np.sqrt(len(weights))
        ridge = 2.5 * ((intercept + 1.5 * 2.3) ** 2 + ((weights - prior) ** 2).sum())
        return log_loss(1, same) + amount * log_loss(-1, different) + ridge

    weights = np.array(curve.weights) * deviation
    intercept = curve.intercept + float(np.array(curve.weights) @ mean)
    least = loss(intercept, weights)
    random = np.random.default_rng(0)
    for _ in range(50):
        moved = np.maximum(weights + random.normal(0, 0.05, len(weights)), 0)
        assert loss(intercept + random.normal(0, 0.05), moved) >= least - 1e-7


@given(pairs(), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_fit__what_is_told_over_again_counts_once(pair: tuple[Any, Any], repeats: int) -> None:
    same, different = pair
    once = logistic.fit(same, different)

    again = logistic.fit(np.tile(same, (repeats, 1)), different, repeats=repeats)

    assert (again.intercept, *again.weights) == pytest.approx((once.intercept, *once.weights), rel=1e-5, abs=1e-5)


def test_fit__without_pairs_is_the_prior() -> None:
    curve = logistic.fit(np.zeros((0, 2)), np.zeros((0, 2)))

    weight = 1.5 / np.sqrt(2) / 0.15
    assert curve == logistic.Curve(pytest.approx(-1.5 * 2.3), (pytest.approx(weight), pytest.approx(weight)))


def test_fit__of_what_a_line_separates_stays_finite_and_tells_it_apart() -> None:
    curve = logistic.fit(np.full((500, 1), 0.9), np.full((500, 1), 0.1))

    assert curve.probability([0.9]) > 0.9 > 0.1 > curve.probability([0.1])
    assert np.isfinite(curve.weights).all()


def test_fit__gives_a_part_that_says_the_opposite_no_weight() -> None:
    random = np.random.default_rng(0)
    same = np.column_stack([random.normal(0.7, 0.1, 400), random.normal(-0.3, 0.1, 400)])
    different = np.column_stack([random.normal(0, 0.1, 400), random.normal(0.3, 0.1, 400)])

    curve = logistic.fit(same, different)

    assert curve.weights[1] == 0
    assert curve.weights[0] > 0


def test_fit__is_calibrated_on_pairs_of_a_known_curve() -> None:
    random = np.random.default_rng(0)
    drawn = random.uniform(-1, 1, (20_000, 1))
    same = random.random(len(drawn)) < 1 / (1 + np.exp(-(-2 + 6 * drawn[:, 0])))
    rows, others = drawn[same], drawn[~same]

    curve = logistic.fit(rows, others)

    # Either kind counts alike, so the odds are those of the known curve divided by the share of the kinds.
    assert curve.weights[0] == pytest.approx(6, rel=0.05)
    assert curve.intercept == pytest.approx(-2 - np.log(len(rows) / len(others)), abs=0.1)
