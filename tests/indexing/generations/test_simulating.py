from __future__ import annotations

import io
import time

import pytest
from PIL import Image

from tests import factories
from visual_search.indexing.generations import simulating

pytestmark = pytest.mark.django_db


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
