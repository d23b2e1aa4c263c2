"""The worker's way through the encoder: decode ahead, encode full batches."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from django.db import DatabaseError, InterfaceError
from PIL import Image

from visual_search import conf
from visual_search.encoders import base, pipeline
from visual_search.exceptions import BadImage, VisualSearchError
from visual_search.images import limits, pool

logger = logging.getLogger("visual_search.indexing")

DEADLINE = 20.0
"""Seconds of wall time for one picture: a busy machine must not fail an innocent one for good."""


@lru_cache(maxsize=1)
def decoder() -> pool.Decoder:
    """Return the process's decoder: children that can be killed, started when the first picture comes."""
    return pool.Decoder(deadline=DEADLINE)


def encode(encoder: base.Encoder, sources: Iterable[bytes]) -> Iterator[base.Features | BadImage]:
    """Yield for each of `sources`, in order, its raw features (float32 [d]) or what was wrong with it.

    `sources` is read as the encoder needs it, so that a batch of any size takes little memory.
    """
    return pipeline.encode_many(
        encoder, sources, decoder=decoder(), limits=limits.CATALOGUE, batch_size=conf.settings.BATCH_SIZE
    )


def works(encoder: base.Encoder) -> bool:
    """Return whether `encoder` manages a picture that nothing is wrong with, a drawn one."""
    try:
        (found,) = encode(encoder, [_drawn()])
    except Exception:
        logger.warning("The encoder %s fails for a drawn picture too.", encoder.name, exc_info=True)
        return False
    return isinstance(found, np.ndarray)


@lru_cache(maxsize=1)
def _drawn() -> bytes:
    across, around = Image.linear_gradient("L"), Image.radial_gradient("L")
    drawn = io.BytesIO()
    Image.merge("RGB", (across, around, across.transpose(Image.Transpose.ROTATE_90))).save(drawn, "PNG")
    return drawn.getvalue()


def picture_at_fault(error: Exception) -> bool:
    """Return whether one picture of a batch may be what the encoder failed for, and not the encoder or the machine."""
    if isinstance(error, VisualSearchError):
        return error.code == "encoder_not_finite"
    return not isinstance(error, DatabaseError | InterfaceError)
