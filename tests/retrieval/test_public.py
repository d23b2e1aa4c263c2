from __future__ import annotations

import io

import pytest
from django.db import connection, transaction
from PIL import Image

import visual_search
from tests import factories
from visual_search import catalog, exceptions

pytestmark = pytest.mark.django_db


def similar(product: object, **options: object) -> list[str]:
    return [found.name for found in visual_search.similar_to(product, **options)]


def test_similar_to__ranks_by_what_is_seen() -> None:
    red = factories.product(name="red", pictures=[factories.picture("crimson")])
    factories.product(name="blue", pictures=[factories.picture("royalblue", "bar")])
    factories.product(name="dark red", pictures=[factories.picture("firebrick")])
    factories.embed()

    found = visual_search.similar_to(red)

    assert [product.name for product in found] == ["dark red", "blue"]
    assert all(isinstance(product, catalog.product_model()) for product in found)
    assert found[0].similarity > found[1].similarity
    assert -1 <= found[1].similarity <= found[0].similarity <= 1
    assert isinstance(found[0].matched_image, visual_search.ProductImage)


def test_similar_to__takes_a_key() -> None:
    red = factories.product()
    other = factories.product(name="other")
    factories.embed()

    assert similar(red.pk) == [other.name]


def test_similar_to__is_narrowed_by_the_queryset_to_full_pages() -> None:
    red = factories.product(pictures=[factories.picture("crimson")])
    for number in range(30):
        factories.product(name=f"near {number}", price=100, pictures=[factories.picture("crimson", size=96 + number)])
    for number in range(5):
        factories.product(name=f"far {number}", price=5, pictures=[factories.picture("teal", "bar", size=96 + number)])
    factories.embed()

    cheap = catalog.product_model()._default_manager.filter(price__lt=50).exclude(pk=red.pk)

    assert sorted(similar(red, limit=5, queryset=cheap)) == [f"far {number}" for number in range(5)]
    assert len(similar(red, limit=12)) == 12


def test_similar_to__before_it_is_embedded() -> None:
    factories.product(name="first")
    factories.embed()
    late = factories.product(name="late")

    assert similar(late) == []


def test_similar_to__without_any_index() -> None:
    assert similar(factories.product()) == []


@pytest.mark.parametrize("limit", [0, 101, True, "5", None])
def test_similar_to__with_a_bad_limit(limit: object) -> None:
    with pytest.raises(exceptions.InvalidQuery, match="limit"):
        visual_search.similar_to(1, limit=limit)


def test_similar_to__with_a_sliced_queryset() -> None:
    sliced = catalog.product_model()._default_manager.all()[:5]

    with pytest.raises(exceptions.InvalidQuery, match="sliced"):
        visual_search.similar_to(1, queryset=sliced)


def test_similar_to__with_an_empty_queryset() -> None:
    product = factories.product()
    factories.embed()

    assert similar(product, queryset=catalog.product_model()._default_manager.none()) == []


def test_search__finds_the_photographed_product_in_every_form_of_a_photo() -> None:
    factories.product(name="green bar", pictures=[factories.picture("seagreen", "bar")])
    factories.product(name="red circle", pictures=[factories.picture("crimson", "circle")])
    factories.embed()
    data = factories.picture("seagreen", "bar", size=200, kind="JPEG")

    for photo in (data, io.BytesIO(data), Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data)).convert("CMYK")):
        found = visual_search.search(photo=photo)
        assert [product.name for product in found] == ["green bar", "red circle"]
        assert found[0].similarity > 0.9


def test_search__scores_are_cosines_of_the_uncentred_features() -> None:
    picture = factories.picture("goldenrod", "square")
    for number in range(25):
        factories.product(name=f"filler {number}", pictures=[factories.picture(size=96 + number)])
    factories.product(name="same", pictures=[picture])
    factories.embed()

    best = visual_search.search(photo=picture, limit=1)[0]

    assert best.name == "same"
    assert best.similarity == pytest.approx(1, abs=2e-3)


def test_search__with_what_is_no_picture() -> None:
    factories.product()
    factories.embed()

    with pytest.raises(exceptions.BadImage) as caught:
        visual_search.search(photo=b"GIF? no, nothing at all")

    assert caught.value.code == "image_format"


def test_search__without_a_photo() -> None:
    with pytest.raises(exceptions.InvalidQuery):
        visual_search.search(photo=None)


def test_nearest__leaves_the_shops_transaction_as_it_was() -> None:
    product = factories.product()
    factories.product()
    factories.embed()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        before = cursor.fetchone()
        catalog.product_model()._default_manager.filter(pk=product.pk).update(name="renamed")
        assert visual_search.similar_to(product) != []
        cursor.execute("SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        assert cursor.fetchone() == before
    product.refresh_from_db()
    assert product.name == "renamed"


def test_search__for_words_and_for_both(db: None) -> None:
    red = factories.product(name="boots", pictures=[factories.picture("crimson")])
    blue = factories.product(name="lamp", pictures=[factories.picture("royalblue")])
    factories.embed()

    assert visual_search.search(words="boot") == [red]
    assert visual_search.search(photo=factories.picture("royalblue"), words="boot", limit=2) in (
        [red, blue],
        [blue, red],
    )
    with pytest.raises(exceptions.InvalidQuery):
        visual_search.search()
