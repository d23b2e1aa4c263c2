"""Which colours a picture has, and how much of each: an encoder that needs neither torch nor weights.

A histogram of soft bins in CIE Lab, where distances are about those that people see. Pixels count more in the middle
and where they differ from the border, so that it is the product's colour more than the ground's. The square root makes
the scalar product of two of them their Bhattacharyya coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from visual_search.encoders import base

Floats = npt.NDArray[np.float32]

NAME = "colour"

_VERSION = 1
SIDE = 40
BINS = np.array([5, 9, 9])
_COUNT = int(BINS.prod())
_STRIDES = np.array([81, 9, 1])
LEAST, BIN = np.array([0, -80, -80], np.float32), np.array([25, 20, 20], np.float32)
LAST = (BINS - 1 - 1e-4).astype(np.float32)
FLOOR = 0.05
"""Weight of a pixel of the border's own colour: a white shirt on white still has one."""

NEAR = 18.0
"""Difference from the border, in Lab, at which a pixel counts about two thirds."""

LINEAR = np.arange(256, dtype=np.float32) / 255
LINEAR = np.where(LINEAR <= 0.04045, LINEAR / 12.92, ((LINEAR + 0.055) / 1.055) ** 2.4).astype(np.float32)
# sRGB to XYZ (IEC 61966-2-1), each row divided by the white of D65.
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
XYZ /= XYZ.sum(axis=1, keepdims=True)
LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]], np.float32)

_STEP = np.linspace(-1, 1, SIDE, dtype=np.float32)
CENTRE = np.exp(-((_STEP[:, None] ** 2 + _STEP[None] ** 2) / (2 * 0.5**2))).ravel()
BORDER = np.pad(np.zeros((SIDE - 2, SIDE - 2), bool), 1, constant_values=True).ravel()


class ColourEncoder:
    """Describe a picture by 5 x 9 x 9 soft bins of lightness, green to red, blue to yellow; it is a `base.Encoder`."""

    name = NAME
    dimensions = _COUNT
    input_size = SIDE
    fingerprint = base.fingerprint(architecture=NAME, version=_VERSION)

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return float32 [n, 405], each of length 1."""
        return np.array([_histogram(image) for image in images], np.float32).reshape(-1, self.dimensions)


def lab(pixels: npt.NDArray[np.uint8]) -> Floats:
    """Return sRGB `pixels` [n, 3] in CIE Lab (white point D65), float32 [n, 3]."""
    ratio = LINEAR[pixels] @ XYZ.T
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), ratio * (841 / 108) + 4 / 29)
    converted: Floats = root @ LAB.T - np.array([16, 0, 0], np.float32)
    return converted


def _histogram(image: Image.Image) -> Floats:
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    colours = lab(np.asarray(small).reshape(-1, 3))
    ground = np.median(colours[BORDER], axis=0)
    distance = np.square(colours - ground).sum(axis=1)
    weights = CENTRE * (FLOOR + 1 - np.exp(-distance / (2 * NEAR**2)))
    place = ((colours - LEAST) / BIN).clip(0, LAST)
    low = place.astype(np.intp)
    upper = place - low
    # Each pixel is shared among the eight bins around it.
    cells = (low[:, :, None] + (0, 1)) * _STRIDES[:, None]
    shares = np.stack([1 - upper, upper], axis=2)
    bins = cells[:, 0, :, None, None] + cells[:, 1, None, :, None] + cells[:, 2, None, None, :]
    parts = shares[:, 0, :, None, None] * shares[:, 1, None, :, None] * shares[:, 2, None, None, :]
    parts *= weights[:, None, None, None]
    total = np.bincount(bins.ravel(), parts.ravel(), minlength=_COUNT)
    rooted: Floats = np.sqrt(total / total.sum()).astype(np.float32)
    return rooted
