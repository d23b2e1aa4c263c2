from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings

from tests import factories
from visual_search import exceptions, tasks
from visual_search.catalog import Catalog
from visual_search.indexing.generations import calibration, lifecycle, logistic
from visual_search.indexing.vectors import embedding
from visual_search.models import SearchIndex

pytestmark = pytest.mark.django_db

ONE_PICTURE = django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article"


def shop(count: int) -> Any:
    """Return a live index of `count` products, each with two pictures where the shop has as many."""
    for number in range(count):
        colour, shape = f"#{(number + 1) * 2_654_435_761 % 2**24:06x}", ("circle", "square", "bar")[number % 3]
        pictures = [factories.picture(colour, shape, size=size) for size in (96, 120)]
        factories.product(pictures=pictures[:1] if ONE_PICTURE else pictures)
    return factories.embed()


@pytest.fixture
def one_photo_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a fourth of the photos: each takes some 60 ms."""
    monkeypatch.setattr(calibration, "PHOTOS_EACH", 1)


def test_calibrate__from_the_shops_own_pictures() -> None:
    index = shop(24)

    found = calibration.calibrate(index)

    siblings = 0 if ONE_PICTURE else 24
    # 25 at random (of the 23 others where each has one picture), and of a photo the 5 nearest.
    others = 23 if ONE_PICTURE else 25
    assert (found["similar"]["same"], found["similar"]["different"]) == (siblings, (24 + siblings) * others)
    assert (found["photo"]["same"], found["photo"]["different"]) == (4 * 24, 4 * 24 * (others + 5))
    assert found["thresholds"] == {"exact": 0.97, "very_similar": 0.85, "same_spirit": 0.35}
    index.refresh_from_db()
    assert index.calibration == found
    # Without two pictures of one product, "similar" is the prior, and that is wide in a shop of three shapes.
    for kind in ("photo",) if ONE_PICTURE else ("similar", "photo"):
        (stored,) = found[kind]["curves"]
        curve = logistic.Curve(stored["intercept"], tuple(stored["weights"]))
        assert curve.probability([0.95]) > 0.7 > 0.2 > curve.probability([0.0])


@pytest.mark.one_shop
@pytest.mark.usefixtures("one_photo_each")
def test_calibrate__another_curve_goes_by_all_but_colour(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    index = shop(20)

    found = calibration.calibrate(index)

    for kind in ("similar", "photo"):
        every, plain = found[kind]["curves"]
        assert [weight > 0 for weight in every["weights"]] == [True, True]
        assert [weight > 0 for weight in plain["weights"]] == [True, False]


@pytest.mark.one_shop
@pytest.mark.usefixtures("one_photo_each")
def test_calibrate__of_colour_alone_has_one_curve(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["colour"]}
    index = shop(20)

    found = calibration.calibrate(index)

    assert [len(found[kind]["curves"]) for kind in ("similar", "photo")] == [1, 1]


@pytest.mark.one_shop
@pytest.mark.usefixtures("one_photo_each")
def test_calibrate__the_same_each_time() -> None:
    index = shop(20)

    first, second = (calibration.calibrate(index) for _ in range(2))

    assert {**first, "measured_at": ""} == {**second, "measured_at": ""}


def test_calibrate__leaves_thresholds_that_the_shop_chose() -> None:
    index = shop(3)
    stored = SearchIndex.objects.get().calibration
    assert stored is not None
    stored["thresholds"]["same_spirit"] = 0.5
    # Not on the index that is calibrated: it may have been changed meanwhile.
    SearchIndex.objects.update(calibration=stored)

    found = calibration.calibrate(index)

    assert found["thresholds"] == {"exact": 0.97, "very_similar": 0.85, "same_spirit": 0.5}


def test_calibrate__task_is_of_the_live_index() -> None:
    tasks.calibrate()
    index = shop(3)
    SearchIndex.objects.update(calibration=None)

    tasks.calibrate()

    index.refresh_from_db()
    assert index.calibration is not None


def test_calibrate__a_small_shop_has_the_prior() -> None:
    index = shop(1)
    index.embeddings.filter(position=1).delete()

    found = calibration.calibrate(index)

    prior = logistic.fit(np.zeros((0, 1)), np.zeros((0, 1)))
    assert found["similar"] == found["photo"]
    assert found["similar"] == {
        "curves": [{"intercept": prior.intercept, "weights": list(prior.weights)}],
        "same": 0,
        "different": 0,
    }


def test_calibrate__of_an_empty_shop() -> None:
    lifecycle.create(["tiny"])
    index = factories.embed()

    assert index is not None
    assert calibration.calibrate(index)["similar"]["same"] == 0


def test_calibrate__without_time_for_photos_takes_the_curve_of_similar() -> None:
    index = shop(20)

    found = calibration.calibrate(index, seconds=0)

    assert found["photo"]["same"] == 0
    assert found["photo"]["curves"] == found["similar"]["curves"]


@pytest.mark.one_shop
@pytest.mark.usefixtures("one_photo_each")
@pytest.mark.parametrize("missing", ["time", "the encoder"])
def test_calibrate__keeps_the_photos_curve_where_there_is_no_new_one(
    missing: str, monkeypatch: Any, caplog: Any
) -> None:
    index = shop(20)
    before = calibration.calibrate(index)

    def fails(index: Any) -> Any:
        raise exceptions.EncoderError("gone")

    if missing == "the encoder":
        monkeypatch.setattr(embedding, "encoder_of", fails)
    found = calibration.calibrate(index, seconds=0)

    assert (found["photo"], before["photo"]["same"]) == (before["photo"], 20)
    assert "keeps its curve for photos, of 20: 0 were simulated in time" in caplog.text


@pytest.mark.one_shop
@pytest.mark.usefixtures("one_photo_each")
def test_calibrate__of_fewer_photos_where_the_shop_has_no_more() -> None:
    index = shop(20)
    calibration.calibrate(index)

    assert calibration.calibrate(index, photos=10)["photo"]["same"] == 10


@pytest.mark.parametrize("error", [exceptions.EncoderError("gone"), ValueError("of a picture")])
def test_calibrate__an_encoder_that_fails_is_logged(error: Exception, monkeypatch: Any, caplog: Any) -> None:
    index = shop(20)

    def fails(index: Any) -> Any:
        raise error

    monkeypatch.setattr(embedding, "encoder_of", fails)
    found = calibration.calibrate(index)

    assert found["photo"]["same"] == 0
    assert "calibrated without simulated photos" in caplog.text


def test_complete__an_index_is_calibrated_before_it_is_live(monkeypatch: Any) -> None:
    monkeypatch.setattr(lifecycle, "CALIBRATION_SECONDS", 60.0)

    index = shop(20)

    assert index.calibration is not None
    assert set(index.calibration) == {"similar", "photo", "thresholds", "measured_at"}
    assert index.calibration["photo"]["same"] == 4 * 20


def test_calibrate__neither_variants_nor_shared_pictures_are_other_things(monkeypatch: Any) -> None:
    same = [factories.picture("crimson", "circle")]
    products = [factories.product(pictures=same) for _ in range(3)]
    variants = [factories.product(pictures=[factories.picture(colour, "bar")]) for colour in ("teal", "purple")]
    index = factories.embed()
    assert index is not None
    keys = {product.pk for product in variants}
    monkeypatch.setattr(Catalog, "group", lambda self, product: "bars" if product.pk in keys else None)

    found = calibration.calibrate(index)

    # Each of three with each of two variants, both ways.
    assert found["similar"]["different"] == 2 * len(products) * len(variants)
