"""Build tables and shelves that small things stand on."""

from __future__ import annotations

import random

import numpy as np

from example_shop.drawing import canvas, materials, palette, props, shapes
from example_shop.drawing.places import building


def table(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.68)
    surface.fill(building.quad(0.04, -0.05, right=0.4, bottom=0.46), (222, 232, 236), form="sheet", depth=-0.6)
    for _ in range(10):
        surface.fill(
            shapes.ellipse(rng.uniform(0.06, 0.4), rng.uniform(0.28, 0.5), rx=0.05, ry=0.05),
            palette.mix(rng.choice(props.LEAVES), (222, 232, 230), share=0.45),
            clip=building.quad(0.04, -0.05, right=0.4, bottom=0.46),
        )
    for outline in (
        building.quad(0.02, -0.1, right=0.045, bottom=0.48),
        building.quad(0.395, -0.1, right=0.42, bottom=0.48),
        building.quad(0.21, -0.1, right=0.23, bottom=0.48),
        building.quad(0.0, 0.46, right=0.44, bottom=0.49),
    ):
        surface.fill(outline, palette.lighter(wall, 0.6), form="round", radius=0.008)
    for y in (0.24,):
        surface.dim(building.quad(0.58, y + 0.02, right=1.1, bottom=y + 0.05), blur=0.02, strength=0.3)
        surface.fill(building.quad(0.56, y, right=1.1, bottom=y + 0.024), palette.OAK, form="round", radius=0.01)
        props.books(surface, rng, x=0.6, y=y, count=4, height=0.16)
        props.pot(surface, x=0.9, y=y, size=0.09, colour=rng.choice(building.POTS))
    building.table_top(surface, rng, edge=0.66)
    if rng.random() < 0.5:
        props.bowl(surface, x=0.86, y=0.74, size=0.11, colour=rng.choice(building.POTS))
        props.stack(surface, rng, x=0.13, y=0.73, count=2, width=0.24)
    else:
        props.plant(surface, rng, x=0.9, y=0.74, size=0.11, colour=rng.choice(building.POTS))
        props.bowl(surface, x=0.1, y=0.74, size=0.09, colour=(224, 216, 202))
    props.daylight(surface, rng, strength=0.2)


def shelf(surface: canvas.Canvas, rng: random.Random) -> None:
    building.wall(surface, rng, horizon=1.1)
    wood = rng.choice([palette.OAK, palette.WALNUT, (232, 226, 216)])
    for y in (0.1, 0.82):
        surface.dim(building.quad(-0.1, y + 0.03, right=1.1, bottom=y + 0.09), blur=0.03, strength=0.4)
        surface.fill(
            building.quad(-0.1, y, right=1.1, bottom=y + 0.036),
            materials.Paint(colour=wood, texture="wood" if wood[2] < 200 else ""),
            form="round",
            radius=0.012,
        )
        surface.glow(building.quad(-0.1, y - 0.004, right=1.1, bottom=y + 0.005), blur=0.003, strength=0.4)
    props.books(surface, rng, x=0.02 if rng.random() < 0.5 else 0.06, y=0.82, count=5, height=0.27)
    if rng.random() < 0.5:
        props.plant(surface, rng, x=0.88, y=0.82, size=0.11, colour=rng.choice(building.POTS))
    else:
        props.picture(surface, rng, box=(0.78, 0.5, 0.98, 0.815))
    props.stack(surface, rng, x=0.4, y=0.1, count=2, width=0.2)
    props.pot(surface, x=0.72, y=0.1, size=0.1, colour=rng.choice(building.POTS))
    props.leaf_shadow(surface, rng)
    props.daylight(surface, rng, strength=0.18)


def desk(surface: canvas.Canvas, rng: random.Random) -> None:
    building.wall(surface, rng, horizon=0.72)
    board = building.quad(0.42, 0.04, right=0.96, bottom=0.4)
    surface.dim(shapes.shifted(board, (0.01, 0.014)), blur=0.014, strength=0.25)
    surface.fill(board, materials.Paint(colour=(206, 172, 132), texture="clay"), form="sheet", depth=0.4)
    for k in range(5):
        x, y = 0.46 + 0.1 * k, 0.08 + 0.09 * (k % 2) + rng.uniform(0, 0.03)
        card = shapes.spun(building.quad(x, y, right=x + 0.085, bottom=y + 0.11), rng.uniform(-8, 8), cx=x, cy=y)
        surface.fill(card, rng.choice([*props.SPINES, (246, 242, 232)]), form="sheet", depth=0.4)
    building.table_top(surface, rng, edge=0.7, colour=(226, 218, 206))
    surface.fill(
        shapes.rounded(0.02, 0.42, right=0.34, bottom=0.7, radius=0.014), (66, 68, 72), form="round", radius=0.012
    )
    surface.fill(building.quad(0.035, 0.435, right=0.325, bottom=0.68), (126, 152, 166), form="sheet", depth=-0.8)
    surface.fill(shapes.polygon((0.0, 0.7), (0.36, 0.7), (0.4, 0.745), (-0.04, 0.745)), (170, 172, 174), form="sheet")
    for k in range(5):
        surface.fill(
            shapes.ribbon([(0.86 + 0.012 * k, 0.66), (0.85 + 0.02 * k, 0.48 + 0.02 * (k % 3))], 0.01),
            rng.choice(props.SPINES),
            form="round",
            radius=0.006,
        )
    props.pot(surface, x=0.885, y=0.74, size=0.12, colour=rng.choice(building.POTS))
    props.stack(surface, rng, x=0.66, y=0.75, count=2, width=0.2)
    props.daylight(surface, rng, strength=0.2)


def sideboard(surface: canvas.Canvas, rng: random.Random) -> None:
    building.wall(surface, rng, horizon=0.9)
    props.picture(surface, rng, box=(0.62, 0.1, 0.92, 0.5))
    wood = rng.choice([palette.OAK, palette.WALNUT])
    top = 0.82
    surface.fill(
        building.quad(-0.1, top, right=1.1, bottom=1.1),
        materials.Paint(colour=palette.darker(wood, 0.14), texture="wood"),
        form="sheet",
    )
    for x in (0.02, 0.345, 0.67):
        surface.dim(
            shapes.ribbon(
                np.concatenate(
                    [
                        building.quad(x, top + 0.05, right=x + 0.31, bottom=1.05),
                        building.quad(x, top + 0.05, right=x + 0.31, bottom=1.05)[:1],
                    ]
                ),
                0.006,
            ),
            blur=0.002,
            strength=0.5,
        )
        surface.fill(shapes.ellipse(x + 0.28, 0.93, rx=0.012, ry=0.012), palette.BRASS, form="round", radius=0.01)
    surface.fill(
        building.quad(-0.1, top - 0.05, right=1.1, bottom=top + 0.02),
        materials.Paint(colour=palette.lighter(wood, 0.15), texture="wood"),
        form="round",
        radius=0.01,
    )
    props.stack(surface, rng, x=0.2, y=0.785, count=3, width=0.22)
    if rng.random() < 0.6:
        props.plant(surface, rng, x=0.88, y=0.79, size=0.12, colour=rng.choice(building.POTS))
    else:
        props.bowl(surface, x=0.84, y=0.79, size=0.1, colour=rng.choice(building.POTS))
    props.leaf_shadow(surface, rng)
    props.daylight(surface, rng, strength=0.18)
