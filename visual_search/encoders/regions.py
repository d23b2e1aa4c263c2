"""Find the things on a picture in the feature map of the encoder that looks at it: no detector, nothing to train.

The method is Selective Convolutional Descriptor Aggregation (Wei et al. 2017): a position belongs to a thing where the
sum of its channels exceeds the mean of all positions, and what hangs together is one thing. Things that touch are also
told apart where the activation between their peaks falls low enough.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base, crops, registry

Box = tuple[float, float, float, float]
Floats = npt.NDArray[np.float32]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

LEAST_SIDE = 12
"""Positions a side that a scene needs: on 7 a tenth of the things in it were found, on 14 seven of ten."""

FINER = 4
"""Cells that a position of the map is cut into each way: the map is too coarse for an edge, its slopes are not."""

SADDLE = 0.5
"""How far activation must fall between two things that touch, as a share of the smaller one's height over the mean."""

EDGE = 0.2
"""Share of a thing's height over the mean at which it ends: a map sees half a position further than the thing goes."""

LEAST_MASS = 0.1
"""Share of the activation above the mean that a thing must have."""

LEAST_AREA = 0.02
"""Share of the map below which a box holds too little to search with."""

MOST_AREA = 0.85
"""Share of the map above which a box says no more than the picture itself."""

MOST_OVERLAP = 0.6
"""Intersection over union above which two boxes are one."""

PADDING = 0.02
"""Share of the map added on each side: what is cut off is missed more than a margin disturbs."""

_sides: dict[str, int] = {}
"""Positions a side of the maps of encoders, by fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a picture: `box` (left, top, right, bottom) in shares of its width and height, 0 to 1.

    `mass` is the share of the activation above the mean that lies in the thing, 0 to 1.
    """

    box: Box
    mass: float


def find(encoder: base.Encoder, picture: Image.Image, *, limit: int = 4) -> list[Region]:
    """Return up to `limit` regions of `picture` (RGB) as `encoder`, which has a feature map, sees them; see `propose`.

    Raises `EncoderError`.
    """
    return propose(base.feature_map(encoder, [picture])[0], limit=limit, seen=base.seen(encoder, picture.size))


def finder(spec: registry.Spec, **machine: str) -> base.Encoder | None:
    """Return what looks for regions where `spec` names the encoder: itself, or itself at twice the size.

    None where it has no feature map. `machine` goes to `registry.load`. The larger one has a copy of the weights in
    memory, from the first call on. Raises `EncoderError` where `spec` can't be loaded.
    """
    encoder = crops.whole(registry.load(spec, **machine))
    if not hasattr(encoder, "feature_map"):
        return None
    options = {"name": spec} if isinstance(spec, str) else {name: spec[name] for name in spec if name != "crops"}
    try:
        if encoder.fingerprint not in _sides:
            blank = Image.new("RGB", (encoder.input_size,) * 2)
            _sides[encoder.fingerprint] = min(base.feature_map(encoder, [blank]).shape[2:])
        if _sides[encoder.fingerprint] >= LEAST_SIDE or not registry.takes(spec, "size"):
            return encoder
        return registry.load({**options, "size": 2 * encoder.input_size}, **machine)
    except exceptions.EncoderError as error:
        # Not every network takes another size, or has a map at all.
        return None if error.code == "feature_map_unavailable" else encoder


def propose(feature_map: Floats, *, limit: int = 4, seen: Box = WHOLE) -> list[Region]:
    """Return the boxes of up to `limit` things on a picture, the one with the largest activation mass first.

    `feature_map` [c, h, w] is the encoder's of this picture, and `seen` the part of the picture that it covers. Empty
    where nothing stands out, or one thing fills all of it.
    """
    heat = _finer(feature_map.sum(axis=0, dtype=np.float32))
    above = heat - heat.mean()
    total = float(above[above > 0].sum())
    found: list[Region] = []
    for saddle in (math.inf, SADDLE):
        for cells in _things(above, saddle):
            levels = above.ravel()[cells]
            mass = float(levels.sum()) / total
            rows, columns = np.divmod(np.array(cells)[levels >= EDGE * levels.max()], heat.shape[1])
            box = _box(rows, columns, heat.shape)
            if mass >= LEAST_MASS and LEAST_AREA <= _area(box) <= MOST_AREA:
                found.append(Region(box=box, mass=mass))
    kept: list[Region] = []
    for region in sorted(found, key=lambda region: (-region.mass, region.box)):
        if all(overlap(region.box, other.box) <= MOST_OVERLAP for other in kept):
            kept.append(region)
    return [Region(box=within(seen, region.box), mass=round(region.mass, 4)) for region in kept[:limit]]


def overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union, 0 to 1."""
    shared = (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
    both = _area(shared) if shared[0] < shared[2] and shared[1] < shared[3] else 0.0
    return both / (_area(a) + _area(b) - both)


def within(outer: Box, box: Box) -> Box:
    """Return `box`, in shares of the box `outer`, in shares of what `outer` is measured in."""
    left, top, right, bottom = outer
    across, down = right - left, bottom - top
    return (
        round(left + box[0] * across, 4),
        round(top + box[1] * down, 4),
        round(left + box[2] * across, 4),
        round(top + box[3] * down, 4),
    )


def _finer(heat: Floats) -> Floats:
    height, width = heat.shape
    image = Image.fromarray(heat, mode="F")
    return np.asarray(image.resize((width * FINER, height * FINER), Image.Resampling.BILINEAR))


def _things(above: Floats, saddle: float) -> list[list[int]]:
    """Return the cells of each thing: a flooding of the positive cells of `above` from the peaks down.

    Where the floods of two peaks meet, the smaller one's becomes part of the other's unless it has fallen by more than
    `saddle` of its height.
    """
    height, width = above.shape
    flat = above.ravel()
    owner: dict[int, int] = {}
    parent: dict[int, int] = {}

    def root(peak: int) -> int:
        while parent[peak] != peak:
            peak = parent[peak]
        return peak

    for cell in np.argsort(-flat, kind="stable").tolist():
        level = float(flat[cell])
        if level <= 0:
            break
        row, column = divmod(cell, width)
        beside = [cell - width] * (row > 0) + [cell + width] * (row + 1 < height)
        beside += [cell - 1] * (column > 0) + [cell + 1] * (column + 1 < width)
        peaks = sorted({root(owner[each]) for each in beside if each in owner}, key=lambda peak: (-flat[peak], peak))
        if not peaks:
            parent[cell] = cell
        for smaller in peaks[1:]:
            if flat[smaller] - level <= saddle * flat[smaller]:
                parent[smaller] = peaks[0]
        owner[cell] = peaks[0] if peaks else cell
    things: defaultdict[int, list[int]] = defaultdict(list)
    for cell, peak in owner.items():
        things[root(peak)].append(cell)
    return list(things.values())


def _box(rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_], shape: tuple[int, ...]) -> Box:
    height, width = shape
    return (
        max(0.0, int(columns.min()) / width - PADDING),
        max(0.0, int(rows.min()) / height - PADDING),
        min(1.0, int(columns.max() + 1) / width + PADDING),
        min(1.0, int(rows.max() + 1) / height + PADDING),
    )


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
