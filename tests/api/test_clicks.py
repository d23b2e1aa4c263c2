from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from rest_framework.test import APIClient

from visual_search import models

URL = "/api/visual-search/v1/events/"
UNKNOWN = {"code": "event_unknown", "detail": "No such search showed this product."}


@pytest.fixture
def search(client: APIClient, shop: SimpleNamespace) -> str:
    """Return the key of a search that showed the dark and the blue product."""
    return str(client.get(reverse("visual_search_api:similar", args=[shop.red.pk])).json()["search"])


def clicked() -> list[int]:
    return list(models.ResultEvent.objects.filter(clicked_at__isnull=False).values_list("product_id", flat=True))


def test_clicks__has_its_address() -> None:
    assert reverse("visual_search_api:events") == URL


def test_clicks__records_the_first_one_only(client: APIClient, shop: SimpleNamespace, search: str) -> None:
    first = client.post(URL, {"search": search, "product": shop.dark.pk}, format="json")
    at = models.ResultEvent.objects.get(product=shop.dark).clicked_at
    second = client.post(URL, {"search": search, "product": str(shop.dark.pk)}, format="json")

    assert [(answer.status_code, answer.content) for answer in (first, second)] == [(204, b"")] * 2
    assert clicked() == [shop.dark.pk]
    assert models.ResultEvent.objects.get(product=shop.dark).clicked_at == at


def test_clicks__needs_no_csrf_token_of_a_customer(shop: SimpleNamespace, search: str) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("customer"))

    assert client.post(URL, {"search": search, "product": shop.blue.pk}, format="json").status_code == 204
    assert clicked() == [shop.blue.pk]


@pytest.mark.parametrize("header", ["HTTP_SEC_GPC", "HTTP_DNT"])
def test_clicks__are_not_recorded_for_a_browser_that_declines(
    client: APIClient, shop: SimpleNamespace, search: str, header: str
) -> None:
    response = client.post(URL, {"search": search, "product": shop.dark.pk}, format="json", **{header: "1"})

    assert response.status_code == 204
    assert clicked() == []


def test_clicks__are_not_recorded_with_the_setting_off(
    client: APIClient, shop: SimpleNamespace, search: str, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "RECORD_EVENTS": False}

    response = client.post(URL, {"search": search, "product": shop.dark.pk}, format="json")

    assert response.status_code == 204
    assert clicked() == []


@pytest.mark.parametrize(
    "change",
    [
        {"search": str(uuid.uuid4())},
        {"search": "no uuid"},
        {"search": None},
        {"search": ["a"]},
        {"search": 7},
        {"product": 987654},
        {"product": 10**30},
        {"product": "a\0b"},
        {"product": {"a": 1}},
        {"product": None},
        {"product": True},
    ],
)
def test_clicks__knows_no_such_event(
    client: APIClient, shop: SimpleNamespace, search: str, change: dict[str, Any]
) -> None:
    response = client.post(URL, {"search": search, "product": shop.dark.pk} | change, format="json")

    assert (response.status_code, response.json()) == (404, UNKNOWN)
    assert clicked() == []


def test_clicks__knows_no_product_that_was_not_shown(client: APIClient, shop: SimpleNamespace, search: str) -> None:
    response = client.post(URL, {"search": search, "product": shop.red.pk}, format="json")

    assert (response.status_code, response.json()) == (404, UNKNOWN)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "parse_error"),
        (b"[]", "application/json", 400, "parse_error"),
        (b'"text"', "application/json", 400, "parse_error"),
        (b"\xff\xfe", "application/json", 400, "parse_error"),
        (b"[" * 100_000, "application/json", 400, "parse_error"),
        (b"NaN", "application/json", 400, "parse_error"),
        (b"", "application/json", 404, "event_unknown"),
        (b"search=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"search=1", "text/plain", 415, "unsupported_media_type"),
        (b" " * 3_000_000, "application/json", 413, "request_too_large"),
    ],
)
def test_clicks__refuses_a_request_that_it_can_not_read(
    client: APIClient, shop: SimpleNamespace, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = client.generic("POST", URL, body, content_type=content_type)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_clicks__are_not_fetched(client: APIClient, db: None) -> None:
    assert client.get(URL).json()["code"] == "method_not_allowed"
