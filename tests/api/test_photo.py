from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from PIL import Image
from rest_framework.test import APIClient

from tests import factories, watching
from visual_search import models

URL = "/api/visual-search/v1/search/"
PART = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n'


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [result["title"] for result in response.json()["results"]]


def test_photo__has_its_address() -> None:
    assert reverse("visual_search_api:photo") == URL


def test_photo__answers_products_in_rank_order(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    response = client.post(URL, {"photo": photo()})

    search = models.SearchEvent.objects.get()
    assert names(response) == ["red", "dark", "blue"]
    assert response.json()["state"] == "ready"
    assert response.json()["search"] == str(search.pk)
    assert [result["rank"] for result in response.json()["results"]] == [1, 2, 3]
    assert set(response.json()["results"][0]["matched_image"]) == {"key", "url", "alt"}
    assert response.headers["Cache-Control"] == "private, no-store"
    assert (search.kind, search.index_id, search.product_id, search.results) == ("photo", shop.index.pk, None, 3)


@pytest.mark.parametrize("place", ["query", "form"])
def test_photo__is_narrowed_by_limit_and_filters(
    client: APIClient, shop: SimpleNamespace, photo: Any, place: str
) -> None:
    asked = {"limit": "1", "brand": "Anker", "price_max": ""}
    if place == "query":
        response = client.post(f"{URL}?limit=1&brand=Anker&price_max=", {"photo": photo()})
    else:
        response = client.post(URL, {"photo": photo(), **asked})

    assert names(response) == ["red"]


def test_photo__is_pending_before_the_first_index(client: APIClient, db: None, photo: Any) -> None:
    assert client.post(URL, {"photo": photo()}).json()["state"] == "pending"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"no picture at all", 415, "image_format"),
        (b"%PDF-1.7 and so on", 415, "image_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "image_format"),
        (b"GIF89a\x01\x00\x01\x00", 415, "image_format"),
        (b"", 422, "image_empty"),
        (factories.picture()[:200], 422, "image_unreadable"),
        (factories.picture(size=8), 422, "image_too_small"),
        (b"\xff\xd8\xff" + b"\x00" * 500, 422, "image_unreadable"),
    ],
)
def test_photo__refuses_a_picture_that_it_can_not_use(
    client: APIClient, shop: SimpleNamespace, photo: Any, data: bytes, status: int, code: str
) -> None:
    response = client.post(URL, {"photo": photo(data)})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "detail"}
    assert len(response.json()["detail"]) > 20


@pytest.mark.parametrize(
    ("fields", "code", "detail"),
    [
        (
            [],
            "photo_missing",
            "There is no photo: send one file in the field 'photo' of a multipart form.",
        ),
        (
            ["picture"],
            "photo_missing",
            "There is no photo (there is a file in picture): send one file in the field 'photo' of a multipart form.",
        ),
        (["photo", "photo"], "photo_not_single", "There is more than one file: send one photo at a time."),
        (["photo", "other"], "photo_not_single", "There is more than one file: send one photo at a time."),
    ],
)
def test_photo__wants_one_photo(
    client: APIClient, shop: SimpleNamespace, photo: Any, fields: list[str], code: str, detail: str
) -> None:
    body: dict[str, Any] = {"limit": "3"}
    for field in fields:
        body.setdefault(field, []).append(photo())

    response = client.post(URL, body)

    assert (response.status_code, response.json()) == (400, {"code": code, "detail": detail})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_media_type"),
        (b"photo=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"\x89PNG", "image/png", 415, "unsupported_media_type"),
        (b"x", "multipart/form-data", 400, "parse_error"),
        (b"x", "multipart/form-data; boundary=", 400, "parse_error"),
        (b"no part at all", "multipart/form-data; boundary=x", 400, "photo_missing"),
        (b"", "multipart/form-data; boundary=x", 400, "photo_missing"),
        (PART + b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--",
         "multipart/form-data; boundary=x", 400, "parse_error"),
        (b'--x\r\nContent-Disposition: form-data; name="limit"\r\n\r\n' + b"9" * 3_000_000 + b"\r\n--x--",
         "multipart/form-data; boundary=x", 413, "request_too_large"),
        (b'--x\r\nContent-Disposition: form-data; name="limit"\r\n\r\n1\r\n' * 1200 + b"--x--",
         "multipart/form-data; boundary=x", 400, "parse_error"),
        ((PART + b"\r\n1\r\n") * 120 + b"--x--",
         "multipart/form-data; boundary=x", 400, "parse_error"),
    ],
)  # fmt: skip
def test_photo__refuses_a_request_that_it_can_not_read(
    client: APIClient, shop: SimpleNamespace, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = client.generic("POST", URL, body, content_type=content_type)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert set(response.json()) == {"code", "detail"}


def test_photo__counts_the_named_parts_only(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    halves = Image.new("RGB", (192, 96))
    for left, name in ((0, factories.picture("royalblue", "bar")), (96, factories.picture("firebrick"))):
        halves.paste(Image.open(io.BytesIO(name)), (left, 0))
    buffer = io.BytesIO()
    halves.save(buffer, "PNG")

    def first(*regions: str) -> str:
        return str(names(client.post(URL, {"photo": photo(buffer.getvalue()), "region": list(regions)}))[0])

    assert [first("0,0,0.5,1"), first(" 0.5, 0, 1, 1.0 ")] == ["blue", "dark"]
    assert first("0.5,0,1,1", "0.5,0,1,1") == "dark"


def test_photo__takes_diversity(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    assert names(client.post(URL, {"photo": photo(), "diversity": "1"}))[0] == "red"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("region", "0,0,1", "invalid_region"),
        ("region", "0,0,1,1,1", "invalid_region"),
        ("region", "0.5,0,0.5,1", "invalid_region"),
        ("region", "0,1,1,0", "invalid_region"),
        ("region", "0,0,2,1", "invalid_region"),
        ("region", "nan,0,1,1", "invalid_region"),
        ("region", "left", "invalid_region"),
        ("diversity", "2", "invalid_share"),
        ("colour", "0.5", "knob_unavailable"),
        ("limit", "none", "invalid_limit"),
        ("price_min", "cheap", "invalid_filter"),
        ("weights", "1", "unknown_parameter"),
    ],
)
def test_photo__refuses_a_parameter(
    client: APIClient, shop: SimpleNamespace, photo: Any, field: str, value: str, code: str
) -> None:
    for response in (
        client.post(URL, {"photo": photo(), field: value}),
        client.post(f"{URL}?{field}={value}", {"photo": photo()}),
    ):
        assert (response.status_code, response.json()["code"]) == (400, code)


def test_photo__has_a_few_parts_at_most(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    response = client.post(URL, {"photo": photo(), "region": ["0,0,1,1"] * 5})

    assert (response.status_code, response.json()) == (
        400,
        {"code": "invalid_region", "detail": "There are 5 regions; give 4 at most."},
    )


def test_photo__refuses_a_part_of_a_few_pixels(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    response = client.post(URL, {"photo": photo(), "region": "0,0,0.1,0.1"})

    assert (response.status_code, response.json()["code"]) == (422, "image_too_small")


def test_photo__is_not_fetched(client: APIClient, shop: SimpleNamespace) -> None:
    response = client.put(URL)

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_photo__takes_a_customer_without_a_csrf_token_for_a_stranger(shop: SimpleNamespace, photo: Any) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("customer"))

    assert names(client.post(URL, {"photo": photo()})) == ["red", "dark", "blue"]


def test_photo__is_throttled_on_its_own(client: APIClient, shop: SimpleNamespace, photo: Any, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search_upload": "1/min"}}

    answers = [client.post(URL, {"photo": photo()}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["code"] == "throttled"
    assert client.get(reverse("visual_search_api:similar", args=[shop.red.pk])).status_code == 200


def test_photo__is_unavailable_with_other_weights(
    client: APIClient, shop: SimpleNamespace, photo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    models.SearchIndex.objects.update(fingerprint="0" * 64)

    response = client.post(URL, {"photo": photo()})

    assert (response.status_code, response.json()) == (
        503,
        {
            "code": "encoder_unavailable",
            "detail": "Search by photo is not available right now. Try again in a minute.",
        },
    )
    assert response.headers["Retry-After"] == "60"
    assert "other weights" in caplog.text


def test_photo__is_unavailable_without_its_encoder(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    models.SearchIndex.objects.update(encoders=["timm:nothing_of_this_name"])

    response = client.post(URL, {"photo": photo()})

    assert (response.status_code, response.json()["code"]) == (503, "encoder_unavailable")
    assert "timm" not in response.json()["detail"]


def test_photo__of_six_megabytes_never_becomes_a_file(client: APIClient, shop: SimpleNamespace, photo: Any) -> None:
    upload = photo(factories.picture(kind="JPEG") + b"\0" * (6 * 2**20), "photo.jpg")

    with watching.files() as created:
        assert names(client.post(URL, {"photo": upload})) == ["red", "dark", "blue"]

    assert created == []


def test_photo__over_the_cap_is_refused(client: APIClient, shop: SimpleNamespace, photo: Any, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "UPLOAD_MAX_BYTES": 2**20}

    with watching.files() as created:
        response = client.post(URL, {"photo": photo(b"\xff\xd8\xff" + b"1" * 2**20)})

    assert (response.status_code, response.json()) == (
        413,
        {"code": "image_too_large", "detail": "The picture's file is larger than 1 MB. Choose a smaller one."},
    )
    assert created == []
