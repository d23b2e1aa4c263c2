"""Draw the things that stand around a product in a room: plants, books, frames, light through a window."""

from __future__ import annotations

import random

import numpy as np

from example_shop.drawing import canvas, materials, palette, shapes

LEAVES: tuple[palette.RGB, ...] = ((74, 104, 72), (94, 126, 86), (58, 88, 66), (118, 142, 98))
SPINES: tuple[palette.RGB, ...] = (
    (178, 92, 66), (232, 220, 198), (58, 82, 104), (206, 164, 84), (122, 142, 120), (92, 62, 54), (214, 178, 160),
)  # fmt: skip


def daylight(surface: canvas.Canvas, rng: random.Random, *, strength: float = 0.32) -> None:
    """Throw a window's panes of light aslant over everything."""
    x, y = rng.uniform(-0.02, 0.14), rng.uniform(0.02, 0.14)
    for column in range(2):
        for row in range(3):
            left, top = x + column * 0.2, y + row * 0.2 + column * 0.045
            pane = shapes.polygon(
                (left, top), (left + 0.18, top + 0.04), (left + 0.24, top + 0.22), (left + 0.06, top + 0.18)
            )
            surface.glow(pane, (255, 240, 208), blur=0.008, strength=strength)


def leaf_shadow(surface: canvas.Canvas, rng: random.Random, *, strength: float = 0.16) -> None:
    """Let a palm leaf outside the picture throw its shadow in."""
    x, y, lean = rng.choice([(0.95, -0.05, 125), (1.02, 0.15, 150), (0.8, -0.08, 105)])
    stem = np.array(
        [
            [x + t * 0.62 * np.cos(np.radians(lean)), y + t * 0.62 * np.sin(np.radians(lean))]
            for t in np.linspace(0, 1, 12)
        ]
    )
    blades = [shapes.ribbon(stem, 0.01)]
    for k, (px, py) in enumerate(stem[1:]):
        reach = 0.26 * np.sin(np.pi * (k + 2) / 14)
        for sign in (-1, 1):
            angle = np.radians(lean + sign * 48)
            tip = (px + reach * np.cos(angle), py + reach * np.sin(angle))
            middle = ((px + tip[0]) / 2, (py + tip[1]) / 2 + 0.01)
            blades.append(shapes.ribbon(shapes.curve([(px, py), middle, tip]), 0.03, end=0.003))
    surface.dim(blades, blur=0.01, strength=strength)


def pot(surface: canvas.Canvas, *, x: float, y: float, size: float, colour: palette.RGB) -> None:
    """Draw a flower pot on the ground at (x, y)."""
    outline = shapes.turned([(y - size, size * 0.5), (y - size * 0.4, size * 0.46), (y, size * 0.34)], cx=x, tilt=0.14)
    surface.fill(outline, materials.Paint(colour=colour, texture="clay"), form="turned")
    surface.fill(shapes.ellipse(x, y - size, rx=size * 0.45, ry=size * 0.05), (60, 46, 40))


def plant(surface: canvas.Canvas, rng: random.Random, *, x: float, y: float, size: float, colour: palette.RGB) -> None:
    """Draw a potted plant: long arching leaves, or round ones on stems."""
    floor_shadow(surface, x=x, y=y, half=size * 0.5)
    broad = rng.random() < 0.55
    count = 11 if broad else 15
    for k in range(count):
        side = (k / (count - 1) * 2 - 1) * (1 if k % 2 else 0.75)
        rise = size * rng.uniform(1.5, 2.5) * (1 - 0.35 * abs(side))
        tip = (x + side * size * rng.uniform(0.9, 1.5), y - size - rise)
        bend = (x + side * size * 0.35, y - size - rise * 0.62)
        stem = shapes.curve([(x + side * 0.06 * size, y - size * 0.95), bend, tip])
        green = rng.choice(LEAVES)
        if broad:
            surface.fill(shapes.ribbon(stem, size * 0.05, end=size * 0.03), palette.darker(green, 0.2))
            lean = float(np.degrees(np.arctan2(tip[1] - bend[1], tip[0] - bend[0])))
            blade = shapes.curve(
                [
                    (tip[0] - size * 0.3, tip[1]),
                    (tip[0], tip[1] - size * 0.25),
                    (tip[0] + size * 0.5, tip[1], 1),
                    (tip[0], tip[1] + size * 0.25),
                ],
                closed=True,
            )
            surface.fill(shapes.spun(blade, lean, cx=tip[0], cy=tip[1]), green, form="round", radius=size * 0.18)
        else:
            width = np.sin(np.linspace(0.25, np.pi, len(stem)))[:, None] * size * 0.13
            side_step = shapes.normals(stem) * width
            surface.fill(
                np.concatenate([stem + side_step, (stem - side_step)[::-1]]), green, form="round", radius=size * 0.08
            )
    pot(surface, x=x, y=y, size=size, colour=colour)


def floor_shadow(surface: canvas.Canvas, *, x: float, y: float, half: float) -> None:
    """Ground an object with a soft shadow to its right."""
    surface.dim(shapes.ellipse(x + half * 0.5, y, rx=half * 1.5, ry=half * 0.28), blur=half * 0.25, strength=0.4)


def books(surface: canvas.Canvas, rng: random.Random, *, x: float, y: float, count: int, height: float) -> None:
    """Stand a row of books on a shelf at height y."""
    left = x
    for k in range(count):
        width, tall = rng.uniform(0.022, 0.046), height * rng.uniform(0.78, 1.0)
        colour = rng.choice(SPINES)
        spine = shapes.rounded(left, y - tall, right=left + width, bottom=y, radius=0.004)
        if k == count - 1:
            spine = shapes.spun(spine, -9, cx=left, cy=y)
        surface.fill(spine, materials.Paint(colour=colour), form="round", radius=0.012)
        bar = shapes.rounded(
            left + 0.004, y - tall * 0.82, right=left + width - 0.004, bottom=y - tall * 0.76, radius=0
        )
        if k < count - 1:
            surface.fill(bar, palette.lighter(colour, 0.5), alpha=0.8)
        left += width + 0.002


def stack(
    surface: canvas.Canvas, rng: random.Random, *, x: float, y: float, count: int = 3, width: float = 0.2
) -> None:
    """Lay books on one another."""
    floor_shadow(surface, x=x, y=y, half=width * 0.5)
    for _ in range(count):
        half, thick = width * rng.uniform(0.42, 0.52), rng.uniform(0.026, 0.036)
        slip = rng.uniform(-0.012, 0.012)
        surface.fill(
            shapes.rounded(x + slip - half, y - thick, right=x + slip + half, bottom=y, radius=0.005),
            rng.choice(SPINES),
            form="round",
            radius=0.012,
        )
        surface.fill(
            shapes.rounded(x + slip + half * 0.9, y - thick + 0.005, right=x + slip + half, bottom=y - 0.005, radius=0),
            (236, 228, 212),
        )
        y -= thick


def picture(surface: canvas.Canvas, rng: random.Random, *, box: tuple[float, float, float, float]) -> None:
    """Hang a framed abstract print."""
    left, top, right, bottom = box
    surface.dim(
        shapes.polygon(
            (left + 0.012, top + 0.016),
            (right + 0.014, top + 0.016),
            (right + 0.014, bottom + 0.018),
            (left + 0.012, bottom + 0.018),
        ),
        blur=0.014,
        strength=0.3,
    )
    surface.fill(
        shapes.polygon((left, top), (right, top), (right, bottom), (left, bottom)),
        rng.choice([palette.OAK, (52, 48, 46), (238, 232, 222)]),
        form="sheet",
    )
    m = 0.014
    inner = shapes.polygon((left + m, top + m), (right - m, top + m), (right - m, bottom - m), (left + m, bottom - m))
    surface.fill(inner, (244, 238, 226), form="sheet", depth=0.4)
    w, h = right - left, bottom - top
    tones = rng.sample(SPINES, 3)
    surface.fill(shapes.ellipse(left + w * 0.58, top + h * 0.36, rx=w * 0.2, ry=w * 0.2), tones[0], clip=inner)
    hill = shapes.curve(
        [
            (left, bottom, 1),
            (left, top + h * 0.66),
            (left + w * 0.35, top + h * 0.52),
            (left + w * 0.7, top + h * 0.68),
            (right, top + h * 0.56),
            (right, bottom, 1),
        ],
        closed=True,
    )
    surface.fill(hill, tones[1], clip=inner)
    surface.fill(shapes.shifted(hill, (w * 0.18, h * 0.16)), tones[2], clip=inner)


def bowl(surface: canvas.Canvas, *, x: float, y: float, size: float, colour: palette.RGB) -> None:
    """Set down a bowl of lemons."""
    floor_shadow(surface, x=x, y=y, half=size)
    for dx, dy in ((-0.45, -0.72), (0.1, -0.85), (0.5, -0.7)):
        surface.fill(
            shapes.ellipse(x + dx * size, y + dy * size, rx=size * 0.38, ry=size * 0.3),
            (226, 186, 74),
            form="round",
            radius=size * 0.25,
        )
    outline = shapes.turned(
        [(y - size * 0.62, size), (y - size * 0.25, size * 0.82), (y, size * 0.35)], cx=x, tilt=0.06, top=False
    )
    surface.fill(outline, materials.Paint(colour=colour, gloss=0.2), form="turned")


def sprig(surface: canvas.Canvas, *, x: float, y: float, lean: float, size: float) -> None:
    """Lay a sprig of eucalyptus on a surface seen from above."""
    stem = np.array(
        [
            [x + t * size * np.cos(np.radians(lean + t * 18)), y + t * size * np.sin(np.radians(lean + t * 18))]
            for t in np.linspace(0, 1, 10)
        ]
    )
    leaves = []
    for k, (px, py) in enumerate(stem[1:]):
        for sign in (-1, 1):
            reach = size * (0.15 - 0.008 * k)
            leaf = shapes.ellipse(px + reach, py, rx=reach * 0.8, ry=reach * 0.52)
            leaves.append((k, shapes.spun(leaf, lean + sign * 58, cx=px, cy=py)))
    surface.dim([shapes.shifted(leaf, (0.012, 0.018)) for _, leaf in leaves], blur=0.012, strength=0.35)
    surface.fill(shapes.ribbon(stem, size * 0.02), (120, 112, 84))
    for k, leaf in leaves:
        surface.fill(leaf, ((132, 154, 136), (112, 138, 122), (154, 170, 150))[k % 3], form="round", radius=size * 0.06)
