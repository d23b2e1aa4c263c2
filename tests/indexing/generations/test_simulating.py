from __future__ import annotations

import io
import time

import pytest
from django.conf import settings as django_settings
from PIL import Image

from tests import factories
from visual_search.indexing.generations import simulating

pytestmark = pytest.mark.django_db

ONE_PICTURE = django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article"


def test_photos__are_the_same_each_time_and_differ_between_products() -> None:
    products = [factories.product(pictures=[factories.picture("teal")]) for _ in range(2)]
    keys = [product.pk for product in products]

    first, second = (list(simulating.photos(keys)) for _ in range(2))

    assert first == second
    assert [photo.product for photo in first] == keys
    assert first[0].data != first[1].data
    assert Image.open(io.BytesIO(first[0].data)).format == "JPEG"


def test_photos__leave_out_what_cannot_be_read() -> None:
    bad = factories.product(pictures=[b"no picture"])
    none = factories.product(pictures=[])
    good = factories.product()

    assert [photo.product for photo in simulating.photos([bad.pk, none.pk, good.pk])] == [good.pk]


def test_photos__stop_at_the_deadline() -> None:
    product = factories.product()

    assert list(simulating.photos([product.pk], deadline=time.monotonic())) == []


def test_photos__further_ones_of_each_differ_and_go_through_its_pictures() -> None:
    bad = factories.product(pictures=[b"no picture"])
    keys = [factories.product().pk for _ in range(2)]

    found = list(simulating.photos([bad.pk, *keys], most=5))

    assert [photo.product for photo in found] == [*keys, *keys, keys[0]]
    assert len({photo.data for photo in found}) == 5
    assert found[:2] == list(simulating.photos(keys))
    assert list(simulating.photos([bad.pk, *keys], most=1)) == found[:1]


@pytest.mark.skipif(ONE_PICTURE, reason="the products of this shop have one picture")
def test_photos__the_next_one_is_of_the_next_picture() -> None:
    product = factories.product(pictures=[factories.picture(colour) for colour in ("teal", "crimson")])

    found = [photo.image_key for photo in simulating.photos([product.pk], most=3)]

    assert found[0] == found[2] != found[1]


@pytest.mark.skipif(ONE_PICTURE, reason="the products of this shop have one picture")
def test_photos__of_a_product_with_one_bad_picture() -> None:
    product = factories.product(pictures=[factories.picture("teal"), b"no picture", factories.picture("crimson")])
    other = factories.product()

    found = [photo.product for photo in simulating.photos([product.pk, other.pk], most=6)]

    assert found == [product.pk, other.pk, other.pk, product.pk, other.pk, product.pk]


def test_photos__of_nothing_readable_end() -> None:
    bad = factories.product(pictures=[b"no picture"])

    assert list(simulating.photos([bad.pk], most=10)) == []
