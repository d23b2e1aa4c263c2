from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile

from visual_search.exceptions import BadImage
from visual_search.images import limits, source

SMALL = dataclasses.replace(limits.UPLOAD, max_bytes=100)


class Slow(io.RawIOBase):
    """A file that gives three bytes at a time, as a socket may."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(min(3, size))


@pytest.fixture
def stored(tmp_path: Path) -> FieldFile:
    """A storage file as a model's instance has it."""
    (tmp_path / "picture.png").write_bytes(b"pixels")

    class Field:
        storage = FileSystemStorage(location=tmp_path)
        name = attname = "picture"

    return FieldFile(None, Field(), "picture.png")  # type: ignore[arg-type]


def test_read__bytes_and_files() -> None:
    opened = io.BytesIO(b"pixels")
    opened.read()
    assert [source.read(file) for file in (b"pixels", bytearray(b"pixels"), opened)] == [b"pixels"] * 3
    assert not opened.closed


def test_read__storage_file_is_closed_again(stored: FieldFile) -> None:
    assert (source.read(stored), source.read(stored)) == (b"pixels", b"pixels")
    assert stored.closed


def test_read__file_that_gives_little_at_a_time() -> None:
    assert source.read(Slow(b"a" * 100), limits=SMALL) == b"a" * 100


@pytest.mark.parametrize("file", [b"a" * 101, io.BytesIO(b"a" * 101)])
def test_read__too_large(file: object) -> None:
    with pytest.raises(BadImage) as raised:
        source.read(file, limits=SMALL)
    assert raised.value.code == "image_too_large"


def test_read__stops_at_the_limit() -> None:
    endless = io.BytesIO(b"a" * 10_000)
    with pytest.raises(BadImage):
        source.read(endless, limits=SMALL)
    assert endless.tell() == 101


def test_read__empty() -> None:
    with pytest.raises(BadImage) as raised:
        source.read(io.BytesIO())
    assert raised.value.code == "image_empty"


def test_read__missing(stored: FieldFile) -> None:
    gone = FieldFile(None, stored.field, "gone.png")  # type: ignore[arg-type]
    none = FieldFile(None, stored.field, None)  # type: ignore[arg-type]
    codes = []
    for file in (gone, none, None):
        with pytest.raises(BadImage) as raised:
            source.read(file)
        codes.append(raised.value.code)
    assert codes == ["image_missing"] * 3


def test_sha256__known_value() -> None:
    assert source.sha256(b"pixels") == hashlib.sha256(b"pixels").hexdigest()
