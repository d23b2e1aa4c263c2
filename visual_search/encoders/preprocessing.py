"""Bring decoded pictures to the numbers that a network was trained on."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """
    Say how a network wants its pictures: it sees the middle `size` of `resize` pixels.

    `squash` resizes both sides to `resize`, so that nothing is cut off; else the shorter one, and the longer one keeps
    the ratio. `mean` and `std` are of red, green and blue on 0..255.
    """

    size: int
    resize: int
    squash: bool
    mean: Triple
    std: Triple
    interpolation: str = "bicubic"

    def pixels(self, images: Sequence[Image.Image]) -> npt.NDArray[np.uint8]:
        """Return `images` as uint8 [n, size, size, 3], not yet normalised: a quarter of the bytes to copy to a GPU."""
        # One thread, at up to 5 ms a picture, would starve a GPU, and Pillow releases the interpreter's lock. Threads
        # that outlived the call would be missing after a fork.
        with concurrent.futures.ThreadPoolExecutor() as threads:
            return np.stack(list(threads.map(self._square, images)))

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return what is seen of a picture of `size` (width, height): left, top, right, bottom, in its pixels."""
        kept = self.size / self.resize
        width, height = size if self.squash else (min(size),) * 2
        left, top = (size[0] - width * kept) / 2, (size[1] - height * kept) / 2
        return left, top, size[0] - left, size[1] - top

    def _square(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        square = image.convert("RGB").resize(
            (self.size, self.size),
            Image.Resampling[self.interpolation.upper()],
            box=self.window(image.size),
            reducing_gap=3.0,
        )
        return np.asarray(square)
