from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile
from django.test import RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils.datastructures import MultiValueDict

from tests import watching
from visual_search import exceptions
from visual_search.asking import uploads


class Counting(io.BytesIO):
    """A body that knows how far it was read."""

    furthest = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return data


def posted(*sizes: int, length: int | None = None) -> tuple[Any, Counting]:
    """Return a request with a photo of each of `sizes` bytes, and its body."""
    files = [SimpleUploadedFile(f"{number}.jpg", b"1" * size) for number, size in enumerate(sizes)]
    body = encode_multipart(BOUNDARY, {"limit": "3", "photo": files})
    stream = Counting(body)
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": MULTIPART_CONTENT,
        "CONTENT_LENGTH": str(length or len(body)),
        "wsgi.input": stream,
    }
    return RequestFactory().request(**environ), stream


def test_install__keeps_a_photo_in_memory() -> None:
    request, _ = posted(6 * 2**20)

    with watching.files() as created:
        uploads.install(request)
        photo = uploads.photo(request.FILES)

    assert isinstance(photo, InMemoryUploadedFile)
    assert (photo.name, photo.size, photo.read(3)) == ("0.jpg", 6 * 2**20, b"111")
    assert request.POST.dict() == {"limit": "3"}
    assert created == []


def test_install__is_what_keeps_it_there() -> None:
    request, _ = posted(6 * 2**20)

    with watching.files() as created:
        request.FILES["photo"].close()

    assert created[-1].endswith(".upload.jpg")


def test_install__refuses_a_body_by_its_length_unread() -> None:
    request, body = posted(11 * 2**20)
    uploads.install(request)

    with pytest.raises(exceptions.BadImage, match="larger than 10 MB") as refused:
        request.POST  # noqa: B018

    assert refused.value.code == "image_too_large"
    assert body.furthest == 0
    assert (request.POST.dict(), list(request.FILES)) == ({}, [])


@pytest.mark.parametrize("sizes", [(12 * 2**20,), (6 * 2**20, 6 * 2**20)])
def test_install__stops_to_read_at_the_cap(sizes: tuple[int, ...]) -> None:
    # Whoever sends it lies about its length.
    request, body = posted(*sizes, length=10 * 2**20 + uploads.ENVELOPE_BYTES)
    uploads.install(request)

    with pytest.raises(exceptions.BadImage) as refused:
        request.FILES  # noqa: B018

    assert refused.value.code == "image_too_large"
    assert body.furthest <= 10 * 2**20 + 2 * uploads.ENVELOPE_BYTES


def test_install__follows_the_setting(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "UPLOAD_MAX_BYTES": 1000}
    just_right, too_much = posted(1000)[0], posted(1001)[0]
    uploads.install(just_right)
    uploads.install(too_much)

    assert uploads.photo(just_right.FILES).size == 1000
    with pytest.raises(exceptions.BadImage):
        too_much.FILES  # noqa: B018


def test_install__comes_too_late_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    request, _ = posted(10)
    assert request.POST["limit"] == "3"

    uploads.install(request)

    assert uploads.photo(request.FILES).size == 10
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "A middleware read request.POST before /" in caplog.text


def test_install__says_nothing_of_a_request_without_a_photo(caplog: pytest.LogCaptureFixture) -> None:
    request = RequestFactory().get("/")
    assert request.POST.dict() == {}

    uploads.install(request)

    assert caplog.records == []


@pytest.mark.parametrize(
    ("files", "code"),
    [({}, "photo_missing"), ({"a": [1]}, "photo_missing"), ({"photo": [1, 2]}, "photo_not_single"),
     ({"photo": [1], "a": [2]}, "photo_not_single")],
)  # fmt: skip
def test_photo__wants_one_file(files: dict[str, Any], code: str) -> None:
    with pytest.raises(exceptions.InvalidQuery) as refused:
        uploads.photo(MultiValueDict(files))

    assert refused.value.code == code
