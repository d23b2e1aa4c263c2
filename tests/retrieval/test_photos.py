from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.images import pictures
from visual_search.images import decode
from visual_search.retrieval import photos

SCENE = pictures.scene()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_picture__an_opened_file_is_turned_as_its_bytes_are(kind: str, orientation: int) -> None:
    data = pictures.oriented(SCENE, orientation, kind)

    found = photos.picture(Image.open(io.BytesIO(data)), 224)

    assert found.size == SCENE.size
    np.testing.assert_array_equal(np.asarray(found), np.asarray(decode.decode(data, min_size=224)))


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_picture__sixteen_bits_are_scaled(mode: str) -> None:
    deep = np.asarray(SCENE.convert("L")).astype(np.uint16) * 257
    if mode == "I;16B":
        image = Image.frombytes(mode, SCENE.size, deep.astype(">u2").tobytes())
    else:
        image = Image.fromarray(deep.astype(np.int32) if mode == "I" else deep)

    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(photos.picture(image, 224))[..., 0], np.asarray(SCENE.convert("L")))
