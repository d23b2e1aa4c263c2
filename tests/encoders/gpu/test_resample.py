from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.images import pictures
from visual_search.encoders import preprocessing
from visual_search.encoders.gpu import resample
from visual_search.images import decode

PLAIN: dict[str, Any] = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def ours(picture: Image.Image, prepare: preprocessing.Preprocessing) -> np.ndarray[Any, Any]:
    return resample.square(tensor(picture), prepare).permute(1, 2, 0).numpy()


def noisy(width: int, height: int) -> Image.Image:
    """A picture with all that resampling can get wrong: hard edges and noise."""
    chance = np.random.default_rng(width * 1000 + height)
    pixels = np.array(pictures.scene().resize((width, height)), np.int16) + chance.integers(-40, 40, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@given(
    width=st.integers(20, 260),
    height=st.integers(20, 260),
    size=st.sampled_from([32, 96, 100]),
    margin=st.sampled_from([0, 7, 14]),
    squash=st.booleans(),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
)
@settings(max_examples=40, deadline=None)
def test_square__is_that_of_pillow(
    width: int, height: int, size: int, margin: int, squash: bool, interpolation: str
) -> None:
    prepare = preprocessing.Preprocessing(
        size=size, resize=size + margin, squash=squash, interpolation=interpolation, **PLAIN
    )
    picture = noisy(width, height)
    seen = (picture.width, picture.height) if squash else (min(picture.size),) * 2
    kept = size / (size + margin)
    box = [(side - other * kept) / 2 for side, other in zip(picture.size, seen, strict=True)]
    theirs = picture.resize(
        (size, size),
        Image.Resampling[interpolation.upper()],
        box=(box[0], box[1], picture.width - box[0], picture.height - box[1]),
    )
    difference = np.abs(ours(picture, prepare) - np.asarray(theirs, np.float32))
    # Pillow rounds and clips between the two passes.
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.99) <= 2


def test_square__of_a_large_picture_is_near_what_the_cpu_prepares() -> None:
    prepare = preprocessing.Preprocessing(size=224, resize=224, squash=True, **PLAIN)
    picture = pictures.scene().resize((1500, 1100), Image.Resampling.BICUBIC)
    # The CPU reduces by whole numbers first.
    difference = np.abs(ours(picture, prepare) - prepare.pixels([picture])[0])
    assert difference.mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright__as_exif_says(orientation: int) -> None:
    tags = Image.Exif()
    tags[274] = orientation
    file = io.BytesIO()
    stored = pictures.scene().resize((64, 48))
    stored.save(file, "PNG", exif=tags)
    expected = decode.decode(file.getvalue())

    turned = resample.upright(tensor(stored), orientation)

    assert np.array_equal(turned.permute(1, 2, 0).numpy(), np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_square__lies_as_exif_says(orientation: int) -> None:
    prepare = preprocessing.Preprocessing(size=32, resize=36, squash=False, **PLAIN)
    stored = tensor(noisy(80, 50))
    turned = resample.square(stored, prepare, orientation=orientation)
    first = resample.square(resample.upright(stored, orientation), prepare)
    assert float((turned - first).abs().max()) <= 1


def test_matrix__weights_add_up_to_one_and_reach_as_far_as_the_filter() -> None:
    weights = resample.matrix(100, 10, start=0, stop=100, interpolation="bilinear")
    assert weights.sum(axis=1) == pytest.approx(1)
    assert [np.flatnonzero(row).tolist() for row in weights[[0, 5]]] == [list(range(15)), list(range(45, 65))]
