from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse
from PIL import Image, ImageDraw
from rest_framework.test import APIClient

from tests import factories, watching
from visual_search import models

URL = "/api/visual-search/v1/regions/"


def bright_corner() -> bytes:
    image = Image.new("RGB", (128, 128), "#101010")
    ImageDraw.Draw(image).rectangle((4, 4, 60, 60), fill="#f0e0d0")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_regions__have_their_address() -> None:
    assert reverse("visual_search_api:regions") == URL


def test_regions__are_boxes_that_a_search_takes(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    response = client.post(URL, {"photo": photo(bright_corner())})

    (found,) = response.json()["regions"]
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "private, no-store"
    assert found["box"][2] < 0.7
    assert 0 < found["mass"] <= 1
    region = ",".join(str(share) for share in found["box"])
    searched = client.post(reverse("visual_search_api:photo"), {"photo": photo(bright_corner()), "region": region})
    assert searched.status_code == 200


def test_regions__are_none_before_the_first_index(client: APIClient, db: None, photo: Any) -> None:
    assert client.post(URL, {"photo": photo()}).json() == {"regions": []}


def test_regions__leave_no_event_and_no_file(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    client.post(URL, {"photo": photo(bright_corner())})  # the decoder's children start

    with watching.files() as created:
        client.post(URL, {"photo": photo(bright_corner())})

    assert created == []
    assert models.SearchEvent.objects.count() == 0


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({}, 400, "photo_missing"),
        ({"photo": b"no picture at all"}, 415, "image_format"),
        ({"photo": factories.picture(), "limit": "3"}, 400, "unknown_parameter"),
    ],
)
def test_regions__refuse_what_they_can_not_use(
    client: APIClient, shop: SimpleNamespace, photo: Any, sent: dict[str, Any], status: int, code: str
) -> None:
    files = {name: photo(value) if isinstance(value, bytes) else value for name, value in sent.items()}

    response = client.post(URL, files)

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_regions__are_throttled_with_the_photos(
    client: APIClient, shop: SimpleNamespace, photo: Any, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search_upload": "1/min"}}
    client.post(reverse("visual_search_api:photo"), {"photo": photo()})

    assert client.post(URL, {"photo": photo()}).status_code == 429
