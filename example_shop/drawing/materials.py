"""Make what surfaces are covered with: repeating patterns and the grain of cloth, leather, wood and clay."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from example_shop.drawing import palette

TILE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Say what a surface is made of: colour, pattern with its accent and repeat, texture and gloss."""

    colour: palette.RGB
    accent: palette.RGB = palette.WHITE
    pattern: str = "plain"
    repeat: float = 0.1
    texture: str = ""
    gloss: float = 0.0

    def tinted(self, colour: palette.RGB) -> Paint:
        """Return the same material, plain, in another colour."""
        return replace(self, colour=colour, pattern="plain")


def _wrapped(draw: ImageDraw.ImageDraw, shape: Callable[[float, float], None]) -> None:
    for dx in (-TILE, 0, TILE):
        for dy in (-TILE, 0, TILE):
            shape(dx, dy)


def _stripes(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    draw.rectangle((0, 0, TILE, TILE * 0.36), fill=b)


def _pinstripes(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    for x in (0, TILE // 2):
        draw.rectangle((x, 0, x + TILE * 0.07, TILE), fill=b)


def _dots(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    def dot(x: float, y: float, r: float = TILE * 0.13) -> None:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=b)

    _wrapped(draw, lambda dx, dy: dot(TILE * 0.25 + dx, TILE * 0.25 + dy))
    _wrapped(draw, lambda dx, dy: dot(TILE * 0.75 + dx, TILE * 0.75 + dy))


def _gingham(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    half = TILE // 2
    draw.rectangle((0, 0, TILE, half - 1), fill=palette.mix(a, b, share=0.5))
    draw.rectangle((0, 0, half - 1, TILE), fill=palette.mix(a, b, share=0.5))
    draw.rectangle((0, 0, half - 1, half - 1), fill=b)


def _tartan(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    dark, mid = palette.darker(a, 0.35), palette.mix(a, b, share=0.35)
    draw.rectangle((0, TILE * 0.1, TILE, TILE * 0.45), fill=palette.mix(a, dark, share=0.6))
    draw.rectangle((TILE * 0.1, 0, TILE * 0.45, TILE), fill=palette.mix(a, dark, share=0.6))
    draw.rectangle((TILE * 0.1, TILE * 0.1, TILE * 0.45, TILE * 0.45), fill=dark)
    for at in (0.7, 0.25):
        line = b if at == 0.7 else mid
        draw.rectangle((0, TILE * at, TILE, TILE * (at + 0.05)), fill=line)
        draw.rectangle((TILE * at, 0, TILE * (at + 0.05), TILE), fill=line)


def _floral(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    leaf = palette.mix(palette.BY_NAME["sage"].rgb, a, share=0.35)
    if abs(palette.brightness(leaf) - palette.brightness(a)) < 0.12:
        leaf = palette.darker(leaf, 0.4) if palette.brightness(a) > 0.5 else palette.lighter(leaf, 0.45)
    heart = palette.BY_NAME["mustard"].rgb

    def sprig(cx: float, cy: float, r: float, turn: float) -> None:
        for k in range(3):
            angle = turn + math.radians(35 + 118 * k)
            for along in range(10):
                d, w = r * (0.9 + along * 0.085), r * 0.24 * math.sin(math.pi * (along + 1) / 11)
                x, y = cx + d * math.cos(angle), cy + d * math.sin(angle)
                draw.ellipse((x - w, y - w, x + w, y + w), fill=leaf)
        for k in range(5):
            angle = turn + math.radians(72 * k)
            x, y, w = cx + r * 0.55 * math.cos(angle), cy + r * 0.55 * math.sin(angle), r * 0.46
            draw.ellipse((x - w, y - w, x + w, y + w), fill=b if k % 2 else palette.mix(b, a, share=0.16))
        draw.ellipse((cx - r * 0.25, cy - r * 0.25, cx + r * 0.25, cy + r * 0.25), fill=heart)

    _wrapped(draw, lambda dx, dy: sprig(70 + dx, 74 + dy, 42, 0.3))
    _wrapped(draw, lambda dx, dy: sprig(196 + dx, 190 + dy, 33, 1.2))
    for x, y in ((180, 60), (60, 200), (128, 132), (236, 110), (120, 236)):
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=palette.mix(b, heart, share=0.3))


def _leaves(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    def branch(ox: float, oy: float) -> None:
        for k in range(8):
            y = oy + k * 32
            for side in (-1, 1):
                for step in range(12):
                    d, w = 6 + step * 4, 9 * math.sin(math.pi * (step + 1) / 13)
                    px, py = ox + side * d, y - d * 0.62
                    draw.ellipse((px - w, py - w, px + w, py + w), fill=b)
        draw.rectangle((ox - 2, 0, ox + 2, TILE), fill=b)

    for ox, oy in ((64, 0), (192, 16)):
        branch(ox, oy)
        branch(ox, oy + TILE)


def _waves(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    for row in range(-1, 5):
        for k in range(-1, 5):
            x, y = k * 64 + (row % 2) * 32, row * 64
            for r, fill in ((44, b), (34, a), (24, b), (14, a)):
                draw.ellipse((x - r, y - r + 40, x + r, y + r + 40), fill=fill)


def _zigzag(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    for row in range(-1, 3):
        y = row * 128
        top = [(x * 64, y + (64 if x % 2 else 0)) for x in range(-1, 6)]
        draw.polygon(top + [(x, v + 46) for x, v in reversed(top)], fill=b)


def _terrazzo(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    rng = random.Random("terrazzo")
    chips = (b, palette.mix(a, b, share=0.5), palette.darker(a, 0.35), palette.mix(b, (192, 101, 63), share=0.5))
    for _ in range(26):
        cx, cy, r, fill = rng.uniform(0, TILE), rng.uniform(0, TILE), rng.uniform(8, 20), rng.choice(chips)
        turns = [rng.uniform(0.6, 1.1) * r for _ in range(6)]
        ring = [(v * math.cos(k * 1.05), v * math.sin(k * 1.05)) for k, v in enumerate(turns)]
        for dx in (-TILE, 0, TILE):
            for dy in (-TILE, 0, TILE):
                draw.polygon([(cx + x + dx, cy + y + dy) for x, y in ring], fill=fill)


def _speckle(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    rng = random.Random("speckle")
    for _ in range(75):
        x, y, r = rng.uniform(8, TILE - 8), rng.uniform(8, TILE - 8), rng.uniform(1.5, 5)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=palette.mix(a, b, share=rng.uniform(0.5, 1)))


def _diamonds(draw: ImageDraw.ImageDraw, a: palette.RGB, *, b: palette.RGB) -> None:
    h = TILE / 2
    for r, fill in ((h, b), (h * 0.72, a), (h * 0.38, b)):
        draw.polygon([(h, h - r), (h + r, h), (h, h + r), (h - r, h)], fill=fill)


PATTERNS: dict[str, Callable[..., None]] = {
    "striped": _stripes,
    "pinstriped": _pinstripes,
    "dotted": _dots,
    "gingham": _gingham,
    "tartan": _tartan,
    "floral": _floral,
    "leafy": _leaves,
    "wavy": _waves,
    "zigzag": _zigzag,
    "terrazzo": _terrazzo,
    "speckled": _speckle,
    "diamond": _diamonds,
}


@functools.lru_cache(maxsize=64)
def tile(pattern: str, colour: palette.RGB, *, accent: palette.RGB, side: int) -> Image.Image:
    """Draw one repeat of a pattern, `side` pixels square, antialiased."""
    image = Image.new("RGB", (TILE, TILE), colour)
    PATTERNS[pattern](ImageDraw.Draw(image), colour, b=accent)
    return image.resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3)


def _noise(name: str, shape: tuple[int, int], *, blur: tuple[int, int]) -> np.ndarray:
    seed = int.from_bytes(name.encode(), "big") % 2**32
    field = np.random.default_rng(seed).standard_normal(shape)
    for axis, width in enumerate(blur):
        if width > 1:
            kernel = np.hanning(width + 2)
            spectrum = np.fft.rfft(np.pad(kernel, (0, shape[axis] - len(kernel))))
            shaped = spectrum[:, None] if axis == 0 else spectrum[None, :]
            field = np.fft.irfft(np.fft.rfft(field, axis=axis) * shaped, n=shape[axis], axis=axis)
    return field / field.std()


@functools.lru_cache(maxsize=32)
def _field(texture: str, pitch: int) -> np.ndarray:
    shape = (512, 512)
    y, x = np.mgrid[0:512, 0:512]
    if texture == "cloth":
        field = 2.2 * _noise("cloth", shape, blur=(1, 7)) + 2.2 * _noise("weft", shape, blur=(7, 1))
    elif texture == "canvas":
        weave = np.sin(x * 2 * np.pi / pitch / 1.5) * np.sin(y * 2 * np.pi / pitch / 1.5)
        field = 6 * weave + 2.6 * _noise("canvas", shape, blur=(3, 3))
    elif texture == "knit":
        lean = np.abs((x / (2.2 * pitch)) % 1 - 0.5) * 2
        field = 15 * np.sin((y / (2.0 * pitch) + lean) * 2 * np.pi) * (0.4 + lean) + 3 * _noise(
            "knit", shape, blur=(3, 3)
        )
    elif texture == "mesh":
        field = 15 * np.sign(np.sin(x * np.pi / pitch + (y // pitch % 2) * np.pi) * np.sin(y * np.pi / pitch))
        field = field * 0.6
    elif texture == "leather":
        field = 2.0 * _noise("leather", shape, blur=(5, 5)) + 2.0 * _noise("hide", shape, blur=(61, 61))
    elif texture == "wood":
        rings = np.sin(x / 17 + 5 * _noise("rings", shape, blur=(181, 61)))
        field = 6 * rings + 3.6 * _noise("wood", shape, blur=(91, 3))
    elif texture == "velvet":
        field = 3.4 * _noise("velvet", shape, blur=(61, 45)) + 2.0 * _noise("pile", shape, blur=(9, 3))
    elif texture == "clay":
        field = 2.4 * _noise("clay", shape, blur=(3, 3)) + 3 * _noise("glaze", shape, blur=(65, 65))
    else:
        field = 1.6 * _noise("fine", shape, blur=(2, 2))
    return np.clip(field + 128, 0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=32)
def grain(texture: str, unit: int) -> Image.Image:
    """Make a grey field around 128 with a material's grain, for a picture of `unit` x `unit` pixels."""
    field = _field(texture, max(3, unit // 200))
    times = -(-unit // 512)
    return Image.fromarray(np.ascontiguousarray(np.tile(field, (times, times))[:unit, :unit]))


@functools.lru_cache(maxsize=64)
def scaled(share: float) -> list[int]:
    """Return the look-up table that multiplies an 8-bit channel by a share."""
    return [min(255, round(v * share)) for v in range(256)]


def softened(image: Image.Image, radius: float) -> Image.Image:
    """Blur with three box passes: a Gaussian to the eye at a third of its cost."""
    return image.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius * 0.8)) if radius > 0 else image
