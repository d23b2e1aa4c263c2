from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from tests import factories
from visual_search import catalog, models
from visual_search.encoders import parts
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.vectors import arrays
from visual_search.retrieval import answers, photomean, photos
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

PHOTO = factories.picture("crimson", "circle", background="lightgrey")


@pytest.fixture
def index() -> models.SearchIndex:
    with override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}):
        for number in range(parts.LEAST_FOR_MEAN):
            colour = factories.COLOURS[number % 8]
            shape = ("circle", "bar", "square")[number % 3]
            factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape)])
        live = factories.embed()
    assert live is not None
    return live


def learnt() -> tuple[int, Any]:
    row = models.PhotoMean.objects.get()
    return row.count, np.asarray(row.sums, np.float32)


def seen(index: models.SearchIndex, number: int) -> None:
    """Let the index have seen so many photos, each on a light grey ground."""
    features = [
        photos.features(index, factories.picture(colour, shape, background="lightgrey"))
        for colour in factories.COLOURS
        for shape in ("circle", "bar")
    ]
    photomean.learn(index, [features[each % len(features)] for each in range(number)])


def test_learn__only_sums_of_unit_parts_and_their_number_are_kept(index: models.SearchIndex) -> None:
    other = factories.picture("teal", "bar")
    for query in (Query(photo=PHOTO), Query(terms=(Term(photo=PHOTO), Term(photo=other)))):
        answers.answer(query)

    expected = 0
    for photo in (PHOTO, PHOTO, other):
        pieces = parts.split(photos.features(index, photo)[None], [64, 405])
        expected = expected + np.hstack([parts.unit(piece)[0][0] for piece in pieces])
    count, sums = learnt()
    assert count == 3
    assert sums == pytest.approx(expected, abs=1e-5)


def test_learn__neither_from_products_nor_when_told_not_to(index: models.SearchIndex) -> None:
    product = models.ProductEmbedding.objects.values_list("product", flat=True)[0]
    answers.answer(Query(product=product))
    answers.answer(Query(photo=PHOTO), learn=False)
    with override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "LEARN_PHOTO_MEAN": False}):
        answers.answer(Query(photo=PHOTO))

    assert learnt()[0] == 0


def test_transforms__weigh_the_photos_by_their_number(index: models.SearchIndex) -> None:
    seen(index, photomean.LEAST - 1)
    assert photomean.transforms(index) is None

    for added, weight in ((1, 10 / 40), (20, 0.5), (400, 0.7)):
        seen(index, added)
        count, sums = learnt()
        for found, frozen, total in zip(
            photomean.transforms(index) or (), arrays.transforms(index.pk), np.split(sums, [64]), strict=True
        ):
            assert found.mean == pytest.approx(weight * total / count + (1 - weight) * frozen.mean, abs=1e-5)

    with override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "LEARN_PHOTO_MEAN": False}):
        assert photomean.transforms(index) is None


def test_learn__a_photo_counts_after_any_number_of_them(index: models.SearchIndex) -> None:
    seen(index, 100)
    _, former = learnt()
    # As many as a busy shop sees in some months: in single precision, a sum of these takes up nothing small any more.
    models.PhotoMean.objects.update(count=20_000_000, sums=(former * np.float32(200_000)).tolist())
    features = photos.features(index, PHOTO)

    for _ in range(50):
        photomean.learn(index, [features] * 100)

    count, sums = learnt()
    kept = (1 - 100 / photomean.KEPT) ** 50
    unit = np.hstack([parts.unit(piece)[0][0] for piece in parts.split(features[None], [64, 405])])
    assert count == photomean.KEPT
    assert sums / count == pytest.approx(kept * former / 100 + (1 - kept) * unit, abs=1e-4)


@pytest.mark.parametrize("colour", [None, 0.0, 1.0])
def test_photo__is_centred_on_what_was_learnt(index: models.SearchIndex, colour: float | None) -> None:
    seen(index, 100)

    found = answers.answer(Query(photo=PHOTO, colour=colour)).products

    vector = parts.stored(photos.features(index, PHOTO)[None], photomean.transforms(index) or ())[0][0]
    share = 0.2 if colour is None else colour
    asked = 2 * vector * np.repeat(np.float32([1 - share, share]), [64, 405])
    rows = models.ProductEmbedding.objects.values_list("product__name", "embedding")
    right = {name: float(asked @ np.asarray(embedding, np.float32)) for name, embedding in rows}
    best = max(right.values())
    assert found[0].similarity == pytest.approx(best, abs=2e-3)
    assert right[found[0].name] == pytest.approx(best, abs=2e-3)
    assert [product.similarity for product in found] == sorted((p.similarity for p in found), reverse=True)


def test_product__is_never_touched_by_photos(index: models.SearchIndex) -> None:
    product = models.ProductEmbedding.objects.values_list("product", flat=True)[0]

    def found() -> list[tuple[Any, float]]:
        return [(each.pk, each.similarity) for each in answers.answer(Query(product=product)).products]

    before = found()
    seen(index, 100)
    assert found() == before


def test_learn__where_nothing_can_be_written_the_search_goes_on(index: models.SearchIndex) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        assert answers.answer(Query(photo=PHOTO)).products
        # The shop's own transaction isn't broken by it.
        assert catalog.product_model()._default_manager.count() == parts.LEAST_FOR_MEAN
        transaction.set_rollback(True)

    assert learnt()[0] == 0


@pytest.mark.django_db(transaction=True)
def test_learn__a_locked_row_is_left_alone(index: models.SearchIndex) -> None:
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                models.PhotoMean.objects.select_for_update().get()
                locked.set()
                done.wait(30)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert locked.wait(30)
        assert answers.answer(Query(photo=PHOTO)).products
        assert learnt()[0] == 0
    finally:
        done.set()
        holder.join()
    answers.answer(Query(photo=PHOTO))
    assert learnt()[0] == 1


def test_index__takes_over_what_one_of_the_same_encoder_learnt(index: models.SearchIndex) -> None:
    seen(index, 12)
    same, other = lifecycle.create(["tiny", "colour"]), lifecycle.create(["tiny"])
    factories.embed()

    counts = dict(models.PhotoMean.objects.values_list("index", "count"))
    assert counts == {index.pk: 12, same.pk: 12, other.pk: 0}


def test_learn__with_other_metrics() -> None:
    for _ in range(parts.LEAST_FOR_MEAN):
        factories.product()
    for metric, counted in ((models.SearchIndex.Metric.PEARSON, 1), (models.SearchIndex.Metric.EUCLIDEAN, 0)):
        index = lifecycle.create(["tiny"], metric=metric)
        factories.embed()
        index.refresh_from_db()
        if index.state != index.State.LIVE:
            lifecycle.activate(index, force=True)
        assert answers.answer(Query(photo=PHOTO)).products
        assert models.PhotoMean.objects.get(index=index).count == counted
        seen(index, 20)
        assert (photomean.transforms(index) is not None) == bool(counted)
        assert answers.answer(Query(photo=PHOTO)).products
