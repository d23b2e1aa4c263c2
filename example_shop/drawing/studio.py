"""Photograph a drawn product in the studio: a light seamless backdrop, a soft shadow, a breath of film grain."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageChops

from example_shop.drawing import canvas, materials, palette

TONES: dict[str, palette.RGB] = {
    "white": (250, 249, 247),
    "warm": (246, 241, 234),
    "cool": (240, 243, 245),
    "stone": (238, 236, 232),
}


@functools.lru_cache(maxsize=16)
def backdrop(size: int, tone: str, *, stance: str) -> Image.Image:
    """Return an empty studio: a wall that falls off from the light, and a floor that it fades into."""
    y, x = np.mgrid[0:100, 0:100] / 99
    light = 1.012 - 0.075 * np.hypot(x - 0.32, y - 0.3) ** 1.6
    if stance == "standing":
        light -= 0.018 * np.clip(1 - np.abs(y - 0.72) / 0.16, 0, 1) ** 2
        light += 0.012 * np.clip((y - 0.74) / 0.2, 0, 1)
    grey = np.clip(light[..., None] * np.array(TONES[tone]), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).resize((size, size), Image.Resampling.BICUBIC)


def shadowed(picture: Image.Image, product: Image.Image, *, stance: str, strength: float = 1.0) -> Image.Image:
    """Lay a product's shadow and then the product over a picture."""
    size = picture.width
    if product.getbbox() is None:
        return picture
    small = product.getchannel("A").resize((200, 200), Image.Resampling.BOX, reducing_gap=2)
    # A product cut by the frame has no ground to stand on, so no shadow may be drawn along the edge.
    box = small.getbbox() or (0, 0, 200, 200)
    if stance == "standing":
        cast = _on_floor(small, box[3] - 1.5) if box[3] < 198 else Image.new("L", (200, 200))
    else:
        near = materials.softened(_moved(small, 2, dy=3), 2).point(materials.scaled(0.3))
        far = materials.softened(_moved(small, 5, dy=8), 7).point(materials.scaled(0.22))
        cast = ImageChops.add(near, far)
    cast = cast.point(materials.scaled(strength))
    dark = Image.new("RGB", (size, size), (44, 34, 40))
    picture.paste(dark, (0, 0), cast.resize((size, size), Image.Resampling.BILINEAR))
    picture.paste(product, (0, 0), product)
    return picture


def _moved(image: Image.Image, dx: int, *, dy: int) -> Image.Image:
    # ImageChops.offset would carry what leaves one edge in at the other; here the edge goes on.
    width, height = image.size
    moved = Image.new(image.mode, image.size)
    moved.paste(image.crop((0, 0, width, 1)).resize((width, dy)), (dx, 0))
    moved.paste(image.crop((0, 0, 1, height)).resize((dx, height)), (0, dy))
    moved.paste(image, (dx, dy))
    return moved


def _on_floor(small: Image.Image, ground: float) -> Image.Image:
    def squash(shape: Image.Image, height: float, *, lean: float, drop: float) -> Image.Image:
        k = 1 / height
        return shape.transform(
            (200, 200),
            Image.Transform.AFFINE,
            (1, lean * k, -lean * k * (ground + drop), 0, k, ground - k * (ground + drop)),
            Image.Resampling.BILINEAR,
        )

    # Spouts and handles hang too high to darken the ground that closely.
    box = small.getbbox() or (0, 0, 200, 200)
    low = Image.new("L", (200, 200))
    edge = round(ground - (ground - box[1]) * 0.14)
    low.paste(small.crop((0, edge, 200, 200)), (0, edge))
    cast = materials.softened(squash(small, 0.2, lean=0.45, drop=1), 5).point(materials.scaled(0.3))
    close = materials.softened(squash(low, 0.055, lean=0.2, drop=2), 2).point(materials.scaled(0.62))
    foot = np.array(small)
    foot[: max(0, int(ground) - 5)] = 0
    contact = materials.softened(_moved(Image.fromarray(foot), 1, dy=2), 1.2)
    contact = contact.point(materials.scaled(0.5))
    return ImageChops.lighter(ImageChops.lighter(cast, close), contact)


def finished(picture: Image.Image) -> Image.Image:
    """Add the film grain that keeps smooth gradients from banding."""
    size = picture.width
    return ImageChops.add(picture, _film(size), 1, -128)


@functools.lru_cache(maxsize=4)
def _film(size: int) -> Image.Image:
    return Image.merge("RGB", [materials.grain("", size)] * 3)


def photograph(product: canvas.Canvas, *, tone: str, stance: str) -> Image.Image:
    """Put a drawn product on the studio's backdrop."""
    picture = backdrop(product.size, tone, stance=stance).copy()
    return finished(shadowed(picture, product.image, stance=stance))
