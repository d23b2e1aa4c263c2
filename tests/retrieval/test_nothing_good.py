"""Does it say so where nothing good is there? With the real encoder, and things that the shop doesn't sell."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.conf import settings as django_settings

from example_shop import drawing
from tests import factories
from visual_search.indexing.generations import calibration
from visual_search.retrieval import answers
from visual_search.retrieval.query import Query

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article", reason="the pictures are the same"
    ),
]

SOLD = ("Mugs", "Teapots", "Watches", "Sneakers")
NOT_SOLD = ("Armchairs", "Dresses", "Sunglasses", "Table lamps")
PER_KIND = 6


@pytest.fixture
def drawn(settings: Any) -> dict[str, list[Any]]:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["efficientnet_lite0", "colour"]}
    found: dict[str, list[Any]] = {}
    for product in drawing.catalogue(7, products_per_kind=PER_KIND):
        found.setdefault(product.category, []).append(product)
    return found


def picture(product: Any, view: int) -> bytes:
    buffer = io.BytesIO()
    product.views[view].render(256).save(buffer, "PNG")
    return buffer.getvalue()


def test_answer__says_so_for_photos_of_what_the_shop_does_not_sell(drawn: dict[str, list[Any]]) -> None:
    for kind in SOLD:
        for product in drawn[kind]:
            factories.product(pictures=[picture(product, 0), picture(product, 1)], category=kind)
    index: Any = factories.embed()
    calibration.calibrate(index)

    def flagged(kinds: tuple[str, ...], view: int) -> float:
        asked = [picture(product, view) for kind in kinds for product in drawn[kind][:4]]
        return sum(answers.answer(Query(photo=photo, limit=5)).nothing_good for photo in asked) / len(asked)

    sold, not_sold = flagged(SOLD, -1), flagged(NOT_SOLD, 0)
    assert (sold <= 0.15, not_sold >= 0.7) == (True, True), (sold, not_sold)
