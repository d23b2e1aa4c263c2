from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings

import visual_search
from tests import factories
from visual_search import catalog, exceptions


class ShopCatalog(catalog.Catalog):
    image_models = {"catalogue.ProductImage": "product_id", "catalogue.Variant": "product__pk"}


def test_product_image__has_a_key_of_text() -> None:
    assert visual_search.ProductImage(key=5, file=None).key == "5"  # type: ignore[arg-type]
    assert visual_search.ProductImage(key="5", file=None).url == ""  # type: ignore[arg-type]


class Broken:
    """A file whose storage can't say where it is."""

    @property
    def url(self) -> str:
        raise ConnectionError("no storage")


def test_product_image__has_no_url_while_its_storage_is_away(caplog: pytest.LogCaptureFixture) -> None:
    assert visual_search.ProductImage(key=5, file=Broken()).url == ""  # type: ignore[arg-type]
    assert "could not say the address of picture 5" in caplog.text


@pytest.mark.parametrize("path", [None, 5, "", "os.sep", "tests.factories.COLOURS", "tests.test_catalog.Broken"])
def test_current__of_what_is_no_catalog(path: Any) -> None:
    with (
        override_settings(VISUAL_SEARCH={"PRODUCT_MODEL": "catalogue.Product", "CATALOG": path}),
        pytest.raises(exceptions.ConfigurationError, match=r"VISUAL_SEARCH\['CATALOG'\] is "),
    ):
        catalog.current()


def test_current__a_path_that_leads_nowhere() -> None:
    with (
        override_settings(VISUAL_SEARCH={"PRODUCT_MODEL": "catalogue.Product", "CATALOG": "nowhere.Catalog"}),
        pytest.raises(exceptions.ConfigurationError, match=r"nowhere\.Catalog"),
    ):
        catalog.current()


@pytest.mark.parametrize("label", ["shop.Nothing", "a.b.c", "Product", ".", "", None, 5])
def test_product_model__that_is_not_installed(label: Any) -> None:
    with (
        override_settings(VISUAL_SEARCH={"PRODUCT_MODEL": label}),
        pytest.raises(exceptions.ConfigurationError, match=re.escape(f"is {label!r}, which is no installed model")),
    ):
        catalog.product_model()


@pytest.mark.django_db
class TestSeparateImageModel:
    def test_images__in_their_order(self) -> None:
        product = factories.product(pictures=[factories.picture("teal"), factories.picture("crimson")])

        images = list(catalog.current().images(product))

        assert [image.key for image in images] == [str(row.pk) for row in product.images.all()]
        assert images[0].url.endswith(".png")
        with images[0].file.open() as file:
            assert file.read() == factories.picture("teal")

    def test_concerns__the_product_that_an_image_or_a_child_belongs_to(self) -> None:
        product = factories.product()
        variant = product.variants.create(sku="v1")
        shop = ShopCatalog()

        assert list(shop.concerns(product)) == [product.pk]
        assert list(shop.concerns(product.images.get())) == [product.pk]
        assert list(shop.concerns(variant)) == [product.pk]
        assert list(shop.concerns(product.category)) == []

    def test_concerns__a_path_may_end_at_the_product_itself(self) -> None:
        class Shop(catalog.Catalog):
            image_models = {"catalogue.ProductImage": "product"}

        product = factories.product()

        assert list(Shop().concerns(product.images.get())) == [product.pk]

    def test_products__join_what_cards_name_and_nothing_else(self, settings: Any) -> None:
        assert catalog.Catalog().products().query.select_related == {"category": {}}
        settings.VISUAL_SEARCH = factories.settings_with(PRODUCT_MODEL="catalogue.ProductImage")
        assert catalog.Catalog().products().query.select_related is False

    def test_category__of_several(self) -> None:
        categories = factories.product(category="Hats").category._meta.model.objects
        factories.product(category="Shoes")

        named = catalog.Catalog().category(SimpleNamespace(category=categories))

        assert {"Hats", "Shoes"} <= set(named.split(", "))

    def test_serialize__what_the_api_says(self) -> None:
        product = factories.product(name="Lamp", brand="Lumen", price="12.50", category="Lamps")

        assert catalog.Catalog().serialize(product) | {"thumbnail": ""} == {
            "id": product.pk,
            "title": "Lamp",
            "url": f"/products/{product.pk}/",
            "price": "12.50",
            "brand": "Lumen",
            "category": "Lamps",
            "thumbnail": "",
        }

    def test_thumbnail__of_a_product_without_pictures(self) -> None:
        product: Any = factories.product(pictures=[])

        assert catalog.current().thumbnail(product) == ""
        assert list(catalog.current().images(product)) == []
