from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db


def test_products__are_listed_with_a_picture_in_a_constant_number_of_queries(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    products = [factories.product(stock=number % 2) for number in range(12)]
    with django_assert_max_num_queries(12):
        text = admin_client.get(reverse("admin:catalogue_product_changelist")).content.decode()
    assert all(product.images.get().image.url in text for product in products)
    response = admin_client.get(reverse("admin:catalogue_product_changelist"), {"stock": "no"})
    assert {product.stock for product in response.context["cl"].queryset} == {0}


def test_product__can_be_changed_with_its_pictures(admin_client: Client) -> None:
    product = factories.product(description="Round.")
    address = reverse("admin:catalogue_product_change", args=[product.pk])
    assert product.images.get().image.url in admin_client.get(address).content.decode()
    picture = product.images.get()
    answer = admin_client.post(
        address,
        {
            "slug": product.slug,
            "name": "Another name",
            "category": product.category_id,
            "stock": 3,
            "is_public": "on",
            "images-TOTAL_FORMS": 1,
            "images-INITIAL_FORMS": 1,
            "images-0-id": picture.pk,
            "images-0-product": product.pk,
            "images-0-alt": "From above",
            "images-0-position": 0,
            "variants-TOTAL_FORMS": 0,
            "variants-INITIAL_FORMS": 0,
        },
    )
    assert answer.status_code == 302
    product.refresh_from_db()
    assert (product.name, product.images.get().alt) == ("Another name", "From above")


def test_categories__count_what_is_shown(admin_client: Client) -> None:
    factories.product(category="Mugs")
    factories.product(category="Mugs", is_public=False)
    response = admin_client.get(reverse("admin:catalogue_category_changelist"))
    assert [(category.name, category.shown) for category in response.context["cl"].queryset] == [("Mugs", 1)]
