"""Views of catalogue pictures to learn from: as they are, mirrored, or as a customer might photograph them."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageOps

from visual_search import exceptions
from visual_search.images import decode, simulated

SIDE = simulated.LONG // 2
"""`min_size` to decode with: a simulated photo shows no more than twice as many pixels."""


def of(
    images: Iterable[Image.Image | exceptions.BadImage],
    seeds: Iterable[Sequence[int]],
    *,
    photos: float,
    flips: bool = True,
) -> list[Image.Image]:
    """
    Return one view of each of `images`, the same for the same seed; the share `photos` of them are simulated photos.

    Raises the `BadImage` that stands in the place of a picture.
    """
    with concurrent.futures.ThreadPoolExecutor() as threads:
        return list(threads.map(lambda image, seed: _view(image, seed, photos, flips), images, seeds))


def _view(image: Image.Image | exceptions.BadImage, seed: Sequence[int], photos: float, flips: bool) -> Image.Image:
    if isinstance(image, exceptions.BadImage):
        raise image
    random = np.random.default_rng(seed)
    photographed, mirrored = random.random() < photos, flips and random.random() < 0.5
    if photographed:
        image = decode.decode(simulated.photo(image, seed=int(random.integers(2**32))))
    return ImageOps.mirror(image) if mirrored else image
