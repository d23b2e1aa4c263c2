"""The worker's way through the encoder: decode ahead, encode full batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from django.db import DatabaseError, InterfaceError

from visual_search import conf
from visual_search.encoders import base, pipeline
from visual_search.exceptions import BadImage, VisualSearchError
from visual_search.images import limits, pool

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


def picture_at_fault(error: Exception) -> bool:
    """Return whether one picture of a batch may be what the encoder failed for, and not the encoder or the machine."""
    if isinstance(error, VisualSearchError):
        return error.code == "encoder_not_finite"
    return not isinstance(error, DatabaseError | InterfaceError)
