from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache.backends.base import BaseCache
from django.db import OperationalError, connection
from django.db import models as models_of_django
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from example_shop.catalogue.models import Product
from tests import factories
from visual_search import models
from visual_search.api import views
from visual_search.asking import parameters

KNOWN = "limit, colour, diversity, text, without, category, brand, price_min, price_max, stock_min"


def url(key: object) -> str:
    return reverse("visual_search_api:similar", args=[key])


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [result["title"] for result in response.json()["results"]]


def test_similar__answers_products_in_rank_order(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.get(url(shop.red.pk))

    answer = response.json()
    image = shop.dark.images.get()
    first = answer["results"][0]
    assert answer["state"] == "ready"
    assert answer["search"] == str(models.SearchEvent.objects.get().pk)
    assert names(response) == ["dark", "blue"]
    assert answer["nothing_good"] is False
    assert 0.9 < first["similarity"] <= 1
    assert 0.97 <= first["probability"] <= 1
    assert first == {
        "id": shop.dark.pk,
        "title": "dark",
        "url": f"/products/{shop.dark.pk}/",
        "price": "20.00",
        "brand": "Boje",
        "category": "Discs",
        "thumbnail": image.image.url,
        "rank": 1,
        "similarity": round(first["similarity"], 4),
        "tier": "exact",
        "probability": round(first["probability"], 4),
        "matched_image": {"key": str(image.pk), "url": image.image.url, "alt": "Picture 0"},
        "matched_region": None,
    }
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_similar__records_what_was_shown(client: APIClient, shop: SimpleNamespace) -> None:
    client.get(url(shop.red.pk))

    search = models.SearchEvent.objects.get()
    assert (search.kind, search.index_id, search.product_id, search.results) == (
        "similar",
        shop.index.pk,
        shop.red.pk,
        2,
    )
    assert search.milliseconds > 0
    assert list(search.shown.order_by("position").values_list("product_id", "position", "clicked_at")) == [
        (shop.dark.pk, 1, None),
        (shop.blue.pk, 2, None),
    ]


@pytest.mark.parametrize("header", ["HTTP_SEC_GPC", "HTTP_DNT"])
def test_similar__records_nothing_for_a_browser_that_declines(
    client: APIClient, shop: SimpleNamespace, header: str
) -> None:
    answer = client.get(url(shop.red.pk), **{header: "1"}).json()

    assert answer["search"] is None
    assert len(answer["results"]) == 2
    assert models.SearchEvent.objects.count() == 0


def test_similar__takes_a_constant_number_of_queries(client: APIClient, shop: SimpleNamespace) -> None:
    for _ in range(6):
        factories.product()
    factories.embed()
    taken = []
    for limit in (1, 1, 8):
        with CaptureQueriesContext(connection) as queries:
            assert len(names(client.get(url(shop.red.pk), {"limit": limit}))) == limit
        taken.append(len(queries))

    # The first one also asks Postgres for an estimate, which is kept.
    assert taken[1:] == [6, 6]


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"limit": "1"}, ["dark"]),
        ({"brand": "Anker"}, ["blue"]),
        ({"category": "discs"}, ["dark"]),
        ({"price_min": "15", "price_max": "25"}, ["dark"]),
        ({"stock_min": "6"}, []),
        ({"brand": ""}, ["dark", "blue"]),
        ({"brand": "Anker' OR 1=1 --"}, []),
    ],
)
def test_similar__is_narrowed_by_the_catalogs_filters(
    client: APIClient, shop: SimpleNamespace, parameters: dict[str, str], found: list[str]
) -> None:
    Product.objects.filter(pk=shop.blue.pk).update(price=30)

    assert names(client.get(url(shop.red.pk), parameters)) == found


def test_similar__takes_diversity(client: APIClient, shop: SimpleNamespace) -> None:
    assert names(client.get(url(shop.red.pk), {"limit": 1, "diversity": "0"})) == ["dark"]
    factories.product(name="twin", pictures=[factories.picture("firebrick")])
    factories.embed()

    assert set(names(client.get(url(shop.red.pk), {"limit": 2, "diversity": ""}))) == {"dark", "twin"}
    assert "blue" in names(client.get(url(shop.red.pk), {"limit": 2, "diversity": "0.9"}))


def test_similar__knows_no_colour_of_an_index_without_such_a_part(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.get(url(shop.red.pk), {"colour": "0.5"})

    assert (response.status_code, response.json()["code"]) == (400, "knob_unavailable")


def test_similar__leaves_the_shops_own_filter_its_name(
    client: APIClient, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("example_shop.catalogue.visual_search.ShopCatalog.filters", {"colour": "colour"})
    Product.objects.filter(pk=shop.blue.pk).update(colour="0.5")

    assert names(client.get(url(shop.red.pk), {"colour": "0.5"})) == ["blue"]


def test_similar__asks_for_the_catalogs_products_once_though_filtered(client: APIClient, shop: SimpleNamespace) -> None:
    from visual_search.retrieval import gate
    from visual_search.retrieval.query import Query

    asked = {"brand": ["Anker"], "price_max": ["25"]}
    found = parameters.filters(RequestFactory().get("/"), asked)

    assert found == {"brand": "Anker", "price__lte": "25"}
    assert gate.of(Query(product=shop.red.pk, filters=found)).sql.count('FROM "catalogue_product"') == 1


def test_similar__filters_by_what_the_catalog_annotates(
    client: APIClient, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from example_shop.catalogue.visual_search import ShopCatalog

    shown = Product.objects.annotate(double=models_of_django.F("price") * 2)
    monkeypatch.setattr(ShopCatalog, "products", lambda self, request=None: shown)
    monkeypatch.setattr(ShopCatalog, "filters", {"double": "double"})

    assert names(client.get(url(shop.red.pk), {"double": "40"})) == ["dark"]


@pytest.mark.parametrize("hook", ["serialize", "images", "title", "url", "thumbnail"])
def test_similar__shows_a_product_that_the_catalog_can_not_describe(
    client: APIClient,
    shop: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    hook: str,
) -> None:
    from example_shop.catalogue.visual_search import ShopCatalog

    original = getattr(ShopCatalog, hook)

    def fails(self: ShopCatalog, product: Product) -> Any:
        return original(self, product) if product.pk != shop.dark.pk else 1 / 0

    monkeypatch.setattr(ShopCatalog, hook, fails)

    dark, blue = client.get(url(shop.red.pk)).json()["results"]

    described = {"id": shop.dark.pk, "title": "dark", "url": f"/products/{shop.dark.pk}/", "price": "20.00"}
    described |= {"title": str(shop.dark.pk)} if hook == "title" else {}
    described |= {"url": ""} if hook == "url" else {}
    assert {name: dark[name] for name in described} == described
    assert (dark["thumbnail"] == "") == (hook in ("images", "thumbnail"))
    assert (dark["matched_image"] is None) == (hook == "images")
    assert blue["title"] == "blue"
    assert f"failed for product {shop.dark.pk}" in caplog.text


def test_similar__is_unavailable_while_the_database_can_not_describe(
    client: APIClient, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: object, product: Product) -> str:
        raise OperationalError("connection lost")

    monkeypatch.setattr("example_shop.catalogue.visual_search.ShopCatalog.title", away)

    assert client.get(url(shop.red.pk)).status_code == 503


def test_similar__records_nothing_that_only_asks_for_headers(client: APIClient, shop: SimpleNamespace) -> None:
    assert client.head(url(shop.red.pk)).status_code == 200
    assert models.SearchEvent.objects.count() == 0


class Flags:
    """Filters that a boolean, a list and a null check stand behind."""

    filters = {"public": "is_public", "brands": "brand__in", "unpriced": "price__isnull"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("public=true", ["dark", "blue"]),
        ("public=false", []),
        ("brands=Boje&brands=Nobody", ["dark"]),
        ("unpriced=true", []),
        ("unpriced=FALSE", ["dark", "blue"]),
        ("unpriced=", ["dark", "blue"]),
    ],
)
def test_similar__filters_by_truth_and_by_lists(
    client: APIClient, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, query: str, found: list[str]
) -> None:
    from example_shop.catalogue.visual_search import ShopCatalog

    monkeypatch.setattr(ShopCatalog, "filters", Flags.filters)

    assert names(client.get(f"{url(shop.red.pk)}?{query}")) == found


@pytest.mark.parametrize(
    ("query", "code", "detail"),
    [
        ("limit=0", "invalid_limit", "limit is '0'; give one number from 1 to 48."),
        ("limit=49", "invalid_limit", "limit is '49'; give one number from 1 to 48."),
        ("limit=ten", "invalid_limit", "limit is 'ten'; give one number from 1 to 48."),
        ("limit=-1", "invalid_limit", "limit is '-1'; give one number from 1 to 48."),
        ("limit=1&limit=2", "invalid_limit", "limit is '1, 2'; give one number from 1 to 48."),
        ("limit=%D9%A3", "invalid_limit", "limit is '\u0663'; give one number from 1 to 48."),
        (
            "color=red",
            "unknown_parameter",
            f"There is no parameter 'color'; known are {KNOWN}.",
        ),
        (
            "_connector=OR%201=1",
            "unknown_parameter",
            f"There is no parameter '_connector'; known are {KNOWN}.",
        ),
        (
            "region=0,0,1,1",
            "unknown_parameter",
            f"There is no parameter 'region'; known are {KNOWN}.",
        ),
        ("diversity=high", "invalid_share", "diversity is 'high'; give one number from 0 to 1."),
        ("diversity=1.5", "invalid_share", "diversity is '1.5'; give one number from 0 to 1."),
        ("diversity=nan", "invalid_share", "diversity is 'nan'; give one number from 0 to 1."),
        ("diversity=0&diversity=1", "invalid_share", "diversity is '0, 1'; give one number from 0 to 1."),
        ("colour=-0.1", "invalid_share", "colour is '-0.1'; give one number from 0 to 1."),
        ("price_min=cheap", "invalid_filter", "price_min can't be 'cheap'; give one value of its type."),
        ("stock_min=some", "invalid_filter", "stock_min can't be 'some'; give one value of its type."),
        ("brand=a%00b", "invalid_filter", "brand can't be ['a\\x00b']; give one value of its type."),
        ("brand=a&brand=b", "invalid_filter", "brand can't be ['a', 'b']; give one value of its type."),
        ("price_min=1e999999", "invalid_filter", "A value of price_min is out of range."),
    ],
)
def test_similar__refuses_a_parameter(
    client: APIClient, shop: SimpleNamespace, query: str, code: str, detail: str
) -> None:
    response = client.get(f"{url(shop.red.pk)}?{query}")

    assert (response.status_code, response.json()) == (400, {"code": code, "detail": detail})
    assert response.headers["Cache-Control"] == "no-store"
    assert models.SearchEvent.objects.count() == 0


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "99999999999999999999999", "-1", "1e3"])
def test_similar__survives_a_number_that_is_odd(client: APIClient, shop: SimpleNamespace, value: str) -> None:
    response = client.get(url(shop.red.pk), {"price_min": value})

    assert response.status_code in (200, 400), response.json()


@pytest.mark.parametrize("key", ["0", "-1", "99999999999999999999999", "nothing", "1e3", "%00", "1 OR 1=1", "\u0663"])
def test_similar__knows_no_such_product(client: APIClient, shop: SimpleNamespace, key: str) -> None:
    response = client.get(url("PLACE").replace("PLACE", key))

    assert (response.status_code, response.json()) == (
        404,
        {"code": "product_not_found", "detail": "There is no such product. Check its key."},
    )


def test_similar__says_the_same_of_a_hidden_product(client: APIClient, shop: SimpleNamespace) -> None:
    unknown, hidden = client.get(url(987654)), client.get(url(shop.hidden.pk))

    assert (hidden.status_code, hidden.content) == (unknown.status_code, unknown.content)


def test_similar__is_pending_until_the_product_is_embedded(client: APIClient, shop: SimpleNamespace) -> None:
    new = factories.product(name="new")

    answer = client.get(url(new.pk)).json()

    search = str(models.SearchEvent.objects.get().pk)
    assert answer == {"state": "pending", "nothing_good": False, "some_words": False, "search": search, "results": []}


def test_similar__is_unavailable_without_a_picture(client: APIClient, shop: SimpleNamespace) -> None:
    bare = factories.product(name="bare", pictures=[])
    factories.embed()

    assert client.get(url(bare.pk)).json()["state"] == "unavailable"


def test_similar__is_pending_before_the_first_index(client: APIClient, db: None) -> None:
    product = factories.product()

    answer = client.get(url(product.pk)).json()

    assert (answer["state"], answer["results"]) == ("pending", [])


def test_similar__does_not_answer_to_other_methods(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.post(url(shop.red.pk))

    assert (response.status_code, response.json()) == (
        405,
        {"code": "method_not_allowed", "detail": 'Method "POST" not allowed.'},
    )
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_similar__is_json_whatever_is_accepted(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.get(url(shop.red.pk), HTTP_ACCEPT="text/html, application/msword;q=0.9")

    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("credentials", ["Basic bm9ib2R5Ondyb25n", "Basic !!", "Token gone"])
def test_similar__takes_a_failed_login_for_a_stranger(
    client: APIClient, shop: SimpleNamespace, credentials: str
) -> None:
    response = client.get(url(shop.red.pk), HTTP_AUTHORIZATION=credentials)

    assert names(response) == ["dark", "blue"]


def test_similar__is_throttled_by_the_settings_rate(client: APIClient, shop: SimpleNamespace, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search": "2/min"}}
    answers = [client.get(url(shop.red.pk)) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    wait = answers[2].headers["Retry-After"]
    assert 1 <= int(wait) <= 60
    assert answers[2].json() == {"code": "throttled", "detail": f"Too many requests. Try again in {wait} s."}


def test_similar__is_throttled_by_the_projects_rate_first(
    client: APIClient, shop: SimpleNamespace, settings: Any
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"visual_search": "1/min"}}

    assert [client.get(url(shop.red.pk)).status_code for _ in range(2)] == [200, 429]


class AbsentCache(BaseCache):
    """A cache whose server is gone."""

    def __init__(self, location: str, parameters: dict[str, Any]) -> None:
        super().__init__(parameters)

    def get(self, *arguments: Any, **options: Any) -> None:
        raise ConnectionError("no cache")


def test_similar__goes_on_without_the_cache(
    client: APIClient, shop: SimpleNamespace, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = {"default": {"BACKEND": "tests.api.test_similar.AbsentCache"}}

    assert names(client.get(url(shop.red.pk))) == ["dark", "blue"]
    assert "not throttled" in caplog.text


def test_similar__is_unavailable_while_the_database_is_away(client: APIClient, shop: SimpleNamespace) -> None:
    def away(execute: Any, *arguments: Any) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(away):
        response = client.get(url(shop.red.pk))

    assert (response.status_code, response.json()) == (
        503,
        {
            "code": "database_unavailable",
            "detail": "The shop's database does not answer right now. Try again in some seconds.",
        },
    )
    assert response.headers["Retry-After"] == "10"


def test_similar__does_not_hide_a_fault_of_ours(
    client: APIClient, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(views.answers, "answer", broken)

    with pytest.raises(ZeroDivisionError):
        client.get(url(shop.red.pk))
