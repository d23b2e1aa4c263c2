from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from example_shop.catalogue.models import Category, Variant
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> None:
    def add(name: str, category: str, brand: str, price: str | None, stock: int, **fields: Any) -> None:
        saved = None if price is None else Decimal(price)
        factories.product(
            name=name,
            category=category,
            brand=brand,
            price=saved,
            stock=stock,
            pictures=[],
            slug=name.lower(),
            **fields,
        )

    add("Ember", "Mugs", "Kiln", "12.00", 4)
    add("Frost", "Mugs", "Mudlark", "18.50", 0)
    add("Moor", "Rugs", "Loom", "140.00", 2, colour="heather")
    add("Fen", "Rugs", "Kiln", None, 9)
    add("Hidden", "Rugs", "Loom", "1.00", 9, is_public=False)


def listed(client: Client, query: str = "") -> list[str]:
    response = client.get("/" + query)
    assert response.status_code == 200
    listing = response.context["listing"]
    assert listing.page.paginator.count == len(listing.page.object_list)
    return [product.name for product in listing.page.object_list]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Fen", "Moor", "Frost", "Ember"]),
        ("?category=mugs", ["Frost", "Ember"]),
        ("?brand=Kiln", ["Fen", "Ember"]),
        ("?brand=Kiln&brand=Loom", ["Fen", "Moor", "Ember"]),
        ("?brand=Kiln&category=mugs", ["Ember"]),
        ("?price_min=18.50", ["Moor", "Frost"]),
        ("?price_max=18.50", ["Frost", "Ember"]),
        ("?price_min=13&price_max=100", ["Frost"]),
        ("?in_stock=on", ["Fen", "Moor", "Ember"]),
        ("?q=moor", ["Moor"]),
        ("?q=HEATHER+loom", ["Moor"]),
        ("?q=kiln+rugs", ["Fen"]),
        ("?q=nothing+of+the+kind", []),
        ("?sort=name", ["Ember", "Fen", "Frost", "Moor"]),
        ("?sort=price", ["Ember", "Frost", "Moor", "Fen"]),
        ("?sort=-price", ["Moor", "Frost", "Ember", "Fen"]),
    ],
)
def test_home__lists_what_the_filters_leave(client: Client, shop: None, query: str, names: list[str]) -> None:
    assert listed(client, query) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?price_min=cheap", ["Fen", "Moor", "Frost", "Ember"]),
        ("?price_max=-4", ["Fen", "Moor", "Frost", "Ember"]),
        ("?price_max=NaN", ["Fen", "Moor", "Frost", "Ember"]),
        ("?sort=beauty", ["Fen", "Moor", "Frost", "Ember"]),
        ("?q=a%00b", ["Fen", "Moor", "Frost", "Ember"]),
        ("?brand=%00&brand=Nobody", ["Fen", "Moor", "Frost", "Ember"]),
        ("?category=%00", []),
        ("?category=hats", []),
        ("?page=what", ["Fen", "Moor", "Frost", "Ember"]),
        ("?page=99", ["Fen", "Moor", "Frost", "Ember"]),
    ],
)
def test_home__of_parameters_that_make_no_sense(client: Client, shop: None, query: str, names: list[str]) -> None:
    assert listed(client, query) == names


def test_home__counts_each_facet_beside_the_other_filters(client: Client, shop: None) -> None:
    listing = client.get("/?category=rugs&in_stock=on").context["listing"]
    assert [(facet.label, facet.count, facet.chosen) for facet in listing.categories] == [
        ("Mugs", 1, False),
        ("Rugs", 2, True),
    ]
    assert [(facet.label, facet.count) for facet in listing.brands] == [("Kiln", 1), ("Loom", 1)]


def test_home__chips_take_one_filter_away_and_go_back_to_the_first_page(client: Client, shop: None) -> None:
    query = "?q=m&category=rugs&brand=Loom&price_min=2&price_max=900&in_stock=on&sort=name&page=3"
    chips = client.get("/" + query).context["listing"].chips
    assert {chip.label: chip.query for chip in chips} == {
        "“m”": "category=rugs&brand=Loom&price_min=2&price_max=900&in_stock=on&sort=name",
        "Rugs": "q=m&brand=Loom&price_min=2&price_max=900&in_stock=on&sort=name",
        "Loom": "q=m&category=rugs&price_min=2&price_max=900&in_stock=on&sort=name",
        "from £2": "q=m&category=rugs&brand=Loom&price_max=900&in_stock=on&sort=name",
        "up to £900": "q=m&category=rugs&brand=Loom&price_min=2&in_stock=on&sort=name",
        "in stock": "q=m&category=rugs&brand=Loom&price_min=2&price_max=900&sort=name",
    }


def test_home__says_what_is_wrong_with_a_price(client: Client, shop: None) -> None:
    assert "From: Enter a number." in client.get("/?price_min=cheap").content.decode()


def test_home__without_results_offers_a_way_out(client: Client, shop: None) -> None:
    text = client.get("/?q=xyzzy").content.decode()
    assert "Nothing here matches all of that" in text
    assert "0 products" in text


def test_home__escapes_what_was_asked(client: Client, shop: None) -> None:
    text = client.get("/?q=" + quote('"><script>alert(1)</script>')).content.decode()
    assert "<script>alert" not in text


def test_home__pages_keep_the_filters(client: Client) -> None:
    for _ in range(25):
        factories.product(brand="Kiln", pictures=[])
    first = client.get("/?brand=Kiln&sort=name")
    assert len(first.context["listing"].page.object_list) == 24
    assert 'href="?brand=Kiln&amp;sort=name&amp;page=2"' in first.content.decode()
    second = client.get("/?brand=Kiln&sort=name&page=2")
    assert len(second.context["listing"].page.object_list) == 1
    shown = {product.pk for response in (first, second) for product in response.context["listing"].page.object_list}
    assert len(shown) == 25


def test_home__takes_three_queries_however_many_products(client: Client, django_assert_num_queries: Any) -> None:
    factories.product()
    with django_assert_num_queries(3):
        client.get("/")
    for number in range(30):
        factories.product(brand=f"Brand {number % 7}", category=f"Kind{number % 5}", pictures=[factories.picture()] * 2)
    with django_assert_num_queries(3):
        client.get("/")
    with django_assert_num_queries(3):
        client.get("/?q=product&brand=Brand+1&in_stock=on&price_min=1&sort=price")


def test_product__shows_its_pictures_variants_and_facts(client: Client) -> None:
    product = factories.product(
        name="Ember Mug",
        brand="Kiln & Co",
        price=Decimal("1234.50"),
        stock=1,
        description="Warm.\n\nRound.",
        pictures=[factories.picture(), factories.picture("teal")],
    )
    Variant.objects.create(product=product, sku="EMBER-SAND", colour="Sand", price=None, stock=0)
    text = client.get(product.get_absolute_url()).content.decode()
    pictures = [image.image.url for image in product.images.all()]
    assert all(f'src="{url}"' in text for url in pictures)
    for part in (
        "£1,234.50",
        "Only 1 left",
        "<p>Warm.</p>",
        "?brand=Kiln%20%26%20Co",
        "Sand",
        "sold out",
        "Price on request",
        reverse("visual_search:similar", args=[product.pk]),
    ):
        assert part in text


def test_product__is_a_404_where_it_is_hidden_or_unknown(client: Client) -> None:
    hidden = factories.product(is_public=False, pictures=[])
    for address in (hidden.get_absolute_url(), "/products/99999999/", "/products/99999999999999999999999/"):
        response = client.get(address)
        assert response.status_code == 404
        assert "We looked everywhere" in response.content.decode()


def test_product__takes_no_more_queries_however_much_is_similar(client: Client, embed: Callable[[], Any]) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text = client.get(product.get_absolute_url()).content.decode()
        assert text.count('class="card"') == shown
        return len(captured)

    product, _ = factories.product(), factories.product()
    embed()
    shown = 1
    few = queries()
    for _ in range(6):
        factories.product(pictures=[factories.picture("teal"), factories.picture("gold", "bar")])
    embed()
    shown = 6
    assert queries() <= few  # the first one also reads what is kept of the index


def test_pages__all_offer_the_photo_search(client: Client) -> None:
    product = factories.product()
    for address in ("/", product.get_absolute_url(), reverse("visual_search:photo"), "/nowhere/"):
        text = client.get(address).content.decode()
        assert f'enctype="multipart/form-data" action="{reverse("visual_search:photo")}"' in text
        assert "csrfmiddlewaretoken" in text
        assert 'name="photo"' in text


def test_visual_search_pages__look_like_the_shop(client: Client, embed: Callable[[], Any]) -> None:
    product, other = factories.product(), factories.product(name="Frost Mug")
    embed()
    text = client.get(reverse("visual_search:similar", args=[product.pk])).content.decode()
    assert "Hearth <i>&amp;</i> Thread" in text
    assert 'class="card"' in text
    assert f'href="{other.get_absolute_url()}" data-visual-search-event="' in text


def test_pages__have_no_inline_styles_or_scripts(client: Client) -> None:
    product = factories.product()
    for address in ("/", product.get_absolute_url(), "/nowhere/", reverse("visual_search:photo")):
        text = client.get(address).content.decode()
        assert " style=" not in text
        assert text.count("<script") == text.count('<script type="module" src="/static/')


def test_category__leads_to_its_products(client: Client, shop: None) -> None:
    address = Category.objects.get(name="Mugs").get_absolute_url()
    assert address == "/?category=mugs"
    assert listed(client, address[1:]) == ["Frost", "Ember"]
