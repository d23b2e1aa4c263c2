from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from PIL import Image

from tests import factories
from visual_search import catalog, exceptions
from visual_search.indexing import lifecycle
from visual_search.retrieval import answers, live
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db


class Grouped(catalog.Catalog):
    """Products of one price are variants; whoever's name begins alike sells them."""

    def products(self, request: Any = None) -> Any:
        return catalog.product_model()._default_manager.all()

    def images(self, product: Any) -> Iterator[Any]:
        yield from _shop.images(product)

    def group(self, product: Any) -> Any:
        return product.price

    def seller(self, product: Any) -> Any:
        return product.name[0]


class Sellers(Grouped):
    group = catalog.Catalog.group  # type: ignore[assignment]


_shop = catalog.current()


def names(query: Query) -> list[str]:
    return [product.name for product in answers.answer(query).products]


def using(name: str) -> Any:
    from django.conf import settings

    changed = {**settings.VISUAL_SEARCH, "CATALOG": f"tests.retrieval.test_answers.{name}"}
    return override_settings(VISUAL_SEARCH=changed)


@pytest.fixture
def shelf() -> dict[str, Any]:
    """Six products: three colours of circles, three of bars."""
    products = {
        f"{colour} {shape}": factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape)])
        for shape in ("circle", "bar")
        for colour in ("crimson", "seagreen", "royalblue")
    }
    factories.embed()
    return products


def test_terms__several_products_look_for_what_they_share(shelf: dict[str, Any]) -> None:
    both = Query(terms=(Term(product=shelf["crimson circle"].pk), Term(product=shelf["seagreen circle"].pk)))

    assert names(both)[0] == "royalblue circle"
    assert not {"crimson circle", "seagreen circle"} & set(names(both))


def test_terms__a_negative_weight_looks_away(shelf: dict[str, Any]) -> None:
    like = Term(photo=factories.picture("crimson", "circle"))
    unlike = Term(product=shelf["crimson circle"].pk, weight=-0.9)

    assert names(Query(terms=(like,)))[0] == "crimson circle"
    found = names(Query(terms=(Term(product=shelf["crimson bar"].pk), unlike)))
    assert found[-1].endswith("circle")
    assert "crimson circle" not in found


def test_terms__a_product_without_a_vector_adds_nothing(shelf: dict[str, Any]) -> None:
    late = factories.product(name="late")
    known = Term(product=shelf["crimson circle"].pk)

    assert names(Query(terms=(known, Term(product=late.pk)))) == names(Query(product=shelf["crimson circle"].pk))
    assert answers.answer(Query(terms=(Term(product=late.pk), Term(product=late.pk, weight=2)))).state == "pending"


def test_region__is_the_part_that_counts(shelf: dict[str, Any]) -> None:
    canvas = Image.new("RGB", (400, 200), "white")
    canvas.paste(Image.open(io.BytesIO(factories.picture("crimson", "circle", size=200))), (0, 0))
    canvas.paste(Image.open(io.BytesIO(factories.picture("royalblue", "bar", size=200))), (200, 0))

    assert names(Query(terms=(Term(photo=canvas, region=(0, 0, 0.5, 1)),)))[0] == "crimson circle"
    assert names(Query(terms=(Term(photo=canvas, region=(0.5, 0, 1, 1)),)))[0] == "royalblue bar"
    with pytest.raises(exceptions.BadImage) as caught:
        names(Query(terms=(Term(photo=canvas, region=(0, 0, 0.01, 1)),)))
    assert caught.value.code == "image_too_small"


def test_exclude__never_comes_back(shelf: dict[str, Any]) -> None:
    first, second, *others = names(Query(product=shelf["crimson circle"].pk))

    found = names(Query(product=shelf["crimson circle"].pk, exclude=[shelf[first].pk]))

    assert found == [second, *others]


def test_group__only_the_nearest_variant_is_shown(shelf: dict[str, Any]) -> None:
    for number, product in enumerate(shelf.values()):
        product.price = number // 3  # all circles are one article, all bars another
        product.save()
    with using("Grouped"):
        found = names(Query(product=shelf["crimson circle"].pk, limit=2))
        everything = names(Query(product=shelf["crimson circle"].pk))

    assert len(found) == len(everything) == 2
    assert {name.split()[1] for name in found} == {"circle", "bar"}


def test_per_seller__caps_and_still_fills_the_page(shelf: dict[str, Any]) -> None:
    for number in range(40):
        factories.product(name=f"crowd {number}", pictures=[factories.picture("crimson", "circle", size=97 + number)])
    factories.embed()
    with using("Sellers"):
        found = names(Query(product=shelf["crimson circle"].pk, limit=6, per_seller=2))

    # "c" sells crimson things and the crowd; "s" and "r" sell the others.
    assert len(found) == 6
    assert sum(name[0] == "c" for name in found) == 2


def test_diversity__takes_what_differs(shelf: dict[str, Any]) -> None:
    for number in range(6):
        factories.product(name=f"twin {number}", pictures=[factories.picture("crimson", "circle", size=97 + number)])
    factories.embed()
    plain = names(Query(product=shelf["crimson circle"].pk, limit=4))
    diverse = names(Query(product=shelf["crimson circle"].pk, limit=4, diversity=0.7))

    assert all(name.startswith("twin") for name in plain)
    assert diverse[0].startswith("twin")
    assert sum(name.startswith("twin") for name in diverse) < 4
    assert names(Query(product=shelf["crimson circle"].pk, limit=4, diversity=0.0)) == plain


def test_answer__says_how_the_page_was_found(shelf: dict[str, Any]) -> None:
    plain = answers.answer(Query(product=shelf["crimson bar"].pk))
    explained = answers.answer(Query(product=shelf["crimson bar"].pk), explain=True)

    assert plain.plan is not None
    assert explained.plan is not None
    assert (plain.plan.explained, plain.plan.attempts[0].exact) == (None, True)
    assert explained.plan.explained[0]["Execution Time"] > 0
    assert explained.products == plain.products


def test_answer__follows_the_live_index_at_once(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson bar"].pk)
    first = answers.answer(query).index
    other = lifecycle.create()
    factories.embed()
    other.refresh_from_db()

    lifecycle.activate(other, force=True)
    assert live._kept is not None
    assert answers.answer(query).index == other.pk != first
    lifecycle.rollback()
    assert answers.answer(query).index == first


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"product": 1, "photo": b"x"},
        {"terms": (Term(product=1),), "product": 1},
        {"product": 1, "diversity": 1.5},
        {"product": 1, "per_seller": 0},
    ],
)
def test_query__that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidQuery):
        Query(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"product": 1, "weight": 0},
        {"product": 1, "weight": float("nan")},
        {"product": 1, "region": (0, 0, 1, 1)},
        {"photo": b"x", "region": (0.5, 0, 0.5, 1)},
    ],
)
def test_term__that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidQuery):
        Term(**wrong)


def test_query__looking_away_only() -> None:
    with pytest.raises(exceptions.InvalidQuery, match="positive"):
        Query(terms=(Term(product=1, weight=-1),))
