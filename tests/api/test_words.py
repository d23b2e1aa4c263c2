from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests import factories
from visual_search import catalog, models

URL = "/api/visual-search/v1/search/"


class OwnText(catalog.Catalog):
    """A catalog with a filter that is called as a parameter of ours."""

    filters = {"text": "name__icontains"}


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [result["title"] for result in response.json()["results"]]


def test_words__answer_products_that_match(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.get(URL, {"text": "discs boje"})

    answer = response.json()
    assert names(response) == ["dark"]
    assert answer["results"][0] == {
        "id": shop.dark.pk,
        "title": "dark",
        "url": f"/products/{shop.dark.pk}/",
        "price": "20.00",
        "brand": "Boje",
        "category": "Discs",
        "thumbnail": shop.dark.images.get().image.url,
        "rank": 1,
        "similarity": None,
        "tier": None,
        "probability": None,
        "matched_image": None,
        "matched_region": None,
    }
    assert answer["state"] == "ready"
    assert response.headers["Cache-Control"] == "private, no-cache"
    search = models.SearchEvent.objects.get()
    assert (answer["search"], search.kind, search.results) == (str(search.pk), "text", 1)


@pytest.mark.parametrize(("text", "some"), [("discs boje", False), ("boje of suede", True)])
def test_words__say_where_some_of_them_had_to_do(
    client: APIClient, shop: SimpleNamespace, text: str, some: bool
) -> None:
    response = client.get(URL, {"text": text})

    assert (names(response), response.json()["some_words"]) == (["dark"], some)


def test_words__never_show_what_is_hidden(client: APIClient, shop: SimpleNamespace) -> None:
    assert names(client.get(URL, {"text": "hidden"})) == []
    assert sorted(names(client.get(URL, {"text": "product or discs or hidden or things"}))) == ["dark", "red"]


def test_words__take_the_other_parameters(client: APIClient, shop: SimpleNamespace) -> None:
    assert names(client.get(URL, {"text": "discs", "brand": "Anker"})) == ["red"]
    assert names(client.get(URL, {"text": "discs", "without": ["boje", "lamps"]})) == ["red"]
    assert len(names(client.get(URL, {"text": "discs", "limit": 1}))) == 1


def test_words__with_a_photo(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    response = client.post(URL, {"photo": photo(), "text": "bars"})

    assert set(names(response)) == {"red", "dark", "blue"}
    assert all(-1 <= result["similarity"] <= 1 for result in response.json()["results"])
    assert models.SearchEvent.objects.get().kind == "photo"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert set(names(client.post(URL, {"photo": photo(), "without": "bars"}))) == {"red", "dark"}


def test_words__may_be_posted_alone(client: APIClient, shop: SimpleNamespace) -> None:
    assert names(client.post(URL, {"text": "bars"})) == ["blue"]


def test_words__beside_a_product(client: APIClient, shop: SimpleNamespace) -> None:
    url = f"/api/visual-search/v1/products/{shop.red.pk}/similar/"

    assert names(client.get(url, {"text": "bars"}))[0] == "blue"
    assert names(client.get(url, {"without": "bars"})) == ["dark"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "words_missing"),
        ({"text": ""}, "words_missing"),
        ({"without": "red"}, "words_missing"),
        ({"text": "   "}, "words_unsearchable"),
        ({"text": "the"}, "words_unsearchable"),
        ({"text": "-red"}, "words_unsearchable"),
        ({"text": "x" * 201}, "words_too_long"),
        ({"text": ["red", "blue"]}, "words_not_single"),
        ({"text": "red", "region": "0,0,1,1"}, "unknown_parameter"),
    ],
)
def test_words__that_make_no_sense(client: APIClient, shop: SimpleNamespace, asked: dict[str, Any], code: str) -> None:
    response = client.get(URL, asked)

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_region__needs_its_photo_whatever_is_said(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.post(URL, {"text": "red", "region": "0,0,1,1"})

    assert (response.status_code, response.json()["code"]) == (400, "photo_missing")


def test_filter__that_is_called_text_keeps_its_name(client: APIClient, shop: SimpleNamespace, settings: Any) -> None:
    with override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "CATALOG": "tests.api.test_words.OwnText"}):
        url = f"/api/visual-search/v1/products/{shop.red.pk}/similar/"

        assert names(client.get(url, {"text": "blu"})) == ["blue"]


def test_words__take_a_constant_number_of_queries(client: APIClient, shop: SimpleNamespace) -> None:
    for number in range(8):
        factories.product(name=f"disc {number}", category="Discs")
    factories.embed()
    taken = []
    for limit in (1, 1, 8):
        with CaptureQueriesContext(connection) as queries:
            assert len(names(client.get(URL, {"text": "discs", "limit": limit}))) == limit
        taken.append(len(queries))

    # The first one also loads the live index, which is kept.
    assert taken[1] == taken[2]


def test_throttle__of_words_is_not_that_of_photos(client: APIClient, shop: SimpleNamespace, settings: Any) -> None:
    rates = {"visual_search": "3/min", "visual_search_upload": "1/min"}
    with override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "API_RATES": rates}):
        gets = [client.get(URL, {"text": "red"}).status_code for _ in range(4)]
        posts = [client.post(URL, {"text": "red"}).status_code for _ in range(2)]

    assert (gets, posts) == ([200, 200, 200, 429], [200, 429])
