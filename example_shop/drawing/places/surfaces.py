"""Build what things hang on and lie on: a rail, a sofa, wood, linen, stone."""

from __future__ import annotations

import random

import numpy as np

from example_shop.drawing import canvas, materials, palette, props, shapes
from example_shop.drawing.places import building


def rail(surface: canvas.Canvas, rng: random.Random) -> None:
    wall = building.wall(surface, rng, horizon=0.93)
    building.boards(surface, rng, horizon=0.93)
    building.skirting(surface, wall, horizon=0.93)
    for x in (0.06, 0.13, 0.88, 0.96):
        colour = rng.choice(props.SPINES)
        garment = shapes.curve(
            [
                (x - 0.02, 0.12),
                (x + 0.02, 0.12),
                (x + 0.06, 0.2),
                (x + 0.075, rng.uniform(0.62, 0.8), 1),
                (x - 0.075, rng.uniform(0.62, 0.8), 1),
                (x - 0.06, 0.2),
            ],
            closed=True,
        )
        surface.dim(shapes.shifted(garment, (0.02, 0.02)), blur=0.025, strength=0.35)
        surface.fill(garment, materials.Paint(colour=colour, texture="cloth"), form="round", radius=0.04)
    surface.dim(shapes.ribbon([(-0.05, 0.08), (1.05, 0.08)], 0.014), blur=0.02, strength=0.3)
    surface.fill(shapes.ribbon([(-0.05, 0.05), (1.05, 0.05)], 0.018), palette.OAK, form="round", radius=0.01)
    hook = shapes.curve([(0.5, 0.14), (0.502, 0.09), (0.52, 0.055), (0.5, 0.034), (0.482, 0.05)])
    surface.fill(shapes.ribbon(hook, 0.007), palette.BRASS, form="round", radius=0.005)
    surface.fill(
        shapes.ribbon(shapes.curve([(0.37, 0.205), (0.5, 0.13), (0.63, 0.205)]), 0.022),
        palette.OAK,
        form="round",
        radius=0.012,
    )
    props.daylight(surface, rng, strength=0.26)
    props.leaf_shadow(surface, rng, strength=0.1)


def sofa(surface: canvas.Canvas, rng: random.Random) -> None:
    building.wall(surface, rng, horizon=1.1)
    props.picture(surface, rng, box=(0.06, -0.08, 0.34, 0.16))
    cloth = rng.choice([(176, 168, 156), (122, 140, 138), (196, 170, 146), (108, 116, 128), (206, 198, 186)])
    paint = materials.Paint(colour=cloth, texture="canvas")
    for left, right in ((-0.3, 0.49), (0.495, 1.3)):
        surface.fill(shapes.rounded(left, 0.24, right=right, bottom=0.9, radius=0.06), paint, form="round", radius=0.06)
    surface.dim(building.quad(-0.1, 0.76, right=1.1, bottom=0.82), blur=0.03, strength=0.4)
    surface.fill(shapes.rounded(-0.3, 0.79, right=1.3, bottom=1.2, radius=0.05), paint, form="round", radius=0.06)
    throw = shapes.curve(
        [(0.8, 0.2, 1), (1.1, 0.2, 1), (1.1, 1.1, 1), (0.86, 1.1, 1), (0.83, 0.7), (0.82, 0.4)], closed=True
    )
    surface.dim(shapes.shifted(throw, (-0.012, 0.008)), blur=0.02, strength=0.3)
    surface.fill(throw, materials.Paint(colour=rng.choice(props.SPINES), texture="knit"), form="round", radius=0.03)
    props.daylight(surface, rng, strength=0.24)


def planks(surface: canvas.Canvas, rng: random.Random) -> None:
    wood = rng.choice([(150, 112, 82), (196, 164, 128), (118, 92, 74), (214, 204, 190)])
    for k in range(5):
        tone = palette.mix(wood, (90, 70, 56), share=rng.uniform(0, 0.16))
        surface.fill(
            building.quad(-0.1, k * 0.2, right=1.1, bottom=k * 0.2 + 0.197),
            materials.Paint(colour=tone, texture="wood"),
            form="round",
            radius=0.006,
        )
        surface.dim(building.quad(-0.1, k * 0.2 - 0.004, right=1.1, bottom=k * 0.2 + 0.002), blur=0.002, strength=0.7)
    note = shapes.spun(shapes.rounded(0.74, 0.6, right=1.1, bottom=1.1, radius=0.012), 12, cx=0.8, cy=0.7)
    surface.dim(shapes.shifted(note, (0.014, 0.018)), blur=0.016, strength=0.4)
    surface.fill(note, rng.choice(props.SPINES), form="round", radius=0.012)
    surface.dim(shapes.ellipse(0.12, 0.15, rx=0.14, ry=0.14), blur=0.03, strength=0.4)
    for r, colour in ((0.15, (240, 234, 224)), (0.095, (232, 224, 212)), (0.08, (92, 58, 40))):
        surface.fill(shapes.ellipse(0.1, 0.13, rx=r, ry=r), colour, form="round", radius=0.02)
    props.sprig(surface, x=0.02, y=0.98, lean=-50, size=0.36)
    props.leaf_shadow(surface, rng, strength=0.2)
    props.daylight(surface, rng, strength=0.16)


def linen(surface: canvas.Canvas, rng: random.Random) -> None:
    cloth = rng.choice([(226, 216, 202), (204, 208, 204), (216, 196, 184), (190, 200, 208)])
    surface.fill(
        building.quad(-0.1, -0.1, right=1.1, bottom=1.1),
        materials.Paint(colour=cloth, texture="canvas"),
        form="sheet",
        depth=0.6,
    )
    for _ in range(9):
        x, y, lean = rng.uniform(-0.1, 1), rng.uniform(-0.1, 1), rng.uniform(-0.35, 0.35)
        line = shapes.curve([(x, y), (x + lean * 0.5 + 0.1, y + 0.18), (x + lean + 0.12, y + 0.42)])
        surface.dim(shapes.ribbon(line, 0.03, end=0.005), blur=0.024, strength=0.24)
        surface.glow(shapes.ribbon(shapes.shifted(line, (-0.028, -0.008)), 0.026, end=0.005), blur=0.02, strength=0.34)
    props.sprig(surface, x=rng.choice([0.0, 0.04]), y=0.34, lean=-62, size=0.34)
    props.sprig(surface, x=0.99, y=0.68, lean=112, size=0.34)
    props.leaf_shadow(surface, rng, strength=0.2)
    props.daylight(surface, rng, strength=0.3)


def marble(surface: canvas.Canvas, rng: random.Random) -> None:
    stone = rng.choice([(232, 230, 228), (222, 214, 206), (90, 98, 96)])
    surface.fill(
        building.quad(-0.1, -0.1, right=1.1, bottom=1.1),
        materials.Paint(colour=stone, texture="velvet"),
        form="sheet",
        depth=0.5,
    )
    for _ in range(7):
        x, y = rng.uniform(-0.2, 0.9), rng.uniform(-0.1, 0.9)
        points = [(x + 0.1 * k + rng.gauss(0, 0.02), y + 0.07 * k + rng.gauss(0, 0.03)) for k in range(6)]
        vein = shapes.curve(points)
        surface.dim(shapes.ribbon(vein, 0.012, end=0.002), blur=0.008, strength=0.16)
        surface.dim(shapes.ribbon(vein, 0.0025, end=0.001), blur=0.0015, strength=0.35)
    tray = shapes.ellipse(0.52, 0.52, rx=0.42, ry=0.42)
    colour = rng.choice(props.SPINES)
    surface.dim(shapes.shifted(tray, (0.016, 0.022)), blur=0.025, strength=0.4)
    surface.fill(tray, palette.lighter(colour, 0.2), form="round", radius=0.02)
    surface.dim(shapes.ribbon(shapes.ellipse(0.52, 0.52, rx=0.4, ry=0.4), 0.01), blur=0.006, strength=0.3)
    props.sprig(surface, x=0.0, y=0.22, lean=-30, size=0.32)
    for dx, dy in ((0.9, 0.9), (0.97, 0.8), (0.82, 0.97)):
        for k in range(6):
            a = np.radians(60 * k)
            surface.fill(
                shapes.ellipse(dx + 0.036 * np.cos(a), dy + 0.036 * np.sin(a), rx=0.032, ry=0.028),
                (228, 176, 160),
                form="round",
                radius=0.02,
            )
        surface.fill(shapes.ellipse(dx, dy, rx=0.02, ry=0.02), (214, 164, 84), form="round", radius=0.015)
    props.leaf_shadow(surface, rng, strength=0.22)
