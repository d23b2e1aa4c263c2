"""Vectors of the things on a catalogue picture: "find what is in this scene"."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from visual_search import conf
from visual_search.encoders import base, joined, regions
from visual_search.exceptions import BadImage
from visual_search.images import limits
from visual_search.indexing import encoding
from visual_search.models import SearchIndex

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
        found = regions.find(self._finder, picture, limit=self._limit)
        if not found:
            return
        across, down = picture.size
        boxes = [np.multiply(region.box, (across, down, across, down)).round().astype(int).tolist() for region in found]
        features = self._encoder.encode([picture.crop(box) for box in boxes])
        yield from zip((region.box for region in found), features, strict=True)
