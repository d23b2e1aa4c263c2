from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template import Context, Template
from django.test import Client, RequestFactory

from tests import factories
from visual_search import models

pytestmark = pytest.mark.django_db

API = "/api/visual-search/v1"


def test_api__answers_about_uuid_keys(client: Client) -> None:
    red = factories.product(name="Red", pictures=[factories.picture("crimson")])
    dark = factories.product(name="Dark", pictures=[factories.picture("firebrick")])
    factories.embed()

    similar = client.get(f"{API}/products/{red.pk}/similar/").json()
    found = client.post(f"{API}/search/", {"photo": SimpleUploadedFile("a.png", factories.picture())}).json()
    click = {"search": similar["search"], "product": str(dark.pk)}
    clicked = client.post(f"{API}/events/", click, content_type="application/json")

    assert isinstance(red.pk, uuid.UUID)
    assert [result["id"] for result in similar["results"]] == [str(dark.pk)]
    assert [result["id"] for result in found["results"]] == [str(red.pk), str(dark.pk)]
    assert clicked.status_code == 204
    assert models.ResultEvent.objects.get(clicked_at__isnull=False).product_id == dark.pk


@pytest.mark.parametrize("key", [uuid.UUID(int=0), "5", "no uuid", "%00"])
def test_api__knows_no_such_key(client: Client, key: object) -> None:
    response = client.get(f"{API}/products/{key}/similar/")

    assert (response.status_code, response.json()["code"]) == (404, "product_not_found")


def test_pages__show_products_with_uuid_keys(client: Client, settings: Any) -> None:
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    red, dark = factories.product(name="Red"), factories.product(name="Dark")
    factories.embed()

    page = client.get(f"/visual-search/products/{red.pk}/").content.decode()
    strip = Template("{% load visual_search %}{% similar_products product %}{% find_similar_button product %}").render(
        Context({"product": red, "request": RequestFactory().get("/")})
    )

    search = models.SearchEvent.objects.get()
    assert f'data-visual-search-event="{search.pk}:{dark.pk}"' in page
    assert "Dark" in strip
    assert f'href="/visual-search/products/{red.pk}/"' in strip
