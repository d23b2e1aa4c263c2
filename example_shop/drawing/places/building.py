"""Raise walls, lay floors and set tables: the shell of each scene."""

from __future__ import annotations

import random

from example_shop.drawing import canvas, materials, palette, shapes

WALLS: tuple[palette.RGB, ...] = (
    (224, 214, 200),
    (196, 204, 194),
    (206, 186, 170),
    (186, 198, 206),
    (228, 208, 196),
    (158, 172, 164),
)


POTS: tuple[palette.RGB, ...] = ((196, 116, 82), (232, 224, 210), (96, 104, 108), (168, 142, 116))


def quad(left: float, top: float, *, right: float, bottom: float) -> shapes.Path:
    return shapes.polygon((left, top), (right, top), (right, bottom), (left, bottom))


def wall(surface: canvas.Canvas, rng: random.Random, *, horizon: float) -> palette.RGB:
    colour = rng.choice(WALLS)
    surface.fill(quad(-0.1, -0.1, right=1.1, bottom=horizon + 0.02), colour, form="sheet", depth=0.9)
    return colour


def boards(surface: canvas.Canvas, rng: random.Random, *, horizon: float) -> None:
    wood = rng.choice([(178, 138, 100), (146, 106, 76), (200, 168, 130)])
    surface.fill(
        quad(-0.1, horizon, right=1.1, bottom=1.1),
        materials.Paint(colour=wood, texture="wood"),
        form="sheet",
        depth=-0.5,
    )
    for k in range(-9, 10):
        line = [(0.5 + k * 0.09, horizon), (0.5 + k * 0.2, 1.05)]
        surface.dim(shapes.ribbon(line, 0.002, end=0.006), blur=0.002, strength=0.5)
        if k % 2:
            surface.glow(
                shapes.polygon(
                    (0.5 + k * 0.09, horizon),
                    (0.5 + (k + 1) * 0.09, horizon),
                    (0.5 + (k + 1) * 0.2, 1.05),
                    (0.5 + k * 0.2, 1.05),
                ),
                blur=0.003,
                strength=0.06,
            )
    surface.dim(quad(-0.1, horizon, right=1.1, bottom=horizon + 0.02), blur=0.02, strength=0.4)


def skirting(surface: canvas.Canvas, wall: palette.RGB, *, horizon: float) -> None:
    surface.fill(
        quad(-0.1, horizon - 0.055, right=1.1, bottom=horizon), palette.lighter(wall, 0.45), form="round", radius=0.012
    )


def table_top(surface: canvas.Canvas, rng: random.Random, *, edge: float, colour: palette.RGB | None = None) -> None:
    wood = colour or rng.choice([(186, 142, 100), (150, 108, 76), (214, 188, 154)])
    surface.fill(
        quad(-0.1, edge, right=1.1, bottom=1.1),
        materials.Paint(colour=wood, texture="wood" if colour is None else ""),
        form="sheet",
        depth=-0.6,
    )
    surface.glow(quad(-0.1, edge, right=1.1, bottom=edge + 0.008), blur=0.004, strength=0.5)
