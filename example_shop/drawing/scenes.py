"""List the scenes of the lifestyle pictures and paint them, slightly out of focus behind the product."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from example_shop.drawing import canvas, materials
from example_shop.drawing.places import rooms, street, surfaces, tops


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Hold how to build a place, where its ground lies, how blurred it is and how an alternative text calls it."""

    words: str
    build: Callable[[canvas.Canvas, random.Random], None]
    ground: float
    blur: float = 0.0028


SCENES: dict[str, Scene] = {
    "floor": Scene(words="on a wooden floor by the window", build=rooms.floor, ground=0.86),
    "hall": Scene(words="in the hallway", build=rooms.hall, ground=0.87),
    "street": Scene(words="in the street", build=street.street, ground=0.87, blur=0.0075),
    "window": Scene(words="by a tall window", build=rooms.window, ground=0.87),
    "living": Scene(words="in a living room", build=rooms.living, ground=0.91),
    "table": Scene(words="on the kitchen table", build=tops.table, ground=0.84, blur=0.004),
    "shelf": Scene(words="on a shelf among books", build=tops.shelf, ground=0.822, blur=0.0018),
    "desk": Scene(words="on a desk", build=tops.desk, ground=0.84, blur=0.004),
    "sideboard": Scene(words="on a sideboard", build=tops.sideboard, ground=0.81),
    "rail": Scene(words="on a clothes rail", build=surfaces.rail, ground=0.5, blur=0.002),
    "planks": Scene(words="on a wooden table, from above", build=surfaces.planks, ground=0.5, blur=0.0012),
    "linen": Scene(words="on crumpled linen", build=surfaces.linen, ground=0.5, blur=0.0012),
    "marble": Scene(words="on a tray, from above", build=surfaces.marble, ground=0.5, blur=0.0012),
    "sofa": Scene(words="on a sofa", build=surfaces.sofa, ground=0.58, blur=0.0025),
}
VARIANTS = 6


@functools.lru_cache(maxsize=24)
def background(name: str, variant: int, *, size: int) -> Image.Image:
    """Paint an empty scene, out of focus: at half size, since the blur leaves nothing finer."""
    scene = SCENES[name]
    surface = canvas.Canvas(size // 2, ground=Image.new("RGB", (size // 2, size // 2), (200, 196, 190)))
    scene.build(surface, random.Random(f"{name}/{variant}"))
    image = materials.softened(surface.image.convert("RGB"), scene.blur * size / 2)
    return image.resize((size, size), Image.Resampling.BICUBIC)
