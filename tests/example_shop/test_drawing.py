from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from example_shop import drawing
from example_shop.drawing import assortment, design, palette, scenes

ROOT = Path(__file__).resolve().parents[2]
DIGEST = """
import hashlib
from example_shop import drawing
digest = hashlib.sha256()
for product in drawing.catalogue(products_per_kind=2):
    for view in product.views:
        digest.update(view.render(96).tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def products() -> list[drawing.DrawnProduct]:
    return drawing.catalogue()


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.int16)


def test_catalogue__default_size(products: list[drawing.DrawnProduct]) -> None:
    counts = Counter(product.category for product in products)
    assert len(counts) == 14
    assert set(counts.values()) == {22}


def test_catalogue__names_and_slugs_are_unique(products: list[drawing.DrawnProduct]) -> None:
    assert len({product.slug for product in products}) == len(products)
    assert len({product.name for product in products}) == len(products)
    assert all(product.slug.isascii() and " " not in product.slug for product in products)


def test_catalogue__products_are_believable(products: list[drawing.DrawnProduct]) -> None:
    assert all(Decimal(10) < product.price < Decimal(1200) for product in products)
    assert all(product.price == product.price.quantize(Decimal("0.01")) for product in products)
    sold_out = sum(product.stock == 0 for product in products)
    assert 0.02 < sold_out / len(products) < 0.2
    assert {product.colour for product in products} == {colour.name for colour in palette.COLOURS}
    assert all(len(product.description.split(". ")) >= 2 for product in products)


def test_catalogue__says_each_colour_in_plain_words_too(products: list[drawing.DrawnProduct]) -> None:
    assert all(palette.BY_NAME[product.colour].plain in product.description for product in products)
    assert any(product.category == "Dresses" and " red" in product.description for product in products)


def test_catalogue__every_brand_has_several_products(products: list[drawing.DrawnProduct]) -> None:
    brands = Counter(product.brand for product in products)
    assert len(brands) >= 12
    assert min(brands.values()) >= 3


def test_catalogue__other_seed_is_another_range(products: list[drawing.DrawnProduct]) -> None:
    other = drawing.catalogue(8)
    assert len(other) == len(products)
    assert [product.slug for product in other] != [product.slug for product in products]


@pytest.mark.parametrize("count", [0, 97])
def test_catalogue__more_than_there_are_variants(count: int) -> None:
    with pytest.raises(ValueError, match=f"products_per_kind is {count}, but Sneakers come in 1 to 96 variants"):
        drawing.catalogue(products_per_kind=count)


def test_views__two_to_four_and_a_third_in_a_scene(products: list[drawing.DrawnProduct]) -> None:
    assert {len(product.views) for product in products} == {2, 3, 4}
    assert all(product.views[0].name == "front" for product in products)
    assert all(len({view.name for view in product.views}) == len(product.views) for product in products)
    assert all(view.alt.startswith(product.name) for product in products for view in product.views)
    in_scene = sum(any(view.scene for view in product.views) for product in products)
    assert 0.25 < in_scene / len(products) < 0.4


def test_views__every_scene_is_used(products: list[drawing.DrawnProduct]) -> None:
    used = {view.scene for product in products for view in product.views} - {""}
    assert used == set(scenes.SCENES)


@pytest.mark.parametrize("size", [64, 257])
def test_render__size_and_mode(products: list[drawing.DrawnProduct], size: int) -> None:
    for product in products[:: len(products) // 14]:
        for view in product.views:
            picture = view.render(size)
            assert (picture.size, picture.mode) == ((size, size), "RGB")


def test_render__no_picture_is_blank(products: list[drawing.DrawnProduct]) -> None:
    for product in products[::3]:
        for view in product.views:
            picture = pixels(view.render(64))
            away = np.abs(picture - picture[2, 2]).max(2) > 24
            assert away.mean() > 0.02, (product.slug, view.name)


def test_render__all_pictures_of_the_shop_differ(products: list[drawing.DrawnProduct]) -> None:
    # At 48 pixels a picture takes a fifth of its time, and two colours still can't be taken for each other.
    digests = [hashlib.sha256(p.views[0].render(48).tobytes()).hexdigest() for p in products]
    assert len(set(digests)) == len(products)


def test_render__same_bytes_in_another_process() -> None:
    digest = hashlib.sha256()
    for product in drawing.catalogue(products_per_kind=2):
        for view in product.views:
            digest.update(view.render(96).tobytes())
    other = subprocess.run(
        [sys.executable, "-c", DIGEST], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert other.stdout.strip() == digest.hexdigest()


def test_render__same_bytes_in_another_order(products: list[drawing.DrawnProduct]) -> None:
    views = [view for product in products[::40] for view in product.views]
    first = [view.render(80).tobytes() for view in views]
    again = [view.render(80).tobytes() for view in reversed(views)]
    assert first == again[::-1]


@pytest.mark.parametrize("kind", assortment.KINDS, ids=lambda kind: kind.name)
def test_render__colour_of_a_model_shows(kind: design.Kind) -> None:
    products = [p for p in drawing.catalogue() if p.category == kind.category]
    siblings = [p for p in products if p.views[0].design.model == kind.models[0]]
    assert len(siblings) >= 3
    pictures = [pixels(product.views[0].render(96)) for product in siblings]
    for a, b in itertools.pairwise(pictures):
        changed = np.abs(a - b).max(2) > 12
        assert changed.mean() > 0.02


@pytest.mark.parametrize("kind", assortment.KINDS, ids=lambda kind: kind.name)
def test_render__models_of_one_colour_differ(kind: design.Kind) -> None:
    colour, partner = palette.BY_NAME["teal"], palette.BY_NAME["ivory"]
    pictures = []
    for model in kind.models:
        item = design.Design(model=model, colour=colour, partner=partner)
        view = assortment.DrawnView(name="front", alt="", kind=kind.name, design=item, frame=kind.front)
        pictures.append(pixels(view.render(96)))
    for a, b in itertools.combinations(pictures, 2):
        assert (np.abs(a - b).max(2) > 24).mean() > 0.01
