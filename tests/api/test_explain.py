from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from rest_framework.test import APIClient

from visual_search.models import SearchIndex


@pytest.fixture
def analyst(client: APIClient, db: None) -> APIClient:
    user = User.objects.create_user("analyst")
    user.user_permissions.add(Permission.objects.get(codename="view_analytics"))
    client.force_login(user)
    return client


def url(query: Any, result: Any) -> str:
    return reverse("visual_search_api:explain", args=[query, result])


def test_explain__has_its_address() -> None:
    assert url(1, 2) == "/api/visual-search/v1/products/1/explain/2/"


def test_explain__says_where_the_similarity_comes_from(analyst: APIClient, shop: SimpleNamespace) -> None:
    response = analyst.get(url(shop.red.pk, shop.dark.pk))

    answer = response.json()
    assert response.status_code == 200, answer
    assert response.headers["Cache-Control"] == "private, no-store"
    assert answer["part"] == "tiny"
    for side in ("query", "result"):
        assert np.array(answer[side]["heat"]).shape == (4, 4)
        assert np.sum(answer[side]["heat"]) == pytest.approx(answer["similarity"], abs=1e-3)
        assert answer[side]["seen"] == [0, 0, 1, 1]
        assert set(answer[side]["image"]) == {"key", "url", "alt"}


def test_explain__is_for_those_who_may_see_the_analytics(client: APIClient, shop: SimpleNamespace) -> None:
    stranger = client.get(url(shop.red.pk, shop.dark.pk))
    client.force_login(User.objects.create_user("customer"))
    customer = client.get(url(shop.red.pk, shop.dark.pk))

    assert (stranger.status_code, stranger.json()["code"]) == (401, "not_authenticated")
    assert (customer.status_code, customer.json()["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("place", ["query", "result"])
def test_explain__knows_no_hidden_product(analyst: APIClient, shop: SimpleNamespace, place: str) -> None:
    keys = {"query": shop.red.pk, "result": shop.dark.pk, place: shop.hidden.pk}

    response = analyst.get(url(**keys))

    assert (response.status_code, response.json()["code"]) == (404, "product_not_found")


def test_explain__says_so_where_the_encoder_has_no_map(
    analyst: APIClient, shop: SimpleNamespace, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visual_search.encoders import tiny

    monkeypatch.delattr(tiny.TinyEncoder, "feature_map")

    response = analyst.get(url(shop.red.pk, shop.dark.pk))

    assert SearchIndex.objects.live() is not None
    assert (response.status_code, response.json()["code"]) == (422, "feature_map_unavailable")


def test_explain__takes_no_parameters(analyst: APIClient, shop: SimpleNamespace) -> None:
    response = analyst.get(url(shop.red.pk, shop.dark.pk) + "?limit=3")

    assert (response.status_code, response.json()["code"]) == (400, "unknown_parameter")
