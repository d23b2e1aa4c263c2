from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests import factories
from visual_search import exceptions
from visual_search.retrieval import regions

pytestmark = pytest.mark.django_db


def photo() -> Image.Image:
    """Draw one bright thing in a corner of a dark photo: the tests' encoder takes brightness for activation."""
    image = Image.new("RGB", (128, 128), "#101010")
    ImageDraw.Draw(image).rectangle((4, 4, 60, 60), fill="#f0e0d0")
    return image


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_propose__finds_the_thing_on_a_photo(embed: Any) -> None:
    factories.product()
    embed()

    (found,) = regions.propose(encoded(photo()))

    left, top, right, bottom = found.box
    assert left < 0.1
    assert top < 0.1
    assert 0.4 < right < 0.7
    assert 0.4 < bottom < 0.7


def test_propose__takes_bytes_files_and_pictures(embed: Any) -> None:
    factories.product()
    embed()

    found = [regions.propose(each) for each in (encoded(photo()), io.BytesIO(encoded(photo())), photo())]

    assert found[0] == found[1] == found[2] != []


def test_propose__is_empty_before_there_is_a_live_index() -> None:
    assert regions.propose(encoded(photo())) == []


def test_propose__refuses_what_is_no_picture(embed: Any) -> None:
    factories.product()
    embed()

    with pytest.raises(exceptions.BadImage) as caught:
        regions.propose(b"no picture")

    assert caught.value.code == "image_format"
