from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest

from visual_search.encoders import parts

METRICS = (parts.COSINE, parts.EUCLIDEAN, parts.PEARSON)


@pytest.fixture
def features() -> parts.Floats:
    return np.random.default_rng(1).gamma(2.0, size=(1_200, 300)).astype(np.float32)


def test_unit__zero_stays_zero() -> None:
    vectors, lengths = parts.unit(np.array([[3, 4], [0, 0]], np.float32))
    assert vectors == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert lengths == pytest.approx([5, 0])


def test_fit__by_the_number_of_pictures(features: parts.Floats) -> None:
    few, some, many = (parts.fit(features[:count]) for count in (19, 999, 1_200))

    assert (few.mean.any(), few.projection) == (np.False_, None)
    assert (some.mean.any(), some.projection) == (np.True_, None)
    assert many.projection is not None
    assert many.projection.shape == (256, 300)
    assert many.projection @ many.projection.T == pytest.approx(np.eye(256), abs=1e-4)
    assert (few.dimensions, many.dimensions) == (300, 256)


def test_stored__is_a_unit_vector_of_equal_parts(features: parts.Floats) -> None:
    transforms = [parts.fit(features[:, :200]), parts.fit(features[:, 200:])]

    vectors, lengths = parts.stored(features[:7], transforms)

    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    assert np.linalg.norm(vectors[:, :200], axis=1) == pytest.approx(np.full(7, np.sqrt(0.5)), abs=1e-5)
    assert lengths.shape == (7, 2)


@pytest.mark.parametrize("metric", [parts.COSINE, parts.PEARSON])
def test_uncentred__order_can_be_had_back_from_what_is_stored(features: parts.Floats, metric: str) -> None:
    transform = parts.fit(features[:500], metric=metric)
    photo, catalogue = features[600:601], features[:500]
    stored, lengths = parts.stored(catalogue, [transform])
    asked = transform.uncentred(photo)[0]

    again = float(asked @ transform.mean) + lengths[:, 0] * (stored @ asked)

    if metric == parts.PEARSON:
        assert again == pytest.approx(np.corrcoef(photo, catalogue)[0, 1:], abs=1e-5)
    else:
        assert again == pytest.approx(parts.unit(catalogue)[0] @ parts.unit(photo)[0][0], abs=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], [1]),
        (["colour"], [1]),
        (["a", "b"], [0.5, 0.5]),
        (["a", "colour"], [0.7, 0.3]),
        (["a", "colour", "b"], [0.35, 0.3, 0.35]),
    ],
)
def test_shares__colours_and_the_rest(names: list[str], expected: list[float]) -> None:
    assert parts.shares(names, colour=0.3) == pytest.approx(expected)


def test_save_and_load(features: parts.Floats) -> None:
    transforms = [parts.fit(features), parts.fit(features[:30], metric=parts.EUCLIDEAN, share=0.2)]

    first, second = parts.load(parts.save(transforms))

    assert np.array_equal(first.mean, transforms[0].mean)
    assert np.array_equal(first.projection, transforms[0].projection)  # type: ignore[arg-type]
    assert (first.metric, first.scale) == (parts.COSINE, 1.0)
    assert (second.projection, len(second.mean)) == (None, 300)
    assert (second.metric, second.scale) == (parts.EUCLIDEAN, transforms[1].scale)
    assert all(
        np.array_equal(one, other)
        for one, other in zip(
            parts.stored(np.ones((1, 600)), transforms), parts.stored(np.ones((1, 600)), [first, second]), strict=True
        )
    )


def test_compared__worked_examples() -> None:
    assert doctest.testmod(parts) == doctest.TestResults(failed=0, attempted=7)


@pytest.mark.parametrize("size", [1e-4, 1, 1e5])
def test_compared__a_constant_correlates_with_nothing(size: float) -> None:
    flat = np.full((1, 1280), size / 3, np.float32)

    assert parts.compared(flat, parts.PEARSON)[1] <= parts.DEGENERATE
    assert parts.compared(flat, parts.COSINE)[1] > parts.DEGENERATE
    assert parts.compared(flat + np.arange(1280) % 2 * size / 1000, parts.PEARSON)[1] > parts.DEGENERATE


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("fitted", [10, 500])
def test_stored__what_has_no_features_has_no_length(features: parts.Floats, metric: str, fitted: int) -> None:
    transforms = [parts.fit(features[:fitted, :200], metric=metric), parts.fit(features[:fitted, 200:], metric=metric)]
    joined = features[600:602].copy()
    joined[1, 200:] = 0

    lengths = parts.stored(joined, transforms)[1]

    assert (lengths > parts.DEGENERATE).tolist() == [[True, True], [True, False]]


def test_stored__euclidean_keeps_distances(features: parts.Floats) -> None:
    transform = parts.fit(features[:500], metric=parts.EUCLIDEAN)
    (one, other), _ = parts.stored(features[600:602], [transform])

    assert np.linalg.norm(one - other) == pytest.approx(
        transform.scale * np.linalg.norm(features[600] - features[601]), rel=1e-5
    )
    moved = replace(transform, mean=transform.mean + 1)
    (one_moved, other_moved), _ = parts.stored(features[600:602], [moved])
    assert one_moved - other_moved == pytest.approx(one - other, abs=1e-5)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2)])
@pytest.mark.parametrize("count", [10, 500, 1_200])
def test_fit__euclidean_parts_weigh_by_their_share_and_not_by_their_size(
    features: parts.Floats, shares: tuple[float, float], count: int
) -> None:
    joined = features[:count] * np.repeat(np.float32([40, 0.1]), [280, 20])
    transforms = [
        parts.fit(piece, metric=parts.EUCLIDEAN, share=share)
        for piece, share in zip(parts.split(joined, [280, 20]), shares, strict=True)
    ]

    stored, _ = parts.stored(joined, transforms)

    squares = [np.square(piece).sum(axis=1).mean() for piece in parts.split(stored, [t.dimensions for t in transforms])]
    assert squares == pytest.approx(shares, rel=1e-3)


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 0), (30, 3), (4_000, 3.3e3)])
def test_fit__euclidean_of_pictures_that_do_not_differ(count: int, size: float) -> None:
    transform = parts.fit(np.full((count, 4), size, np.float32), metric=parts.EUCLIDEAN, share=0.25)

    assert transform.scale == 0.5
