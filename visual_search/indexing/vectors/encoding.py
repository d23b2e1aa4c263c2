"""The worker's way through the encoder: decode ahead, encode full batches."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Generator, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import DatabaseError, InterfaceError
from PIL import Image

from visual_search import conf
from visual_search.encoders import base, joined, pipeline
from visual_search.exceptions import BadImage, EncoderError, VisualSearchError
from visual_search.images import limits, pool

if TYPE_CHECKING:
    from visual_search.encoders.gpu import pipeline as gpu

logger = logging.getLogger("visual_search.indexing")

DEADLINE = 20.0
"""Seconds of wall time for one picture: a busy machine must not fail an innocent one for good."""

GPUS = ("cuda",)
"""Devices with a pipeline of their own."""

PIPELINES_KEPT = 4
"""Choices of encoders whose pipelines stay: what is compiled took a minute."""

_pipelines: dict[tuple[Any, ...], tuple[joined.Joined, gpu.Pipeline | None]] = {}


@lru_cache(maxsize=1)
def decoder() -> pool.Decoder:
    """Return the process's decoder: children that can be killed, started when the first picture comes."""
    return pool.Decoder(deadline=DEADLINE)


def encode(encoder: joined.Joined, sources: Generator[bytes]) -> Iterator[base.Features | BadImage]:
    """Yield for each of `sources`, in order, its raw features (float32 [d]) or what was wrong with it.

    `sources` is read as the encoder needs it, so that a batch of any size takes little memory, and closed at the end:
    an error that somebody keeps would keep it open, and readers that hang with it.
    """
    size, choice = conf.settings.BATCH_SIZE, conf.settings.GPU_PIPELINE
    with contextlib.closing(sources):
        if choice != "off" and (on_gpu := _on_gpu(encoder, choice, size)):
            yield from on_gpu.encode_many(sources, decoder=decoder())
        else:
            yield from pipeline.encode_many(
                encoder, sources, decoder=decoder(), limits=limits.CATALOGUE, batch_size=size
            )


def _on_gpu(encoder: joined.Joined, choice: str, at_once: int) -> gpu.Pipeline | None:
    """Return the pipeline of the GPU that `encoder` is on; None, logged, where it is on none that has one."""
    # By the objects: a fork has others, and they need not have a hash.
    key = choice, at_once, *map(id, encoder.encoders)
    kept = _pipelines.get(key)
    if kept is None:
        for old in list(_pipelines)[: 1 - PIPELINES_KEPT]:
            _pipelines.pop(old, None)
        kept = _pipelines[key] = encoder, _pipeline(encoder, choice, at_once)
    return kept[1]


def _pipeline(encoder: joined.Joined, choice: str, at_once: int) -> gpu.Pipeline | None:
    from visual_search.encoders import runtime
    from visual_search.encoders.gpu import pipeline as gpu

    device = gpu.device(encoder)
    if device.type not in GPUS:
        logger.warning("GPU_PIPELINE is %r, and the encoder %s is on no GPU.", choice, encoder.name)
        return None
    try:
        return gpu.Pipeline(encoder, compiled=choice == "compiled", at_once=at_once)
    except EncoderError as error:
        if error.code != "gpu_unsupported":
            raise
        logger.warning("GPU_PIPELINE is %r: %s", choice, error)
        return None
    except RuntimeError as error:
        if lost := runtime.device_lost(error, device):
            raise lost from error
        raise


def works(encoder: joined.Joined) -> bool:
    """Return whether `encoder` manages a picture that nothing is wrong with, a drawn one."""
    try:
        (found,) = encode(encoder, (each for each in [_drawn()]))
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
