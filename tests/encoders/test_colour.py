from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests import factories
from tests.images import pictures
from visual_search import encoders
from visual_search.encoders import base, colour

ENCODER = colour.ColourEncoder()


def thing(of: str, shape: str = "circle", *, background: str = "white", size: int = 200) -> Image.Image:
    return Image.open(io.BytesIO(factories.picture(of, shape, size=size, background=background)))


def similarity(one: Image.Image, other: Image.Image) -> float:
    first, second = ENCODER.encode([one, other])
    return float(first @ second)


def test_load__by_its_name() -> None:
    encoder = encoders.load("colour")
    assert isinstance(encoder, base.Encoder)
    assert (encoder.name, encoder.dimensions, len(encoder.fingerprint)) == ("colour", 405, 64)


def test_encode__are_square_roots_of_shares_of_length_one() -> None:
    features = ENCODER.encode([pictures.scene(), Image.new("RGB", (50, 50), "black"), thing("teal")])

    assert (features.shape, features.dtype) == ((3, 405), np.float32)
    assert features.min() >= 0
    assert np.square(features).sum(axis=1) == pytest.approx([1, 1, 1])
    assert ENCODER.encode([]).shape == (0, 405)


def test_encode__looks_at_the_thing_and_not_at_its_shape_or_ground() -> None:
    red = thing("crimson")

    assert similarity(red, thing("crimson", "square")) > 0.95
    assert similarity(red, thing("royalblue")) < 0.4
    assert similarity(red, thing("crimson", background="lightgrey")) > similarity(red, thing("royalblue")) + 0.3


def test_encode__near_colours_share_bins() -> None:
    red = thing("#c01030")
    assert (
        similarity(red, thing("#c81838")) > 0.97 > similarity(red, thing("#c06030")) > similarity(red, thing("#10c030"))
    )


def test_encode__the_middle_counts_more_than_the_edge() -> None:
    canvas = Image.new("RGB", (300, 300), "white")
    canvas.paste("crimson", (90, 90, 210, 210))
    canvas.paste("royalblue", (20, 20, 140, 80))  # half as large, in a corner
    assert similarity(canvas, thing("crimson", "square")) > similarity(canvas, thing("royalblue", "square")) + 0.3


def test_encode__of_any_mode_and_shape() -> None:
    for picture in (thing("teal").convert("L"), thing("teal").convert("RGBA"), Image.new("RGB", (1, 900), "teal")):
        assert np.isfinite(ENCODER.encode([picture])).all()


def test_lab__agrees_with_littlecms() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert converted is not None
    theirs = np.stack([np.asarray(band, np.float32) for band in converted.split()], axis=2)
    theirs = theirs.reshape(-1, 3) * (100 / 255, 1, 1) - (0, 128, 128)

    ours = colour.lab(pixels.reshape(-1, 3))

    # Theirs adapts to D50 and is rounded to whole numbers.
    assert np.abs(ours - theirs).max() < 12
    assert np.abs(ours - theirs).mean() < 2
