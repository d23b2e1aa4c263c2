"""Resize on the device as Pillow does on the CPU, so that a vector doesn't depend on where it was made.

A resize is two products with matrices of weights, one for each side: Pillow's `precompute_coeffs` (libImaging,
Resample.c), where a filter grows with the step from one pixel to the next, as antialiasing asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from visual_search.encoders import preprocessing

Floats = npt.NDArray[np.float64]


def _box(x: Floats) -> Floats:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _bilinear(x: Floats) -> Floats:
    return np.maximum(1 - np.abs(x), 0)


def _bicubic(x: Floats) -> Floats:
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: Floats) -> Floats:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


FILTERS: dict[str, tuple[Callable[[Floats], Floats], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""What can be resized with, and how far each reaches in pixels of the smaller picture."""


def matrix(source: int, target: int, *, start: float, stop: float, interpolation: str) -> npt.NDArray[np.float32]:
    """Return the weights [target, source] that bring `source` pixels, from `start` to `stop`, to `target` of them."""
    function, reach = FILTERS[interpolation]
    step = (stop - start) / target
    stretch = max(step, 1.0)
    centre = start + (np.arange(target) + 0.5)[:, None] * step
    first = np.maximum(np.trunc(centre - reach * stretch + 0.5), 0)
    last = np.minimum(np.trunc(centre + reach * stretch + 0.5), source)
    place = np.arange(source)[None]
    weights = np.where((place >= first) & (place < last), function((place - centre + 0.5) / stretch), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def square(image: torch.Tensor, prepare: preprocessing.Preprocessing, *, orientation: int = 1) -> torch.Tensor:
    """Return uint8 `image` [..., 3, h, w] upright and as `prepare` wants it: whole float32 [..., 3, size, size]."""
    kept = prepare.size / prepare.resize
    height, width = image.shape[-2:]
    box = (height, width) if prepare.squash else (min(height, width),) * 2
    rows, columns = (
        _on_device(side, prepare.size, (side - seen * kept) / 2, prepare.interpolation, image.device)
        for side, seen in zip((height, width), box, strict=True)
    )
    resized = (rows @ image.float() @ columns.T).round_().clamp_(0, 255)
    return upright(resized, orientation)


def upright(image: torch.Tensor, orientation: int) -> torch.Tensor:
    """Return `image` [..., h, w] turned as EXIF's `orientation` (1 to 8) says."""
    if orientation >= 5:
        image = image.transpose(-2, -1)
    # What is left to be turned over: left and right, top and bottom.
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return image.flip([axis for axis, turned in ((-1, across), (-2, down)) if turned])


def forget() -> None:
    """Give up what is kept on devices: matrices of weights, by the sizes of pictures."""
    _on_device.cache_clear()


@functools.lru_cache(maxsize=512)
def _on_device(source: int, target: int, start: float, interpolation: str, device: torch.device) -> torch.Tensor:
    weights = matrix(source, target, start=start, stop=source - start, interpolation=interpolation)
    return torch.from_numpy(weights).to(device)
