"""Make a customer's photo of a catalogue picture: ground truth for "photo -> product" before any customer came.

The product is cut out where it stands on a plain ground, put before another background, seen from an angle, partly out
of the frame, in another light, and stored as a phone would: blur, noise, JPEG. It differs from a real photo; read the
differences between recipes, not the levels.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Floats = npt.NDArray[np.float32]

SIDE, LONG = 448, 596
"""Pixels of the photo's sides: square, upright or across."""

_THUMBNAIL = 128
_PLAIN, _NEAR = 0.75, 40
"""A ground is plain where so much of the border differs from its median by less (sum over red, green and blue)."""

_LEAST_OBJECT = 0.04


def photo(picture: Image.Image, *, seed: int) -> bytes:
    """Return a simulated photo of what `picture` shows as a JPEG file: the same for the same `seed`, on any machine."""
    random = np.random.default_rng(seed)
    width, height = [(SIDE, SIDE), (SIDE, LONG), (LONG, SIDE)][random.integers(3)]
    product = picture.convert("RGB")
    product.thumbnail((LONG, LONG))
    seen = _placed(_cut_out(product), _background((width, height), random), random)
    if random.random() < 0.6:
        seen = seen.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.6)))
    pixels = _lit(np.asarray(seen, np.float32), random)
    pixels += random.normal(0, random.uniform(1, 9), pixels.shape)
    file = io.BytesIO()
    taken = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    taken.save(file, "JPEG", quality=int(random.integers(45, 88)))
    return file.getvalue()


def _cut_out(picture: Image.Image) -> Image.Image:
    """Return `picture` as RGBA: a plain ground, as far as it reaches in from the border, is transparent."""
    small = picture.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    pixels = np.asarray(small, np.int16)
    border = np.vstack([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    result = picture.convert("RGBA")
    if (np.abs(border - ground).sum(axis=1) < _NEAR).mean() < _PLAIN:
        return result
    difference = np.abs(pixels - ground).sum(axis=2).clip(0, 254).astype(np.uint8)
    # One ring of plain ground around it, so that one flood reaches the ground from every side.
    filled = Image.fromarray(np.pad(difference, 1)).copy()  # what shares numpy's memory can't be drawn on
    ImageDraw.floodfill(filled, (0, 0), 255, thresh=_NEAR)
    mask = np.asarray(filled)[1:-1, 1:-1] != 255
    if mask.mean() >= _LEAST_OBJECT:
        result.putalpha(Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BICUBIC))
        result = result.crop(result.getbbox())
    return result


def _background(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Return a blurred room: patches of muted colours, some objects, and a texture."""
    cells = (
        random.uniform(40, 215) + random.normal(0, 14, (1, 1, 3)) + random.normal(0, 30, (*random.integers(2, 7, 2), 1))
    )
    cells = cells + random.normal(0, 10, cells.shape)
    ground = Image.fromarray(cells.clip(0, 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(random.integers(0, 7)):
        x, y = random.uniform(-0.2, 1, 2) * size
        w, h = random.uniform(0.1, 0.7, 2) * size
        muted = random.uniform(20, 235) + random.normal(0, 28, 3)
        colour = tuple(int(value) for value in muted.clip(0, 255))
        shape = draw.ellipse if random.random() < 0.4 else draw.rectangle
        shape((x, y, x + w, y + h), fill=colour)
    ground = ground.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 8)))
    grain = random.normal(0, random.uniform(0, 9), (size[1] // 2, size[0] // 2, 1))
    grain = np.repeat(np.repeat(grain, 2, axis=0), 2, axis=1)
    return Image.fromarray((np.asarray(ground, np.float32) + grain).clip(0, 255).astype(np.uint8))


def _placed(product: Image.Image, ground: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return `ground` with `product` in perspective before it, the edge of the frame cutting off a little at times."""
    width, height = ground.size
    # A scene fills the frame; an object that was cut out stands in it.
    least, most = (0.85, 1.25) if product.getextrema()[3][0] == 255 else (0.6, 1.05)
    scale = random.uniform(least, most) * min(width / product.width, height / product.height)
    half = np.array([product.width, product.height]) * scale / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = corners + random.normal(0, 0.05, (4, 2)) * 2 * half
    angle = np.deg2rad(random.normal(0, 9))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = corners @ turn + np.array([width, height]) * random.uniform(0.42, 0.58, 2)
    source = np.array([[0, 0], [product.width, 0], [product.width, product.height], [0, product.height]])
    warped = product.transform(
        ground.size, Image.Transform.PERSPECTIVE, _perspective(corners, source), Image.Resampling.BICUBIC
    )
    ground.paste(warped, mask=warped.getchannel("A"))
    return ground


def _perspective(target: npt.NDArray[np.float64], source: npt.NDArray[np.integer]) -> tuple[float, ...]:
    """Return Pillow's eight coefficients that map the four points `target` [4, 2] to `source` [4, 2]."""
    rows = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return tuple(np.linalg.solve(np.array(rows, np.float64), source.reshape(-1).astype(np.float64)).tolist())


def _lit(pixels: Floats, random: np.random.Generator) -> Floats:
    """Return `pixels` [h, w, 3] in another light: exposure, its fall across the picture, white balance, contrast."""
    height, width = pixels.shape[:2]
    angle, fall = random.uniform(0, 2 * np.pi), random.uniform(0, 0.35)
    down, across = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    light = 1 + fall * (np.cos(angle) * across + np.sin(angle) * down) / 2
    warmth = random.normal(0, 0.08)
    balance = np.array([1 + warmth, 1 + random.normal(0, 0.03), 1 - warmth])
    exposed = pixels / 255 * (light[:, :, None] * balance * random.uniform(0.65, 1.2))
    lit: Floats = (255 * exposed.clip(0, 1) ** random.uniform(0.8, 1.3)).astype(np.float32)
    return lit
