"""Build rooms that large things stand in."""

from __future__ import annotations

import random

import numpy as np

from example_shop.drawing import canvas, materials, palette, props, shapes
from example_shop.drawing.places import building


def floor(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.66)
    building.boards(surface, rng, horizon=0.66)
    building.skirting(surface, wall, horizon=0.66)
    if rng.random() < 0.6:
        props.picture(surface, rng, box=(0.56, 0.06, 0.8, 0.36))
    props.plant(surface, rng, x=rng.choice([0.9, 0.1]), y=0.76, size=0.15, colour=rng.choice(building.POTS))
    props.stack(surface, rng, x=0.3, y=0.73, count=4, width=0.22)
    props.daylight(surface, rng)


def hall(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.7)
    panel = palette.lighter(wall, 0.4)
    surface.fill(building.quad(-0.1, 0.36, right=1.1, bottom=0.7), panel, form="sheet", depth=0.4)
    for k in range(6):
        x = -0.06 + k * 0.2
        surface.dim(
            shapes.ribbon(
                np.concatenate(
                    [
                        building.quad(x, 0.42, right=x + 0.16, bottom=0.62),
                        building.quad(x, 0.42, right=x + 0.16, bottom=0.62)[:1],
                    ]
                ),
                0.006,
            ),
            blur=0.003,
            strength=0.3,
        )
    surface.fill(building.quad(-0.1, 0.345, right=1.1, bottom=0.37), panel, form="round", radius=0.012)
    for k in range(4):
        x = 0.2 + 0.2 * k
        surface.fill(shapes.ribbon([(x, 0.16), (x, 0.2)], 0.014), palette.BRASS, form="round", radius=0.01)
        if (k + rng.randrange(2)) % 2 == 0:
            coat = shapes.symmetric([(x, 0.18), (x + 0.05, 0.21), (x + 0.085, 0.4), (x + 0.09, 0.58, 1)], axis=x)
            surface.dim(shapes.shifted(coat, (0.014, 0.014)), blur=0.02, strength=0.3)
            surface.fill(
                coat, materials.Paint(colour=rng.choice(props.SPINES), texture="cloth"), form="round", radius=0.05
            )
    tiles = materials.Paint(colour=(226, 218, 204), accent=(120, 116, 112), pattern="gingham", repeat=0.16)
    surface.fill(
        building.quad(-0.1, 0.7, right=1.1, bottom=1.1), tiles.tinted((212, 202, 188)), form="sheet", depth=-0.4
    )
    for row in range(5):
        y0, y1 = 0.7 + 0.024 * row * (row + 1) * 0.75, 0.7 + 0.024 * (row + 1) * (row + 2) * 0.75
        for k in range(-10, 10):
            if (k + row) % 2:
                s0, s1 = 0.1 + (y0 - 0.7) * 0.42, 0.1 + (y1 - 0.7) * 0.42
                cell = shapes.polygon(
                    (0.5 + k * s0, y0), (0.5 + (k + 1) * s0, y0), (0.5 + (k + 1) * s1, y1), (0.5 + k * s1, y1)
                )
                if cell[:, 0].max() > 0 and cell[:, 0].min() < 1:
                    surface.fill(cell, palette.mix(wall, (70, 70, 72), share=0.55), alpha=0.85)
    building.skirting(surface, wall, horizon=0.7)
    props.daylight(surface, rng, strength=0.26)


def window(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.72)
    surface.fill(building.quad(0.14, 0.03, right=0.7, bottom=0.62), (208, 224, 232), form="sheet", depth=-0.8)
    pane = building.quad(0.14, 0.03, right=0.7, bottom=0.62)
    for _ in range(26):
        surface.fill(
            shapes.ellipse(rng.uniform(0.1, 0.75), rng.uniform(0.36, 0.66), rx=0.075, ry=0.06),
            palette.mix(rng.choice(props.LEAVES), (208, 224, 220), share=0.35),
            clip=pane,
        )
    surface.glow(building.quad(0.14, 0.03, right=0.7, bottom=0.4), blur=0.06, strength=0.45, clip=pane)
    white = (246, 242, 234)
    for outline in (
        building.quad(0.12, 0.0, right=0.145, bottom=0.64),
        building.quad(0.695, 0.0, right=0.72, bottom=0.64),
        building.quad(0.408, 0.0, right=0.432, bottom=0.64),
        building.quad(0.12, 0.29, right=0.72, bottom=0.31),
        building.quad(0.1, 0.62, right=0.74, bottom=0.65),
    ):
        surface.fill(outline, white, form="round", radius=0.01)
    for left, right in ((-0.02, 0.16), (0.68, 0.86)):
        drape = shapes.curve(
            [
                (left, -0.05, 1),
                (right, -0.05, 1),
                (right - 0.01, 0.4),
                (right + 0.012, 0.7, 1),
                (left - 0.01, 0.7, 1),
                (left + 0.006, 0.4),
            ],
            closed=True,
        )
        surface.fill(
            drape, materials.Paint(colour=palette.lighter(wall, 0.35), texture="cloth"), form="round", radius=0.03
        )
        for k in range(5):
            x = left + (right - left) * (k + 0.5) / 5
            surface.dim(shapes.ribbon([(x, -0.02), (x + 0.004, 0.7)], 0.014), blur=0.01, strength=0.22, clip=drape)
    building.boards(surface, rng, horizon=0.72)
    props.plant(surface, rng, x=0.93, y=0.82, size=0.14, colour=rng.choice(building.POTS))
    for k in range(2):
        surface.glow(
            shapes.polygon(
                (0.2 + k * 0.3, 0.76), (0.42 + k * 0.3, 0.76), (0.6 + k * 0.3, 0.98), (0.34 + k * 0.3, 0.98)
            ),
            (255, 240, 208),
            blur=0.012,
            strength=0.3,
        )


def living(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.7)
    building.boards(surface, rng, horizon=0.7)
    building.skirting(surface, wall, horizon=0.7)
    props.picture(surface, rng, box=(0.28, 0.03, 0.5, 0.26))
    props.picture(surface, rng, box=(0.53, 0.06, 0.68, 0.24))
    rug = rng.choice(props.SPINES)
    surface.fill(
        shapes.ellipse(0.52, 0.89, rx=0.52, ry=0.12),
        materials.Paint(colour=palette.lighter(rug, 0.25), texture="knit"),
        form="round",
        radius=0.02,
    )
    surface.fill(shapes.ribbon(shapes.ellipse(0.52, 0.89, rx=0.47, ry=0.102), 0.008), palette.lighter(rug, 0.6))
    props.plant(surface, rng, x=0.08, y=0.8, size=0.17, colour=rng.choice(building.POTS))
    surface.fill(shapes.ribbon([(0.93, 0.28), (0.93, 0.78)], 0.01), (60, 56, 54))
    surface.fill(shapes.ellipse(0.93, 0.785, rx=0.06, ry=0.014), (60, 56, 54))
    surface.glow(shapes.ellipse(0.93, 0.26, rx=0.16, ry=0.16), (255, 224, 160), blur=0.08, strength=0.5)
    surface.fill(shapes.turned([(0.16, 0.06), (0.3, 0.1)], cx=0.93), (250, 228, 184), form="turned", depth=0.4)
    props.daylight(surface, rng, strength=0.22)
