"""Simulated customers' photos of the shop's own products, the same ones each time."""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from visual_search.exceptions import BadImage
from visual_search.images import limits, simulated
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import encoding

AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """A simulated photo of `product`, made from its picture `image_key`: `data` is a JPEG file."""

    product: Any
    image_key: str
    data: bytes = field(repr=False)


def photos(products: Sequence[Any], *, most: int | None = None, deadline: float = float("inf")) -> Iterator[Photo]:
    """Return a photo of each of `products` (keys) until `deadline`; with `most`, as many, several of each or not all.

    The first of a product is of the first picture that the catalog lists, the next one of the next picture, over and
    over. A product whose picture can't be read is left out.
    """
    if most is None:
        return _round(products, 0, deadline)
    return itertools.islice(_over_and_over(products, deadline), most)


def _over_and_over(products: Sequence[Any], deadline: float) -> Iterator[Photo]:
    for number in itertools.count():
        found = False
        for photo in _round(products, number, deadline):
            found = True
            yield photo
        if not found or time.monotonic() >= deadline:
            return


def _round(products: Sequence[Any], number: int, deadline: float) -> Iterator[Photo]:
    """Yield the photo with that `number` of each of `products`, counted from 0."""
    for start in range(0, len(products), AT_ONCE):
        keys = products[start : start + AT_ONCE]
        loaded = pictures.load(keys)
        every = [pictures.of(loaded[key]) for key in keys if key in loaded]
        for picture in pictures.read([listed[number % len(listed)] for listed in every if listed]):
            if time.monotonic() >= deadline:
                return
            if picture.error is None and (photo := _photo(picture, number)) is not None:
                yield photo


def _photo(picture: pictures.Picture, number: int) -> Photo | None:
    try:
        decoded = encoding.decoder().decode(picture.data, limits=limits.CATALOGUE, min_size=simulated.LONG // 2)
    except BadImage:
        return None
    seed = zlib.crc32(f"{picture.product}/{picture.key}{f'/{number}' if number else ''}".encode())
    return Photo(product=picture.product, image_key=picture.key, data=simulated.photo(decoded, seed=seed))
