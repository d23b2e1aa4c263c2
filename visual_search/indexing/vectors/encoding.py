"""The worker's way through the encoder: decode ahead, encode full batches."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from django.db import DatabaseError, InterfaceError
from PIL import Image

from visual_search import conf
from visual_search.encoders import base, joined, pipeline
from visual_search.exceptions import BadImage, EncoderError, VisualSearchError
from visual_search.images import limits, pool

if TYPE_CHECKING:
    from visual_search.encoders.gpu.pipeline import Pipeline

logger = logging.getLogger("visual_search.indexing")

DEADLINE = 20.0
"""Seconds of wall time for one picture: a busy machine must not fail an innocent one for good."""


GPUS = ("cuda",)
"""Devices with a pipeline of their own."""


@lru_cache(maxsize=1)
def decoder() -> pool.Decoder:
    """Return the process's decoder: children that can be killed, started when the first picture comes."""
    return pool.Decoder(deadline=DEADLINE)


def encode(encoder: joined.Joined, sources: Iterable[bytes]) -> Iterator[base.Features | BadImage]:
    """Yield for each of `sources`, in order, its raw features (float32 [d]) or what was wrong with it.

    `sources` is read as the encoder needs it, so that a batch of any size takes little memory.
    """
    choice = conf.settings.GPU_PIPELINE
    if choice != "off" and (on_gpu := _on_gpu(encoder.encoders, choice)):
        return on_gpu.encode_many(sources, decoder=decoder())
    return pipeline.encode_many(
        encoder, sources, decoder=decoder(), limits=limits.CATALOGUE, batch_size=conf.settings.BATCH_SIZE
    )


@lru_cache(maxsize=4)
def _on_gpu(encoders: tuple[base.Encoder, ...], choice: str) -> Pipeline | None:
    """Return the pipeline of the GPU that `encoders` are on; None, logged, where they are on none that has one."""
    from visual_search.encoders.gpu.pipeline import Pipeline

    encoder = joined.Joined(encoders)
    try:
        found = Pipeline(encoder, compiled=choice == "compiled")
    except EncoderError as error:
        logger.warning("GPU_PIPELINE is %r: %s", choice, error)
        return None
    if found.device.type not in GPUS:
        logger.warning("GPU_PIPELINE is %r, and the encoder %s is on no GPU.", choice, encoder.name)
        return None
    return found


def works(encoder: joined.Joined) -> bool:
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
