from __future__ import annotations

import numpy as np
import pytest

from visual_search.encoders import parts
from visual_search.indexing.vectors import projection

RANDOM = np.random.default_rng(2)


def sample(count: int, *, noisy: bool) -> tuple[parts.Floats, np.ndarray]:
    """Return pictures of products, two each; `noisy` adds a few strong axes that say nothing about the product."""
    products = np.repeat(np.arange(count // 2), 2)
    features = RANDOM.normal(size=(count // 2, 320))[products] + 0.9 * RANDOM.normal(size=(count, 320))
    if noisy:
        features[:, :3] += 60 * RANDOM.normal(size=(count, 3))
    return features.astype(np.float32), products


def test_fit__without_a_projection_has_nothing_to_report() -> None:
    features, products = sample(500, noisy=False)
    transforms, measured = projection.fit(features, [320], shares=[1.0], products=products)
    assert [transform.projection for transform in transforms] == [None]
    assert measured is None


@pytest.mark.parametrize("metric", [parts.COSINE, parts.PEARSON, parts.EUCLIDEAN])
def test_fit__reports_what_the_projection_keeps_of_the_ten_nearest(metric: str) -> None:
    flat = RANDOM.normal(size=(1_200, 300)).astype(np.float32)
    low = (RANDOM.normal(size=(1_200, 40)) @ RANDOM.normal(size=(40, 300))).astype(np.float32)
    kept = []
    for features in (flat, low):
        transforms, measured = projection.fit(features, [300], metric=metric, shares=[1.0], products=np.arange(1_200))
        assert transforms[0].dimensions == 256
        assert measured is not None
        assert measured["whitened"] is False
        kept.append(measured["overlap"])
    assert kept[0] < 0.9 < 0.99 < kept[1] <= 1


@pytest.mark.parametrize(("noisy", "expected"), [(True, True), (False, False)])
def test_fit__whitens_only_where_that_finds_more(noisy: bool, expected: bool) -> None:
    features, products = sample(projection.LEAST_FOR_WHITENING, noisy=noisy)
    transforms, measured = projection.fit(features, [320], shares=[1.0], products=products)

    lengths = np.linalg.norm(transforms[0].projection, axis=1)  # type: ignore[arg-type]
    assert measured is not None
    assert measured["whitened"] is expected
    assert bool(lengths.max() > 1.01) is expected


def test_fit__does_not_whiten_a_smaller_sample_nor_one_without_siblings() -> None:
    features, products = sample(projection.LEAST_FOR_WHITENING, noisy=True)
    for chosen, shown in ((features[:-2], products[:-2]), (features, np.arange(len(features)))):
        measured = projection.fit(chosen, [320], shares=[1.0], products=shown)[1]
        assert measured is not None
        assert measured["whitened"] is False
