from __future__ import annotations

import numpy as np
import pytest

from visual_search.encoders import parts


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


def test_uncentred__order_can_be_had_back_from_what_is_stored(features: parts.Floats) -> None:
    transform = parts.fit(features[:500])
    photo, catalogue = features[600:601], features[:500]
    stored, lengths = parts.stored(catalogue, [transform])
    asked = transform.uncentred(photo)[0]

    again = float(asked @ transform.mean) + lengths[:, 0] * (stored @ asked)

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
    transforms = [parts.fit(features), parts.fit(features[:30])]

    first, second = parts.load(parts.save(transforms))

    assert np.array_equal(first.mean, transforms[0].mean)
    assert np.array_equal(first.projection, transforms[0].projection)  # type: ignore[arg-type]
    assert (second.projection, len(second.mean)) == (None, 300)
