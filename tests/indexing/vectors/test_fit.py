from __future__ import annotations

import time

import numpy as np
import pytest

from tests import factories
from visual_search import models
from visual_search.encoders import parts
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.vectors import arrays, fit

pytestmark = pytest.mark.django_db


def test_fit__can_be_stopped_and_resumed() -> None:
    for _ in range(fit.SAMPLED_AT_ONCE + 5):
        factories.product()
    index = lifecycle.create(["tiny"])

    assert fit.run(deadline=time.monotonic())
    assert models.FitSample.objects.count() == fit.SAMPLED_AT_ONCE
    index.refresh_from_db()
    assert index.fitted_on is None
    assert fit.run(deadline=float("inf"))

    index.refresh_from_db()
    assert models.FitSample.objects.count() == index.fitted_on == fit.SAMPLED_AT_ONCE + 5
    assert not fit.run(deadline=float("inf"))


def test_fit__few_pictures_leave_the_mean_at_zero() -> None:
    for _ in range(parts.LEAST_FOR_MEAN - 1):
        factories.product()
    index = factories.embed()

    (transform,) = arrays.transforms(index.pk)  # type: ignore[union-attr]
    assert not transform.mean.any()


def test_fit__the_mean_of_unit_vectors() -> None:
    for _ in range(parts.LEAST_FOR_MEAN):
        factories.product()
    index = factories.embed()

    (transform,) = arrays.transforms(index.pk)  # type: ignore[union-attr]
    assert transform.projection is None
    assert 0.5 < np.linalg.norm(transform.mean) <= 1


def test_fit__stops_at_enough_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "PICTURES", 20)
    for _ in range(60):
        factories.product()
    index = lifecycle.create(["tiny"])

    assert fit.run(deadline=float("inf"))

    index.refresh_from_db()
    assert 20 <= index.fitted_on < 20 + fit.SAMPLED_AT_ONCE  # type: ignore[operator]


def test_fit__bad_pictures_are_no_samples() -> None:
    factories.product()
    factories.product(pictures=[b"bad"])
    index = factories.embed()

    assert index.fitted_on == 1  # type: ignore[union-attr]
