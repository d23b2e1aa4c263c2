from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.template import Context, Template
from django.test import RequestFactory

from example_shop.catalogue.models import Product
from tests import factories
from visual_search import models

ASSETS = "{% visual_search_assets %}"
BUTTON = "{% find_similar_button product %}"
STRIP = "{% similar_products product %}"


@pytest.fixture
def shop(db: None, settings: Any) -> SimpleNamespace:
    # Without the shop's own cards.
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    shop = SimpleNamespace(
        red=factories.product(name="<i>Red</i>", brand="Anker", pictures=[factories.picture("crimson")]),
        dark=factories.product(name="<b>Dark</b>", price=12, pictures=[factories.picture("firebrick")]),
    )
    factories.embed()
    return shop


def render(text: str, *, request: Any = None, **context: Any) -> str:
    values = Context({"request": request or RequestFactory().get("/"), **context})
    return Template("{% load visual_search %}" + text).render(values)


def test_assets__are_a_stylesheet_and_a_module() -> None:
    assert render(ASSETS) == (
        '<link rel="stylesheet" href="/static/visual_search/visual_search.css">'
        '<script type="module" src="/static/visual_search/visual_search.js"></script>'
    )


@pytest.mark.parametrize("where", ["csp_nonce", "CSP_NONCE", "request"])
def test_assets__carry_the_pages_nonce(where: str) -> None:
    request = RequestFactory().get("/")
    if where == "request":
        request.csp_nonce = 'a"b'  # type: ignore[attr-defined]
        page = render(ASSETS, request=request)
    else:
        page = render(ASSETS, **{where: 'a"b'})

    assert page == (
        '<link rel="stylesheet" href="/static/visual_search/visual_search.css" nonce="a&quot;b">'
        '<script type="module" src="/static/visual_search/visual_search.js" nonce="a&quot;b"></script>'
    )


def test_find_similar_button__is_a_link_that_names_the_product(shop: SimpleNamespace) -> None:
    assert render(BUTTON, product=shop.red) == (
        f'<a class="vs-button vs-find-similar" href="/visual-search/products/{shop.red.pk}/" rel="nofollow">'
        'Find similar <span class="vs-hidden">to &lt;i&gt;Red&lt;/i&gt;</span></a>\n'
    )


def test_find_similar_button__is_nothing_without_the_page(shop: SimpleNamespace, settings: Any) -> None:
    settings.ROOT_URLCONF = "visual_search.api.urls"

    assert render(BUTTON, product=shop.red) == ""


def test_find_similar_button__is_nothing_without_a_picture(shop: SimpleNamespace) -> None:
    factories.product(name="Bare", pictures=[])

    shown = {each.name: render(BUTTON, product=each) for each in Product.objects.prefetch_related("images")}

    assert [name for name, page in shown.items() if page] == ["<b>Dark</b>", "<i>Red</i>"]
    assert shown["Bare"] == ""


def test_find_similar_button__never_takes_a_query(
    shop: SimpleNamespace, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.product(pictures=[])
    plain, fetched = Product.objects.all(), Product.objects.prefetch_related("images")
    others = Product.objects.prefetch_related("variants")
    shown = []

    for products in map(list, (plain, fetched)):
        with django_assert_num_queries(0):
            shown.append(sum(bool(render(BUTTON, product=each)) for each in products))
    with monkeypatch.context() as patched:
        products = list(others)
        patched.setattr("django.db.backends.utils.CursorWrapper._execute", lambda *_: pytest.fail("a query"))
        shown.append(sum(bool(render(BUTTON, product=each)) for each in products))

    assert shown == [3, 2, 3]


@pytest.mark.parametrize("fails", ["before", "in its own hands", "in ours"])
def test_find_similar_button__of_a_product_whose_pictures_can_not_be_told(
    shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    def images(catalog: Any, product: Any) -> Any:
        if fails == "before":
            raise ZeroDivisionError
        try:
            return list(product.images.all())
        except LookupError:
            return [] if fails == "in its own hands" else 1 / 0

    monkeypatch.setattr("example_shop.catalogue.visual_search.ShopCatalog.images", images)
    red = Product.objects.prefetch_related("variants").get(pk=shop.red.pk)

    assert f'href="/visual-search/products/{red.pk}/"' in render(BUTTON, product=red)
    assert ("images() failed" in caplog.text) == (fails == "before")


class Nameless:
    """A product that can't say its name."""

    def __init__(self, key: Any) -> None:
        self.pk = key

    def __str__(self) -> str:
        raise ZeroDivisionError


class Keyless:
    @property
    def pk(self) -> int:
        raise ZeroDivisionError


def test_find_similar_button__of_a_product_without_a_name(
    shop: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    page = render(BUTTON, product=Nameless(shop.red.pk))

    assert f'href="/visual-search/products/{shop.red.pk}/"' in page
    assert f"to {shop.red.pk}</span>" in page
    assert f"title() failed for product {shop.red.pk}" in caplog.text


@pytest.mark.parametrize("text", [BUTTON, STRIP])
@pytest.mark.parametrize(
    "given",
    [{}, {"product": None}, {"product": ""}, {"product": Keyless()}],
    ids=["undefined", "none", "empty", "keyless"],
)
def test_tags__of_no_product_at_all(
    shop: SimpleNamespace, caplog: pytest.LogCaptureFixture, text: str, given: dict[str, Any]
) -> None:
    assert render(f"before {text} after", **given) == "before  after"
    assert "could not be shown" in caplog.text


def test_card__of_a_product_that_the_catalog_can_not_describe(
    shop: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    text = "{% visual_search_card product as card %}{{ card.title }}|{{ card.url }}|{{ card.price }}|{{ card.picture }}"

    assert render(text, product=Nameless(7)) == "7||None|"
    assert "title() failed for product 7" in caplog.text
    assert "thumbnail() failed for product 7" in caplog.text


def test_similar_products__is_a_section_of_cards(shop: SimpleNamespace) -> None:
    page = render(STRIP, product=shop.red)

    assert f'aria-labelledby="vs-similar-{shop.red.pk}"' in page
    assert "You may also like the look of" in page
    assert page.count("<li>") == 1
    assert f'<a href="/products/{shop.dark.pk}/">&lt;b&gt;Dark&lt;/b&gt;</a>' in page
    assert f'src="{shop.dark.images.get().image.url}"' in page
    assert '<p class="vs-price">12.00</p>' in page


def test_similar_products__takes_a_limit_and_a_heading(shop: SimpleNamespace) -> None:
    factories.product()
    factories.embed()

    page = render("{% similar_products product limit=1 heading=more %}", product=shop.red, more="More & more")

    assert page.count("<li>") == 1
    assert "More &amp; more" in page


def test_similar_products__records_only_where_asked(shop: SimpleNamespace) -> None:
    silent = render(STRIP, product=shop.red)
    assert models.SearchEvent.objects.count() == 0

    counted = render("{% similar_products product record=True %}", product=shop.red)

    search = models.SearchEvent.objects.get()
    assert "data-visual-search" not in silent
    assert f'data-visual-search-event="{search.pk}:{shop.dark.pk}"' in counted
    assert 'data-visual-search-events="/api/visual-search/v1/events/"' in counted


def test_similar_products__is_nothing_where_there_is_nothing(shop: SimpleNamespace) -> None:
    shop.dark.delete()

    assert render(STRIP, product=shop.red) == ""
    assert render(STRIP, product=factories.product()) == ""


@pytest.mark.parametrize("unusable", [SimpleNamespace(pk="a"), SimpleNamespace(pk=None)])
def test_similar_products__never_breaks_the_page(
    shop: SimpleNamespace, unusable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert render(STRIP, product=unusable) == ""
    assert "could not be shown" in caplog.text
    assert Product.objects.count() == 2


def test_similar_products__does_not_poison_the_shops_transaction(
    shop: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic():
        shop.red.name = "Renamed"
        shop.red.save()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE visual_search_productembedding RENAME TO gone")
        assert render(STRIP, product=shop.red) == ""
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO visual_search_productembedding")

    assert "does not exist" in caplog.text
    assert Product.objects.get(pk=shop.red.pk).name == "Renamed"
    assert "&lt;b&gt;Dark&lt;/b&gt;" in render(STRIP, product=shop.red)


def test_similar_products__takes_a_constant_number_of_queries(
    shop: SimpleNamespace, django_assert_max_num_queries: Any
) -> None:
    for _ in range(6):
        factories.product()
    factories.embed()
    render(STRIP, product=shop.red)

    with django_assert_max_num_queries(10):
        assert render(STRIP, product=shop.red).count("<li>") == 6


def test_card__falls_back_to_the_thumbnail(shop: SimpleNamespace) -> None:
    text = "{% visual_search_card product as card %}{{ card.title }}|{{ card.brand }}|{{ card.picture }}"

    assert render(text, product=shop.red) == f"&lt;i&gt;Red&lt;/i&gt;|Anker|{shop.red.images.get().image.url}"
    shop.red.images.all().delete()
    assert render(text, product=Product.objects.get(pk=shop.red.pk)) == "&lt;i&gt;Red&lt;/i&gt;|Anker|"
