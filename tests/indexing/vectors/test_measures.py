from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visual_search.indexing.vectors import measures

answers = st.lists(st.booleans(), max_size=12)


def test_scores__by_hand() -> None:
    found = measures.scores([[True, False, True], [False] * 5 + [True], []], [2, 1, 1])

    assert {name: [round(v, 4) for v in values.tolist()] for name, values in found.items()} == {
        "R@1": [1, 0, 0],
        "R@5": [1, 0, 0],
        "R@10": [1, 1, 0],
        "mAP@10": [round((1 + 2 / 3) / 2, 4), round(1 / 6, 4), 0],
        "nDCG@10": [round(1.5 / (1 + 1 / np.log2(3)), 4), round(1 / np.log2(7), 4), 0],
    }


@given(st.lists(answers, min_size=1, max_size=20))
def test_scores__lie_between_0_and_1_and_are_1_where_all_that_is_right_comes_first(rows: list[list[bool]]) -> None:
    right = [max(sum(row), 1) for row in rows]
    found = measures.scores(rows, right)
    best = measures.scores([[True] * count for count in right], right)

    for name, values in found.items():
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert best[name] == pytest.approx(1)
    assert (found["R@1"] <= found["R@5"]).all()
    assert (found["R@5"] <= found["R@10"]).all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_mean__lies_within_its_interval_which_is_the_same_each_time(values: list[float]) -> None:
    found = measures.mean(values)

    assert found == measures.mean(values)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_mean__has_the_width_that_the_normal_approximation_gives() -> None:
    sample = np.random.default_rng(1).random(400) < 0.3
    found = measures.mean(sample)

    expected = 1.96 * np.sqrt(found.value * (1 - found.value) / len(sample))
    assert found.high - found.value == pytest.approx(expected, rel=0.15)
    assert found.value - found.low == pytest.approx(expected, rel=0.15)
