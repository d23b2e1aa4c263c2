from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from rest_framework.test import APIClient

API = "/api/visual-search/v1"
NAMES = ("limit", "colour", "diversity", "category", "brand", "price_min", "price_max", "stock_min", "pk", "_connector")
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
values = some.text(max_size=30) | some.integers().map(str) | some.floats().map(str) | some.decimals().map(str)
many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _unhurried(settings: Any) -> None:
    rates = {"visual_search": None, "visual_search_upload": None}
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": rates}


def assert_answered(response: Any, *allowed: int) -> None:
    assert response.status_code in allowed, response.content
    if response.status_code >= 400:
        assert set(response.json()) == {"code", "detail"}


@many
@given(query=some.dictionaries(some.sampled_from(NAMES) | some.text(max_size=10), values, max_size=3))
def test_similar__answers_any_parameters(client: APIClient, shop: SimpleNamespace, query: dict[str, str]) -> None:
    assert_answered(client.get(f"{API}/products/{shop.red.pk}/similar/", query), 200, 400)


@many
@given(key=some.text(min_size=1, max_size=30).filter(lambda text: not set(text) & set("/?#\n")))
def test_similar__answers_any_key(client: APIClient, shop: SimpleNamespace, key: str) -> None:
    response = client.get(f"{API}/products/{key.encode('utf-8', 'replace').decode()}/similar/")

    if response.headers["Content-Type"] == "application/json":
        assert_answered(response, 200, 404)
    else:
        assert response.status_code == 404  # no address of ours


@many
@given(body=JSON.map(json.dumps).map(str.encode) | some.binary(max_size=60))
def test_clicks__answer_any_body(client: APIClient, shop: SimpleNamespace, body: bytes) -> None:
    assert_answered(client.generic("POST", f"{API}/events/", body, "application/json"), 204, 400, 404)


@many
@given(head=some.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBP"]), rest=some.binary())
def test_photo__answers_any_file(
    client: APIClient, shop: SimpleNamespace, photo: Any, head: bytes, rest: bytes
) -> None:
    assert_answered(client.post(f"{API}/search/", {"photo": photo(head + rest)}), 415, 422)


@many
@given(body=some.binary(max_size=300))
def test_photo__answers_any_body(client: APIClient, shop: SimpleNamespace, body: bytes) -> None:
    response = client.generic("POST", f"{API}/search/", b"--x\r\n" + body, "multipart/form-data; boundary=x")

    assert_answered(response, 400)
