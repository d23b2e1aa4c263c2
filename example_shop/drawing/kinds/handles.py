"""Draw the handles and straps of handbags."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import saddlery


def handles(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    plain: materials.Paint,
    trim: materials.Paint,
    kind: int,
    behind: bool,
) -> None:
    """Draw what a bag is carried by, first the part behind the bag, then the part before it."""
    strap = trim if item.measure("canvas") else plain
    if kind == 0:
        arch = [(0.36, 0.5), (0.37, 0.3), (0.43, 0.17), (0.57, 0.17), (0.63, 0.3), (0.64, 0.5)]
        if behind:
            surface.fill(
                shapes.ribbon(shapes.curve([(x + 0.012, y - 0.03) for x, y in arch]), 0.022),
                strap.tinted(palette.darker(strap.colour, 0.3)),
                form="round",
                radius=0.012,
            )
        else:
            surface.dim(
                shapes.ribbon(shapes.curve([(x + 0.006, y + 0.008) for x, y in arch]), 0.022),
                blur=0.008,
                strength=0.25,
                clip=shapes.polygon((0, 0.41), (1, 0.41), (1, 1), (0, 1)),
            )
            surface.fill(shapes.ribbon(shapes.curve(arch), 0.025), strap, form="round", radius=0.013)
            for x in (0.36, 0.64):
                surface.fill(shapes.ellipse(x, 0.49, rx=0.006, ry=0.006), saddlery.METAL, form="round", radius=0.004)
    elif kind == 1 and behind:
        surface.fill(
            shapes.ribbon(
                shapes.curve([(0.38, 0.46), (0.38, 0.37), (0.43, 0.32), (0.57, 0.32), (0.62, 0.37), (0.62, 0.46)]), 0.03
            ),
            plain,
            form="round",
            radius=0.015,
        )
    elif kind in (2, 4) and behind:
        top = 0.1 if kind == 2 else 0.2
        long = shapes.curve(
            [
                (0.27, 0.46 if kind == 2 else 0.53),
                (0.3, 0.28),
                (0.42, top),
                (0.58, top),
                (0.7, 0.28),
                (0.73, 0.46 if kind == 2 else 0.53),
            ]
        )
        if kind == 4 and item.measure("chain"):
            for k, (x, y) in enumerate(shapes.resample(long, 0.018)):
                surface.fill(
                    shapes.ellipse(x, y, rx=0.011 if k % 2 else 0.007, ry=0.008 if k % 2 else 0.011),
                    saddlery.METAL,
                    form="round",
                    radius=0.005,
                    holes=shapes.ellipse(x, y, rx=0.004, ry=0.004),
                )
        else:
            surface.fill(shapes.ribbon(long, 0.02), strap, form="round", radius=0.011)
    elif kind == 3 and behind:
        surface.fill(
            shapes.ribbon(
                shapes.curve([(0.2, 0.47), (0.24, 0.3), (0.4, 0.17), (0.6, 0.17), (0.76, 0.3), (0.8, 0.47)]), 0.042
            ),
            plain,
            form="round",
            radius=0.02,
        )
        for x in (0.2, 0.8):
            saddlery.ring(surface, x=x, y=0.45, rx=0.028, ry=0.028, wall=0.009)
    elif kind == 5 and behind:
        surface.fill(
            shapes.ribbon(
                shapes.curve([(0.38, 0.44), (0.385, 0.33), (0.45, 0.25), (0.55, 0.25), (0.615, 0.33), (0.62, 0.44)]),
                0.028,
            ),
            trim,
            form="round",
            radius=0.014,
        )
    elif kind == 5:
        for x in (0.38, 0.62):
            saddlery.ring(surface, x=x, y=0.432, rx=0.022, ry=0.02)
