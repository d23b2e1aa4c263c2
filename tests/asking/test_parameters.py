from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Window
from django.db.models.functions import RowNumber
from django.test import RequestFactory

from tests import factories
from visual_search import catalog
from visual_search.asking import parameters
from visual_search.exceptions import InvalidQuery

pytestmark = pytest.mark.django_db


class ByWindow(type(catalog.current())):  # type: ignore[misc]
    """Shows the cheapest product of each brand."""

    def products(self, request: Any = None) -> Any:
        place = Window(RowNumber(), partition_by="brand", order_by="price")
        return super().products(request).annotate(place=place).filter(place=1)


class ByDistinct(type(catalog.current())):  # type: ignore[misc]
    def products(self, request: Any = None) -> Any:
        return super().products(request).order_by("brand", "price").distinct("brand")


class ByDistinctAlone(type(catalog.current())):  # type: ignore[misc]
    """Shows a product of each brand, and leaves to Postgres which one."""

    def products(self, request: Any = None) -> Any:
        return super().products(request).order_by().distinct("brand")


@pytest.mark.parametrize("name", ["ByWindow", "ByDistinct"])
def test_product__that_the_catalog_hides_among_others(settings: Any, name: str) -> None:
    factories.product(brand="Ember", price=10)
    factories.product(brand="Ember", price=20)
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG=f"tests.asking.test_parameters.{name}")
    request = RequestFactory().get("/")
    (shown,) = catalog.current().products()
    (hidden,) = catalog.product_model()._default_manager.exclude(pk=shown.pk)

    assert parameters.product(request, str(shown.pk)) == shown
    assert parameters.product_key(request, str(shown.pk)) == shown.pk
    for find in (parameters.product, parameters.product_key):
        with pytest.raises(InvalidQuery) as caught:
            find(request, str(hidden.pk))
        assert caught.value.code == "product_not_found"


def test_product__of_a_catalog_that_picks_without_an_order(settings: Any) -> None:
    product = factories.product(brand="Ember")
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG="tests.asking.test_parameters.ByDistinctAlone")

    assert parameters.product(RequestFactory().get("/"), str(product.pk)) == product
    assert parameters.product_key(RequestFactory().get("/"), str(product.pk)) == product.pk
