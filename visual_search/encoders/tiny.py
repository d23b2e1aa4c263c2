"""An encoder for tests: no torch, no weights, a fraction of a millisecond."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from visual_search.encoders import base

_VERSION = 1
_SIDE, _CELLS, _DIRECTIONS = 32, 4, 16


class TinyEncoder:
    """
    Describe a picture by its layout of colours (4 x 4 cells) and the directions of its edges (16): 64 numbers.

    Deterministic, and good enough that alike pictures are near each other. It implements `base.Encoder`.
    """

    name = "tiny"
    dimensions = 3 * _CELLS**2 + _DIRECTIONS
    input_size = _SIDE
    fingerprint = base.fingerprint(architecture="tiny", version=_VERSION)

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return float32 [n, 64], each number in 0..1."""
        return np.array([_describe(image) for image in images], np.float32).reshape(-1, self.dimensions)

    def feature_map(self, images: Sequence[Image.Image]) -> base.Features:
        """Return what each cell adds to the description, float32 [n, 64, 4, 4]: its mean is what `encode` returns."""
        return np.array([_cells(image) for image in images], np.float32).reshape(-1, self.dimensions, _CELLS, _CELLS)


def _describe(image: Image.Image) -> base.Features:
    return _cells(image).mean((1, 2))


def _cells(image: Image.Image) -> base.Features:
    small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    pixels = np.asarray(small, np.float32) / 255
    cell = _SIDE // _CELLS
    layout = pixels.reshape(_CELLS, cell, _CELLS, cell, 3).mean((1, 3))
    down, across = np.gradient(pixels.mean(2))
    direction = (np.arctan2(down, across) / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS
    found = np.zeros((_CELLS, _CELLS, TinyEncoder.dimensions))
    for row, column in np.ndindex(_CELLS, _CELLS):
        own = np.s_[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        first = 3 * (row * _CELLS + column)
        found[row, column, first : first + 3] = layout[row, column]
        strength = np.hypot(down[own], across[own]).ravel()
        found[row, column, 3 * _CELLS**2 :] = np.bincount(direction[own].ravel(), strength, _DIRECTIONS) / _SIDE
    return (found.transpose(2, 0, 1) * _CELLS**2).astype(np.float32)
