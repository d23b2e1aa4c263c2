from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.images import pictures
from visual_search.images import jpeg


def saved(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return file.getvalue()


def scene() -> Image.Image:
    return pictures.scene().resize((60, 40))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[274] = orientation
    return tags


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_plain__an_ordinary_jpeg(subsampling: str) -> None:
    assert jpeg.plain(saved(scene(), subsampling=subsampling)) == jpeg.Header(60, 40)


def test_plain__a_grey_one() -> None:
    assert jpeg.plain(saved(scene().convert("L"))) == jpeg.Header(60, 40)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_plain__says_how_it_lies(orientation: int) -> None:
    assert jpeg.plain(saved(scene(), exif=exif(orientation))) == jpeg.Header(60, 40, orientation)


def test_plain__what_follows_the_picture_is_not_looked_at() -> None:
    # A phone's second picture or video: decoders stop at the end of the first.
    assert jpeg.plain(saved(scene()) + saved(scene(), progressive=True)) == jpeg.Header(60, 40)


@pytest.mark.parametrize("nonsense", [0, 9, 70])
def test_plain__nonsense_in_exif_is_upright(nonsense: int) -> None:
    assert jpeg.plain(saved(scene(), exif=exif(nonsense))) == jpeg.Header(60, 40)


def test_plain__srgb_needs_no_conversion() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert jpeg.plain(saved(scene(), icc_profile=profile)) == jpeg.Header(60, 40)


def other(kind: str) -> bytes:
    plain = saved(scene())
    first = plain.index(b"\xff\xda")
    file = io.BytesIO()
    scene().save(file, "PNG")
    return {
        "progressive": saved(scene(), progressive=True),
        "cmyk": saved(scene().convert("CMYK")),
        "rgb": saved(scene(), keep_rgb=True),
        "profile": saved(scene(), icc_profile=b"\0" * 36 + b"acsp" + b"Display P3" + b"\0" * 90),
        "truncated": plain[:-40],
        "incomplete scan": b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00".join(plain.split(plain[first : first + 14])),
        "png": file.getvalue(),
        "header": plain[:100],
        "nothing": b"",
    }[kind]


@pytest.mark.parametrize(
    "kind", ["progressive", "cmyk", "rgb", "profile", "truncated", "incomplete scan", "png", "header", "nothing"]
)
def test_plain__anything_else_is_none(kind: str) -> None:
    assert jpeg.plain(other(kind)) is None


@given(st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_plain__of_a_damaged_file_says_what_pillow_does(data: st.DataObject) -> None:
    file = bytearray(saved(scene(), exif=exif(6)))
    for _ in range(data.draw(st.integers(1, 3))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    found = jpeg.plain(bytes(file))
    theirs = None
    with contextlib.suppress(Exception), Image.open(io.BytesIO(file)) as opened:
        theirs = opened.size
    if found is not None and theirs is not None:
        assert theirs == (found.width, found.height)


@given(st.binary(max_size=300))
def test_plain__of_noise(noise: bytes) -> None:
    jpeg.plain(noise)
    jpeg.plain(b"\xff\xd8" + noise)
    jpeg.plain(np.frombuffer(noise, np.uint8).tobytes() + b"\xff\xd9")
