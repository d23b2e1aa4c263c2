"""Say which positions of two pictures make them similar.

A picture's features are the mean of its map over the positions, so what is linear in them is a sum over the positions:
with f the features at a position and x their mean, `P (x / |x| - m)` is the mean of `P (f / |x| - m)`. The product of
that with the other picture's vector is what the position contributes. Pearson has `f - mean(f)` in place of f, and what
a Euclidean part contributes is measured by its direction, too.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base, crops, parts, regions

AVERAGE = 0.999
"""Cosine of an averaged map to the features above which they are its average, but for rounding."""

_RAMP = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)
"""Five colours of matplotlib's "inferno", from nothing to most."""


def maps(encoder: base.Encoder, images: Sequence[Image.Image]) -> base.Features:
    """Return the maps [n, c, h, w] whose averages are the features of RGB `images`; where it looks twice, of the whole.

    Raises `EncoderError` (`feature_map_unavailable`) where `encoder` has none, or pools in another way, as a vision
    transformer with a class token does: what positions contribute would be made up.
    """
    encoder = crops.whole(encoder)
    found, features = base.feature_map(encoder, images), encoder.encode(images)
    averaged = found.mean((2, 3))
    lengths = np.linalg.norm(averaged, axis=1) * np.linalg.norm(features, axis=1)
    if averaged.shape != features.shape or ((averaged * features).sum(axis=1) < AVERAGE * lengths).any():
        raise exceptions.EncoderError(
            f"The features of {encoder.name} are no plain average of its map, so that positions have no share in them.",
            code="feature_map_unavailable",
        )
    return found


def contributions(a: base.Features, b: base.Features, *, transform: parts.Transform) -> tuple[parts.Floats, ...]:
    """Return what each position of the maps `a` and `b` [c, h, w] adds to the similarity of the two: [h, w] each.

    Either sums to the cosine of the stored parts (`transform` applied) of the averaged maps. Raises `EncoderError`
    (`feature_map_unavailable`) where the map has other channels than the features.
    """
    if len(transform.mean) != len(a):
        raise exceptions.EncoderError(
            f"The encoder's map has {len(a)} channels and its features {len(transform.mean)}: they are no average of "
            "it, so that positions have no share in them.",
            code="feature_map_unavailable",
        )
    (cells_a, unit_a), (cells_b, unit_b) = (_positions(each, transform) for each in (a, b))
    return (cells_a @ unit_b).reshape(a.shape[1:]), (cells_b @ unit_a).reshape(b.shape[1:])


def _positions(feature_map: base.Features, transform: parts.Transform) -> tuple[parts.Floats, parts.Floats]:
    """Return the summands [h * w, p] of a picture's part, and the part itself [p], of length 1."""
    cells = feature_map.reshape(len(feature_map), -1).T
    if transform.metric == parts.PEARSON:
        cells = cells - cells.mean(axis=1, keepdims=True)
    length = 1.0 if transform.metric == parts.EUCLIDEAN else max(_length(cells.mean(axis=0)), parts.DEGENERATE)
    summands: parts.Floats = transform.project(cells / np.float32(length) - transform.mean) / np.float32(len(cells))
    whole: parts.Floats = summands.sum(axis=0)
    scale = np.float32(max(_length(whole), parts.DEGENERATE))
    return summands / scale, whole / scale


def _length(vector: parts.Floats) -> float:
    return float(np.linalg.norm(vector))


def overlay(picture: Image.Image, heat: parts.Floats, *, seen: regions.Box = regions.WHOLE) -> bytes:
    """Return `picture` as a PNG, grey where nothing contributes, glowing where `heat` [h, w] is high.

    `seen` is the part of the picture that the map covers. What speaks against the similarity is left grey.
    """
    grey = np.asarray(picture.convert("L").convert("RGB"), np.float32)
    left, top, right, bottom = (round(share * side) for share, side in zip(seen, picture.size * 2, strict=True))
    positive = np.clip(heat, 0, None).astype(np.float32)
    strength = np.zeros(grey.shape[:2], np.float32)
    coarse = Image.fromarray(positive / max(float(positive.max()), 1e-12))
    finer = coarse.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
    strength[top:bottom, left:right] = np.clip(np.asarray(finer), 0, 1)
    steps = np.linspace(0, 1, len(_RAMP))
    glow = np.stack([np.interp(strength, steps, channel) for channel in _RAMP.T], axis=-1)
    share = 0.75 * strength[..., None]
    buffer = io.BytesIO()
    Image.fromarray((0.8 * grey * (1 - share) + glow * share).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
