"""Paint outlines with light from the top left: the one surface that every product is drawn on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from example_shop.drawing import materials, palette, shapes

Box = tuple[int, int, int, int]
Outline = shapes.Path | Sequence[shapes.Path]

# Masks alone are supersampled: painting whole pictures at 3 x cost ten times as much.
OVERSAMPLE = 3
# Light and shade are smooth, so they are worked out on a coarse grid of at most this many cells a side.
COARSE = 150
LIGHT = np.array([-0.52, -0.58, 0.63])

_SHADOW_TINT, _LIGHT_TINT = (1.02, 1.03, 0.93), (1.0, 0.98, 0.9)
_TINTS = [
    [int(np.clip(128 + (s - 128) * (_SHADOW_TINT[c] if s < 128 else _LIGHT_TINT[c]), 0, 255)) for s in range(256)]
    for c in range(3)
]


_FAINT = [round(128 + (v - 128) * 0.5) for v in range(256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Place the unit square on the picture: turn and scale about its centre, reflect, then shift."""

    scale: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0
    mirror: bool = False


class Canvas:
    """Hold a transparent square picture and paint on it in unit coordinates."""

    def __init__(self, size: int, frame: Frame | None = None, *, ground: Image.Image | None = None) -> None:
        self.size = size
        self.frame = frame or Frame()
        self.image = ground.convert("RGBA") if ground else Image.new("RGBA", (size, size), (128, 128, 128, 0))

    def pixels(self, path: shapes.Path) -> shapes.Path:
        """Turn unit coordinates into pixels of this picture."""
        f = self.frame
        points = shapes.flipped(path) if f.mirror else path
        if f.turn:
            points = shapes.spun(points, f.turn, cx=0.5, cy=0.5)
        return ((points - 0.5) * f.scale + 0.5 + (f.dx, f.dy)) * self.size

    def _mask(self, outline: Outline, *, holes: Outline, clip: Outline | None) -> tuple[Image.Image, Box] | None:
        paths = [self.pixels(p) for p in _paths(outline)]
        points = np.concatenate(paths)
        low, high = np.floor(points.min(0)) - 1, np.ceil(points.max(0)) + 2
        left, top = int(max(low[0], 0)), int(max(low[1], 0))
        right, bottom = int(min(high[0], self.size)), int(min(high[1], self.size))
        if right - left < 2 or bottom - top < 2:
            return None
        box = (left, top, right, bottom)
        mask = self._raster(paths, box, holes=[self.pixels(p) for p in _paths(holes)])
        if clip is not None:
            mask = ImageChops.multiply(mask, self._raster([self.pixels(p) for p in _paths(clip)], box))
        return mask, box

    @staticmethod
    def _raster(paths: Sequence[shapes.Path], box: Box, *, holes: Sequence[shapes.Path] = ()) -> Image.Image:
        k = OVERSAMPLE
        image = Image.new("L", ((box[2] - box[0]) * k, (box[3] - box[1]) * k))
        draw = ImageDraw.Draw(image)
        for group, value in ((paths, 255), (holes, 0)):
            for path in group:
                draw.polygon(((path - box[:2]) * k).ravel().tolist(), fill=value)
        return image.reduce(k)

    def fill(
        self,
        outline: Outline,
        paint: materials.Paint | palette.RGB,
        *,
        form: str = "flat",
        radius: float = 0.03,
        depth: float = 1.0,
        holes: Outline = (),
        clip: Outline | None = None,
        alpha: float = 1.0,
    ) -> None:
        """Paint an outline as a body of a form.

        Forms: `flat` (no shade), `sheet` (a slow fall of light), `round` (a body with edges rounded over
        `radius`) and `turned` (a body of revolution, on which the pattern wraps).
        """
        found = self._mask(outline, holes=holes, clip=clip)
        if found is None:
            return
        mask, box = found
        if not isinstance(paint, materials.Paint):
            paint = materials.Paint(colour=paint)
        size = mask.size
        layer = self._cover(paint, mask, form=form)
        shade = None
        if form != "flat":
            shade = _shade(
                mask, form=form, radius=radius * self.frame.scale * self.size, gloss=paint.gloss, depth=depth
            )
        if paint.texture:
            grain = materials.grain(paint.texture, self.size).crop((0, 0, *size))
            if palette.brightness(paint.colour) > 0.72:
                # Grain only darkens what is nearly white, so at full strength it reads as dirt.
                grain = grain.point(_FAINT)
            shade = ImageChops.add(shade, grain, 1, -128) if shade else grain
        if shade:
            layer = ImageChops.hard_light(layer, Image.merge("RGB", [shade.point(lut) for lut in _TINTS]))
        layer.putalpha(mask if alpha == 1 else mask.point(materials.scaled(alpha)))
        self.image.alpha_composite(layer, box[:2])

    def _cover(self, paint: materials.Paint, mask: Image.Image, *, form: str) -> Image.Image:
        width, height = mask.size
        if paint.pattern == "plain":
            return Image.new("RGB", mask.size, paint.colour)
        side = max(6, round(paint.repeat * self.frame.scale * self.size))
        tile = materials.tile(paint.pattern, paint.colour, accent=paint.accent, side=side)
        repeat = np.asarray(tile)
        x = np.arange(width)
        if form == "turned":
            centre, half = _extent(np.asarray(mask))
            u = np.clip((x[None, :] - centre[:, None]) / half[:, None], -1, 1)
            columns = (np.arcsin(u) * half.max()).astype(np.int32) % side
            rows = np.arange(height) % side
            return Image.fromarray(repeat[rows[:, None], columns])
        tiled = np.tile(repeat, (-(-height // side), -(-width // side), 1))
        return Image.fromarray(np.ascontiguousarray(tiled[:height, :width]))

    def glow(
        self,
        outline: Outline,
        colour: palette.RGB = (255, 252, 244),
        *,
        blur: float = 0.015,
        strength: float = 0.5,
        clip: Outline | None = None,
        holes: Outline = (),
    ) -> None:
        """Lay a soft patch of light or shadow over an outline, kept inside `clip`."""
        reach = blur * self.frame.scale * self.size
        points = np.concatenate([self.pixels(p) for p in _paths(outline)])
        low, high = np.floor(points.min(0) - 2 * reach), np.ceil(points.max(0) + 2 * reach)
        box = (int(max(low[0], 0)), int(max(low[1], 0)), int(min(high[0], self.size)), int(min(high[1], self.size)))
        if box[2] - box[0] < 3 or box[3] - box[1] < 3:
            return
        width, height = box[2] - box[0], box[3] - box[1]
        coarse = max(1.0, reach / 3)
        small = Image.new("L", (max(2, round(width / coarse)), max(2, round(height / coarse))))
        draw = ImageDraw.Draw(small)
        ratio = np.array([small.width / width, small.height / height])
        level = round(255 * strength)
        for group, value in ((outline, level), (holes, 0)):
            for path in _paths(group):
                draw.polygon(((self.pixels(path) - box[:2]) * ratio).ravel().tolist(), fill=value)
        small = materials.softened(small, reach / coarse * 0.6)
        mask = small.resize((width, height), Image.Resampling.BICUBIC)
        if clip is not None:
            inside = self._raster([self.pixels(p) for p in _paths(clip)], box)
            mask = ImageChops.multiply(mask, inside)
        layer = Image.new("RGB", mask.size, colour)
        layer.putalpha(mask)
        self.image.alpha_composite(layer, box[:2])

    def dim(
        self,
        outline: Outline,
        *,
        blur: float = 0.015,
        strength: float = 0.3,
        clip: Outline | None = None,
        holes: Outline = (),
    ) -> None:
        """Lay a soft shadow over an outline."""
        self.glow(outline, (30, 22, 34), blur=blur, strength=strength, clip=clip, holes=holes)


def _paths(outline: Outline) -> list[shapes.Path]:
    if isinstance(outline, np.ndarray):
        return [outline]
    return list(outline)


def _extent(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inside = mask > 100
    some = inside.any(1)
    left = np.where(some, inside.argmax(1), mask.shape[1] / 2)
    right = np.where(some, mask.shape[1] - 1 - inside[:, ::-1].argmax(1), mask.shape[1] / 2)
    return (left + right) / 2, np.maximum((right - left + 1) / 2, 0.5)


def _shade(mask: Image.Image, *, form: str, radius: float, gloss: float, depth: float) -> Image.Image:
    """Work out light and shade as a grey picture: 128 is neither (Lambert, and Blinn-Phong for the gloss)."""
    width, height = mask.size
    ratio = min(1.0, COARSE / max(width, height))
    size = (max(2, math.ceil(width * ratio)), max(2, math.ceil(height * ratio)))
    small = mask.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.5) if ratio < 1 else mask
    if form == "turned":
        centre, half = _extent(np.asarray(small))
        kernel = np.ones(5) / 5
        centre, half = (np.convolve(np.pad(v, 2, mode="edge"), kernel, "valid") for v in (centre, half))
        nx = np.clip((np.arange(size[0])[None, :] - centre[:, None]) / half[:, None], -0.995, 0.995)
        slope = np.gradient(half) if len(half) > 1 else np.zeros_like(half)
        ny = np.broadcast_to(-np.clip(slope, -1.2, 1.2)[:, None] * 0.6, nx.shape)
        nz = np.sqrt(1 - nx**2)
    elif form == "sheet":
        y, x = np.mgrid[0 : size[1], 0 : size[0]]
        fall = (x / size[0] * 0.5 + y / size[1]) / 1.5 - 0.5
        return _grey(-46 * depth * fall, (width, height))
    else:
        reach = max(1.0, radius * ratio)
        pad = math.ceil(reach * 2)
        padded = Image.new("L", (size[0] + 2 * pad, size[1] + 2 * pad))
        padded.paste(small, (pad, pad))
        blurred = np.asarray(materials.softened(padded, reach * 0.75), np.float32) / 255
        blurred = blurred[pad : pad + size[1], pad : pad + size[0]]
        # Convex corners blur to a quarter, straight edges to a half: both must still slope outwards.
        rise = np.sqrt(np.clip((blurred - 0.2) / 0.8, 0, 1) + 0.02) * reach * 1.55
        gy, gx = np.gradient(rise)
        length = np.sqrt(gx**2 + gy**2 + 1)
        nx, ny, nz = -gx / length, -gy / length, 1 / length
    lit = nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2]
    shade = 78 * depth * (lit - LIGHT[2])
    if form == "turned":
        shade += 20 * np.clip(nx - 0.72, 0, 1) * depth * 2
    half_way = LIGHT + np.array([0, 0, 1])
    half_way = half_way / np.linalg.norm(half_way)
    if gloss:
        shine = np.clip(nx * half_way[0] + ny * half_way[1] + nz * half_way[2], 0, 1)
        shade = shade + 120 * gloss * shine**36
    return _grey(shade, (width, height))


def _grey(shade: np.ndarray, size: tuple[int, int]) -> Image.Image:
    image = Image.fromarray(np.clip(shade + 128, 0, 255).astype(np.uint8))
    return image.resize(size, Image.Resampling.BICUBIC) if image.size != size else image
