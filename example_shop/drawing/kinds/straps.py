"""Draw the straps of backpacks."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import saddlery


def rolltop(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    plain: materials.Paint,
    trim: materials.Paint,
    top: float,
    wide: float,
) -> None:
    """Roll the top down and strap it."""
    for k, y in enumerate((top - 0.005, top + 0.03)):
        roll = shapes.rounded(0.5 - wide + 0.012 * k, y, right=0.5 + wide - 0.012 * k, bottom=y + 0.062, radius=0.03)
        surface.dim(shapes.shifted(roll, (0.003, 0.016)), blur=0.014, strength=0.4)
        surface.fill(roll, plain, form="round", radius=0.032)
    for dx in (-0.12, 0.12):
        band = shapes.curve([(0.5 + dx, top - 0.02), (0.5 + dx, top + 0.1), (0.5 + dx * 0.98, 0.56)])
        surface.dim(shapes.ribbon(shapes.shifted(band, (0.006, 0.004)), 0.026), blur=0.008, strength=0.3)
        surface.fill(shapes.ribbon(band, 0.026), trim, form="round", radius=0.01)
        surface.fill(
            shapes.rounded(0.5 + dx - 0.022, 0.4, right=0.5 + dx + 0.022, bottom=0.436, radius=0.008),
            saddlery.METAL,
            form="round",
            radius=0.007,
        )


def harness(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    body: shapes.Path,
    plain: materials.Paint,
    trim: materials.Paint,
    thread: palette.RGB,
    top: float,
    wide: float,
) -> None:
    """Draw the padded back and the two straps that one puts on."""
    panel = shapes.symmetric(
        [
            (0.5, top + 0.09, 0),
            (0.5 + wide * 0.6, top + 0.1),
            (0.5 + wide * 0.78, top + 0.2),
            (0.5 + wide * 0.8, 0.72),
            (0.5 + wide * 0.5, 0.77),
            (0.5, 0.775, 0),
        ]
    )
    surface.fill(
        panel,
        materials.Paint(colour=palette.darker(item.colour.rgb, 0.3), texture="mesh"),
        form="round",
        radius=0.04,
        clip=body,
    )
    for sign in (-1, 1):
        strap = shapes.curve(
            [
                (0.5 + sign * 0.07, top + 0.055),
                (0.5 + sign * 0.13, top + 0.2),
                (0.5 + sign * 0.155, 0.48),
                (0.5 + sign * 0.17, 0.64),
            ]
        )
        surface.dim(shapes.ribbon(shapes.shifted(strap, (0.01, 0.014)), 0.06), blur=0.016, strength=0.4)
        surface.fill(shapes.ribbon(strap, 0.07, end=0.05), plain, form="round", radius=0.028)
        inner = shapes.ribbon(strap, 0.05, end=0.034)
        surface.fill(shapes.stitches(np.concatenate([inner, inner[:1]]), dash=0.012), thread, alpha=0.8)
        surface.fill(
            shapes.ribbon(
                shapes.curve(
                    [(0.5 + sign * 0.172, 0.64), (0.5 + sign * 0.19, 0.72), (0.5 + sign * (wide - 0.01), 0.8)]
                ),
                0.02,
            ),
            trim,
            form="round",
            radius=0.008,
        )
        x = 0.5 + sign * 0.172
        surface.fill(
            shapes.rounded(x - 0.026, 0.655, right=x + 0.026, bottom=0.682, radius=0.006),
            materials.Paint(colour=palette.INK, gloss=0.5),
            form="round",
            radius=0.008,
        )
