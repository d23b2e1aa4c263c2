from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from PIL import Image

from tests import factories, processes, sessions
from visual_search import exceptions, models
from visual_search.encoders import base, joined, parts, tiny
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.vectors import arrays, fit

pytestmark = pytest.mark.django_db


def test_fit__can_be_stopped_and_resumed() -> None:
    for _ in range(fit.SAMPLED_AT_ONCE + 5):
        factories.product()
    index = factories.index(["tiny"])

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
    index = factories.index(["tiny"])

    assert fit.run(deadline=float("inf"))

    index.refresh_from_db()
    assert 20 <= index.fitted_on < 20 + fit.SAMPLED_AT_ONCE  # type: ignore[operator]


def test_fit__bad_pictures_are_no_samples() -> None:
    factories.product()
    factories.product(pictures=[b"bad"])
    index = factories.embed()

    assert index.fitted_on == 1  # type: ignore[union-attr]


class Large(tiny.TinyEncoder):
    """The tiny encoder, its features repeated until pgvector can't index them."""

    name = "large"
    dimensions = 64 * tiny.TinyEncoder.dimensions

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        return np.tile(tiny.TinyEncoder().encode(images), (1, 64))


def test_fit__refuses_more_dimensions_than_can_be_indexed() -> None:
    factories.product()
    factories.index([f"{__name__}.Large"])

    with pytest.raises(exceptions.EncoderError, match="4,096 numbers a picture") as raised:
        fit.run(deadline=float("inf"))

    assert raised.value.code == "too_many_dimensions"


def test_fit__that_fails_stops_no_other_index() -> None:
    factories.product()
    broken, fine = factories.index([f"{__name__}.Large"]), factories.index(["tiny"])

    assert fit.run(deadline=float("inf"))

    fine.refresh_from_db()
    broken.refresh_from_db()
    assert (broken.fitted_on, fine.fitted_on) == (None, 1)
    with pytest.raises(exceptions.EncoderError):
        fit.run(deadline=float("inf"))


@pytest.mark.django_db(transaction=True)
def test_fit__holds_no_transaction_while_it_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()
    factories.index(["tiny"])
    inside = []

    def encode(self: Any, images: Sequence[Image.Image]) -> base.Features:
        inside.append(connection.in_atomic_block)
        return plain(self, images)

    plain = tiny.TinyEncoder.encode
    monkeypatch.setattr(tiny.TinyEncoder, "encode", encode)
    fit.run(deadline=float("inf"))

    assert inside == [False]


@pytest.mark.django_db(transaction=True)
def test_fit__keeps_out_of_the_way_of_a_shop_that_deletes_products() -> None:
    first, second, third = (factories.product() for _ in range(3))
    factories.index(["tiny"])

    def run() -> None:
        try:
            fit.run(deadline=float("inf"))
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        second.delete()
        thread.start()
        # Whoever waited for the rows of the second would hold those of the first, which the shop wants next.
        processes.wait_for(lambda: not thread.is_alive(), seconds=20)
        first.delete()

    assert list(models.FitSample.objects.values_list("product_id", flat=True)) == [third.pk]


@pytest.mark.parametrize("then", [[lifecycle.cancel], [lifecycle.cancel, lifecycle.resume]])
def test_fit__of_an_index_that_is_given_up_while_its_encoder_is_loaded(
    then: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        factories.product()
    index = factories.index()
    load = joined.load

    def meanwhile(*arguments: Any, **options: Any) -> joined.Joined:
        for step in then:
            step(models.SearchIndex.objects.get(pk=index.pk))
        return load(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(joined, "load", meanwhile)
        fit.run(float("inf"))
    index.refresh_from_db()
    assert index.fitted_on is None

    if lifecycle.resume not in then:
        lifecycle.resume(index)
    factories.embed()
    index.refresh_from_db()
    assert index.fitted_on == 3


@pytest.mark.django_db(transaction=True)
def test_fit__waits_where_the_shop_holds_all_its_products() -> None:
    for _ in range(3):
        factories.product()
    models.ProductChange.objects.all().delete()
    with sessions.within(sessions.locking_all()):
        index = factories.index()
        assert models.ProductChange.objects.count() == 3
        factories.embed()
        index.refresh_from_db()
        assert index.fitted_on is None
    factories.embed()
    index.refresh_from_db()
    assert index.fitted_on == 3
