"""Build a street at noon or at dusk."""

from __future__ import annotations

import random

from example_shop.drawing import canvas, palette, props, shapes
from example_shop.drawing.places import building


def street(surface: canvas.Canvas, rng: random.Random) -> None:
    dusk = rng.random() < 0.4
    sky = (150, 168, 190) if not dusk else (206, 160, 140)
    surface.fill(building.quad(-0.1, -0.1, right=1.1, bottom=0.7), sky, form="sheet", depth=-0.8)
    x = -0.05
    while x < 1.05:
        width, top = rng.uniform(0.16, 0.28), rng.uniform(-0.05, 0.22)
        colour = rng.choice([(176, 120, 96), (206, 188, 164), (150, 148, 146), (188, 152, 128), (124, 134, 142)])
        surface.fill(
            building.quad(x, top, right=x + width, bottom=0.68),
            palette.darker(colour, 0.3) if dusk else colour,
            form="sheet",
        )
        for row in range(5):
            for k in range(3):
                wx, wy = x + width * (0.12 + 0.3 * k), top + 0.06 + row * 0.115
                lit = rng.random() < (0.5 if dusk else 0.15)
                surface.fill(
                    building.quad(wx, wy, right=wx + width * 0.17, bottom=wy + 0.06),
                    (250, 214, 140) if lit else (84, 96, 110),
                    form="sheet",
                )
        x += width
    for k in range(3):
        awning = rng.choice(props.SPINES)
        left = 0.02 + 0.36 * k
        surface.fill(
            shapes.polygon((left + 0.02, 0.5), (left + 0.22, 0.5), (left + 0.25, 0.57), (left - 0.01, 0.57)),
            awning,
            form="sheet",
        )
        surface.fill(
            building.quad(left + 0.02, 0.57, right=left + 0.22, bottom=0.68),
            (255, 222, 160) if dusk else (70, 72, 78),
            form="sheet",
        )
    for tx in (rng.uniform(0.0, 0.25), rng.uniform(0.75, 1.0)):
        surface.fill(shapes.ribbon([(tx, 0.7), (tx, 0.3)], 0.022, end=0.014), (86, 70, 60))
        for _ in range(16):
            surface.fill(
                shapes.ellipse(tx + rng.gauss(0, 0.07), 0.24 + rng.gauss(0, 0.07), rx=0.05, ry=0.045),
                rng.choice(props.LEAVES),
                form="round",
                radius=0.03,
            )
    surface.fill(building.quad(-0.1, 0.68, right=1.1, bottom=1.1), (168, 162, 156), form="sheet", depth=-0.6)
    surface.fill(building.quad(-0.1, 0.68, right=1.1, bottom=0.7), (132, 126, 122))
    for y in (0.74, 0.81, 0.92):
        surface.dim(building.quad(-0.1, y, right=1.1, bottom=y + 0.004), blur=0.002, strength=0.4)
    for k in range(-6, 7):
        surface.dim(
            shapes.ribbon([(0.5 + k * 0.14, 0.7), (0.5 + k * 0.3, 1.05)], 0.003, end=0.005), blur=0.002, strength=0.35
        )
    for _ in range(14):
        bx, by, r = rng.uniform(0, 1), rng.uniform(0.05, 0.6), rng.uniform(0.012, 0.034)
        surface.glow(shapes.ellipse(bx, by, rx=r, ry=r), (255, 224, 168), blur=0.004, strength=0.5 if dusk else 0.22)
