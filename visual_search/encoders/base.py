"""What an encoder is."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from visual_search import exceptions

Features = npt.NDArray[np.float32]

CACHE = "~/.cache/django-visual-search"
"""Folder that keeps converted networks, unless another one is named."""


@runtime_checkable
class Encoder(Protocol):
    """
    Turn pictures into vectors.

    `fingerprint` (SHA-256, hexadecimal) changes whenever the same picture would get another vector: it covers the
    weights, the preprocessing, the architecture and the options, not the machine. `input_size` (pixels) is the shorter
    side that it works with: give it to `decode(..., min_size=)`.
    An encoder may also be a `TextEncoder`, in the space of its pictures, and have
    `feature_map(images) -> float32 [n, channels, height, width]`, whose mean over the positions `encode` returns where
    its pooling is the plain average. Where the map doesn't cover the whole picture, `seen(size)` says what it covers.
    """

    name: str
    dimensions: int
    fingerprint: str
    input_size: int

    def encode(self, images: Sequence[Image.Image]) -> Features:
        """Return the raw features of RGB `images`, float32 [n, dimensions], not scaled to a length; n may be 0."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """Turn words into vectors; `fingerprint` covers whatever determines them, as that of an `Encoder` does."""

    name: str
    dimensions: int
    fingerprint: str

    def encode_text(self, texts: Sequence[str]) -> Features:
        """Return the features of `texts`, float32 [n, dimensions]; n may be 0."""
        ...


def feature_map(encoder: Encoder, images: Sequence[Image.Image]) -> Features:
    """Return the feature map of RGB `images`, float32 [n, c, h, w]; raise `EncoderError` where there is none."""
    find: Callable[[Sequence[Image.Image]], Features] | None = getattr(encoder, "feature_map", None)
    if find is None:
        raise exceptions.EncoderError(
            f"The encoder {encoder.name} has no feature map. Use one that has: any convolutional network.",
            code="feature_map_unavailable",
        )
    return find(images)


def seen(encoder: Encoder, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return what the map covers of a picture of `size` (width, height): left, top, right, bottom, as shares of it."""
    find: Callable[[tuple[int, int]], tuple[float, float, float, float]] | None = getattr(encoder, "seen", None)
    return (0.0, 0.0, 1.0, 1.0) if find is None else find(size)


def fingerprint(**parts: Any) -> str:
    """Return the SHA-256, in hexadecimal, of `parts`: whatever determines an encoder's vectors, as JSON can hold it."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def finite(features: Features, *, name: str) -> Features:
    """Return `features`, or raise `EncoderError` (`encoder_not_finite`) where one of them is not a number."""
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features.reshape(len(features), -1)).all(axis=1)).tolist()
        raise exceptions.EncoderError(
            f"The encoder {name} returned infinite or undefined values for number {rows[:5]} of its batch. "
            "Check its weights; on a GPU, try the precision float32.",
            code="encoder_not_finite",
        )
    return features


def unknown(name: str, known: Iterable[str]) -> exceptions.EncoderError:
    """Return the error for an encoder that doesn't exist; it offers the `known` names that look alike."""
    near = difflib.get_close_matches(name, list(known), n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return exceptions.EncoderError(
        f"There is no encoder {name!r}. {hint}Use 'efficientnet_lite0', 'timm:NAME', 'torchvision:NAME', "
        "'open_clip:NAME', 'colour' or the dotted path of a function or class that returns an encoder.",
        code="encoder_unknown",
    )
