"""Lace sneakers and mark their flanks."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes


def laces(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    upper: shapes.Path,
    collar: float,
    chunk: float,
    trim: materials.Paint,
    white: palette.RGB,
) -> None:
    """Draw the stay with its eyelets, the laces and their bow."""
    a, b = np.array([0.6, collar + 0.0 - chunk]), np.array([0.375, 0.552 - chunk])
    stay = shapes.curve(
        [
            (0.632, collar - 0.01 - chunk),
            (0.642, collar + 0.06 - chunk),
            (0.47, 0.598 - chunk),
            (0.36, 0.6 - chunk),
            (0.31, 0.56 - chunk),
            (0.36, 0.535 - chunk),
            (0.57, collar - 0.03 - chunk),
        ],
        closed=True,
    )
    surface.fill(stay, trim, form="round", radius=0.02, depth=0.8, clip=upper)
    lace = palette.lighter(item.partner.rgb, 0.55) if item.measure("mark") != 2 else white
    rows = 7 if collar < 0.4 else 5
    for k in range(rows):
        at = b + (a - b) * (k + 0.35) / rows
        hole = shapes.shifted(at, (0.024, 0.036))
        surface.fill(shapes.ellipse(*hole, rx=0.0065, ry=0.0065), palette.darker(item.colour.rgb, 0.7))
        lace_path = shapes.curve([(at[0] - 0.028, at[1] - 0.012), (at[0] - 0.005, at[1] + 0.004), tuple(hole)])
        surface.dim(shapes.ribbon(shapes.shifted(lace_path, (0.003, 0.008)), 0.016), blur=0.005, strength=0.3)
        surface.fill(shapes.ribbon(lace_path, 0.0165), lace, form="round", radius=0.009, depth=0.9)
    for bow in (
        [(0.6, -0.01), (0.66, -0.03), (0.675, 0.015), (0.61, 0.005)],
        [(0.6, -0.01), (0.545, -0.045), (0.53, -0.01), (0.6, 0.0)],
    ):
        loop = shapes.curve([(x, y + collar + 0.015 - chunk) for x, y in bow])
        surface.fill(shapes.ribbon(loop, 0.013), lace, form="round", radius=0.007)


def mark(
    surface: canvas.Canvas, item: design.Design, *, upper: shapes.Path, chunk: float, paint: materials.Paint
) -> None:
    """Draw the maker's mark on the flank."""
    mark = int(item.measure("mark"))
    if mark == 0:
        outlines = [shapes.ribbon([(x, 0.53 - chunk), (x - 0.085, 0.7 - chunk)], 0.022) for x in (0.6, 0.645, 0.69)]
    elif mark == 1:
        outlines = [
            shapes.ribbon(
                shapes.curve([(0.74, 0.55 - chunk), (0.66, 0.63 - chunk), (0.53, 0.655 - chunk), (0.4, 0.64 - chunk)]),
                0.045,
                end=0.008,
            )
        ]
    elif mark == 2:
        outlines = [shapes.ellipse(0.76, 0.5 - chunk, rx=0.036, ry=0.036)] if item.measure("collar") < 0.4 else []
    elif mark == 3:
        outlines = [shapes.ribbon([(0.52, 0.6 - chunk), (0.58, 0.66 - chunk), (0.7, 0.56 - chunk)], 0.022)]
    else:
        return
    for outline in outlines:
        surface.fill(outline, paint, form="round", radius=0.01, depth=0.7, clip=upper)
