"""Decode and encode many pictures, the one while the other runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base
from visual_search.images import limits as bounds
from visual_search.images import pool


def encode_many(
    encoder: base.Encoder,
    sources: Iterable[bytes],
    *,
    decoder: pool.Decoder,
    limits: bounds.Limits = bounds.CATALOGUE,
    batch_size: int = 16,
) -> Iterator[base.Features | exceptions.BadImage]:
    """
    Yield for each of `sources`, in order, its features (float32 [dimensions]) or what was wrong with it.

    While a batch is being encoded, the decoder works on the next one; no more than that is read ahead.
    """
    decoded = decoder.decode_many(sources, limits=limits, min_size=encoder.input_size, ahead=batch_size)
    while batch := list(itertools.islice(decoded, batch_size)):
        features = iter(encoder.encode([item for item in batch if isinstance(item, Image.Image)]))
        for item in batch:
            yield next(features) if isinstance(item, Image.Image) else item
