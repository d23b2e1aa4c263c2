"""An encoder that looks twice: at the whole picture, and at its middle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from visual_search.encoders import base, parts

if TYPE_CHECKING:
    from visual_search.encoders import network

MIDDLE = 0.7
"""Share of each side that the second look sees."""


class TwoCrops:
    """Average the directions that an encoder gives for the whole picture and for its middle; a `base.Encoder`.

    A product fills a photo less than its catalogue picture does. It takes twice the time.
    """

    def __init__(self, encoder: network.NetworkEncoder) -> None:
        self.name = encoder.name
        self.dimensions = encoder.dimensions
        self.input_size = math.ceil(encoder.input_size / MIDDLE)
        self.fingerprint = base.fingerprint(encoder=encoder.fingerprint, middle=MIDDLE)
        self.encoder = encoder

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the mean of two vectors of length 1, float32 [n, dimensions]; raises `EncoderError`."""
        seen = parts.unit(self.encoder.encode([*images, *map(_middle, images)]))[0]
        mean: base.Features = (seen[: len(images)] + seen[len(images) :]) / np.float32(2)
        return mean

    def feature_map(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the last feature map of the whole pictures, float32 [n, channels, height, width]."""
        return self.encoder.feature_map(images)

    def seen(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return what the map covers of a picture of `size`: left, top, right, bottom, as shares of it."""
        return self.encoder.seen(size)


def whole(encoder: base.Encoder) -> base.Encoder:
    """Return what looks once, at the whole picture: `encoder`, or what it looks twice with."""
    return encoder.encoder if isinstance(encoder, TwoCrops) else encoder


def _middle(image: Image.Image) -> Image.Image:
    across, down = (side * (1 - MIDDLE) / 2 for side in image.size)
    return image.crop((round(across), round(down), round(image.width - across), round(image.height - down)))
