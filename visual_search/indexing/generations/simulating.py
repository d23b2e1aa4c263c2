"""Simulated customers' photos of the shop's own products, the same ones each time."""

from __future__ import annotations

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


def photos(products: Sequence[Any], *, deadline: float = float("inf")) -> Iterator[Photo]:
    """Yield a photo of each of `products` (keys) until `deadline`, from the first picture that the catalog lists.

    A product whose picture can't be read is left out.
    """
    for start in range(0, len(products), AT_ONCE):
        loaded = pictures.load(products[start : start + AT_ONCE])
        listed = [picture for product in loaded.values() for picture in pictures.of(product)[:1]]
        for picture in pictures.read(listed):
            if time.monotonic() >= deadline:
                return
            if picture.error is None and (photo := _photo(picture)) is not None:
                yield photo


def _photo(picture: pictures.Picture) -> Photo | None:
    try:
        decoded = encoding.decoder().decode(picture.data, limits=limits.CATALOGUE, min_size=simulated.LONG // 2)
    except BadImage:
        return None
    seed = zlib.crc32(f"{picture.product}/{picture.key}".encode())
    return Photo(product=picture.product, image_key=picture.key, data=simulated.photo(decoded, seed=seed))
