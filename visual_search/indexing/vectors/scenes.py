"""Vectors of the things on a catalogue picture: "find what is in this scene"."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from PIL import Image

from visual_search import conf
from visual_search.encoders import base, joined, regions
from visual_search.exceptions import BadImage, EncoderError
from visual_search.images import limits
from visual_search.indexing.vectors import encoding
from visual_search.models import SearchIndex

logger = logging.getLogger("visual_search.indexing")

MEETS = 2
"""Sides of the encoder's input that the picture is decoded to: a thing that fills half of it is seen sharp."""


class Finder:
    """Looks for things on the pictures of an index, with the first of its encoders that has a feature map.

    Finds none in an index that isn't told to look for any, and where no encoder has a map. Raises `EncoderError` where
    one can't be loaded.
    """

    def __init__(self, index: SearchIndex, encoder: joined.Joined) -> None:
        self._encoder, self._limit = encoder, index.regions
        finders = (regions.finder(spec, **conf.machine()) for spec in index.encoders if self._limit)
        self._finder: base.Encoder | None = next((finder for finder in finders if finder is not None), None)

    @property
    def looks(self) -> bool:
        """Return whether it looks at all, and needs the bytes of pictures for that."""
        return self._finder is not None

    def find(self, data: bytes) -> Iterator[tuple[regions.Box, base.Features]]:
        """Yield the box and the raw features, float32 [d], of each thing on the picture in the file `data`."""
        if self._finder is None or not data:
            return
        size = MEETS * self._encoder.input_size
        try:
            picture = encoding.decoder().decode(data, limits=limits.CATALOGUE, min_size=size)
        except BadImage:
            # A moment ago it could be decoded, smaller: it has its own vector, and goes without more.
            return
        try:
            found = [region.box for region in regions.find(self._finder, picture, limit=self._limit)]
            crops = [cut(picture, box) for box in found]
            large = [number for number, crop in enumerate(crops) if min(crop.size) >= limits.CATALOGUE.min_side]
            features = self._encoder.encode([crops[number] for number in large]) if large else ()
        except EncoderError as error:
            # The picture has its own vector already; a part that the encoder can't look at must not cost it that.
            if error.code != "encoder_not_finite":
                raise
            logger.warning("The things on a picture could not be looked at: %s", error)
            return
        yield from zip((found[number] for number in large), features, strict=True)


def cut(picture: Image.Image, box: regions.Box) -> Image.Image:
    """Return the part `box` of `picture`."""
    across, down = picture.size
    left, top, right, bottom = (round(share * side) for share, side in zip(box, (across, down) * 2, strict=True))
    return picture.crop((left, top, right, bottom))
