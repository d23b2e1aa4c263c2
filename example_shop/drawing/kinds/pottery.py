"""Glaze, dip and handle what was turned on the wheel."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes


def glaze(item: design.Design, repeat: float = 0.09) -> materials.Paint:
    return item.paint("clay", gloss=0.0 if item.measure("matt") else 0.3, repeat=repeat)


def shine(surface: canvas.Canvas, body: shapes.Path, *, item: design.Design, strength: float = 0.5) -> None:
    if item.measure("matt"):
        return
    low, high = body.min(0), body.max(0)
    width, height = high - low
    left = low[0] + width * 0.2
    window = shapes.curve(
        [
            (left, low[1] + height * 0.2),
            (left + width * 0.07, low[1] + height * 0.16),
            (left + width * 0.065, low[1] + height * 0.58),
            (left + width * 0.015, low[1] + height * 0.56),
        ],
        closed=True,
    )
    surface.glow(window, blur=0.008, strength=strength, clip=body)


def rim(
    surface: canvas.Canvas, *, y: float, half: float, colour: palette.RGB, tilt: float, wall: float = 0.012
) -> None:
    surface.fill(
        shapes.ellipse(0.5, y, rx=half, ry=half * tilt), palette.lighter(colour, 0.3), form="round", radius=0.01
    )
    inner = shapes.ellipse(0.5, y + 0.003, rx=half - wall, ry=(half - wall) * tilt - 0.002)
    surface.fill(inner, palette.darker(colour, 0.38))
    surface.dim(
        shapes.ellipse(0.46, y - 0.01, rx=half * 0.9, ry=half * tilt * 0.8), blur=0.012, strength=0.45, clip=inner
    )
    surface.glow(
        shapes.ellipse(0.5 + half * 0.35, y + half * tilt * 0.6, rx=half * 0.4, ry=half * tilt * 0.4),
        blur=0.01,
        strength=0.25,
        clip=inner,
    )


def dip(surface: canvas.Canvas, body: shapes.Path, *, item: design.Design, y: float, upper: bool) -> None:
    edge = shapes.curve(
        [(0.0, y), (0.3, y + 0.012), (0.42, y - 0.004), (0.55, y + 0.016), (0.7, y + 0.002), (1.0, y + 0.01)]
    )
    far = -0.2 if upper else 1.2
    region = np.concatenate([edge, shapes.polygon((1.0, far), (0.0, far))])
    surface.fill(body, glaze(item).tinted(item.partner.rgb), form="turned", clip=region)
    surface.glow(
        shapes.ribbon(edge, 0.006), palette.lighter(item.partner.rgb, 0.5), blur=0.003, strength=0.5, clip=body
    )


def handle(
    surface: canvas.Canvas, points: shapes.Points, *, paint: materials.Paint, width: float, end: float | None = None
) -> None:
    path = shapes.curve(points)
    surface.fill(shapes.ribbon(path, width, end=end), paint, form="round", radius=width * 0.55, depth=0.95)


POSES = (
    design.Pose(name="side", caption="turned the other way", frame=canvas.Frame(mirror=True)),
    design.Pose(name="detail", caption="close-up of glaze and rim", frame=canvas.Frame(scale=2.1, dx=0.1, dy=0.28)),
)
