"""Draw legs, arms and frames of armchairs."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes


def legs(surface: canvas.Canvas, item: design.Design, *, wood: materials.Paint, wide: float) -> None:
    """Draw four legs, those at the back in the dark."""
    m = item.measure
    spread = 0.02 if not m("skirt") else 0.0
    for sign in (-1, 1):
        x = 0.5 + sign * (wide - 0.07)
        rear = shapes.polygon(
            (x - sign * 0.05 - 0.014, 0.7),
            (x - sign * 0.05 + 0.014, 0.7),
            (x - sign * 0.045 + 0.008, 0.825),
            (x - sign * 0.045 - 0.008, 0.825),
        )
        surface.fill(rear, palette.darker(wood.colour, 0.45))
    for sign in (-1, 1):
        x = 0.5 + sign * (wide - 0.055)
        leg = shapes.polygon(
            (x - 0.021, 0.72), (x + 0.021, 0.72), (x + sign * spread + 0.011, 0.86), (x + sign * spread - 0.011, 0.86)
        )
        surface.fill(leg, wood, form="round", radius=0.02)
        if m("ferrule"):
            surface.fill(
                leg,
                materials.Paint(colour=palette.BRASS, gloss=0.8),
                form="round",
                radius=0.015,
                clip=shapes.polygon((0, 0.83), (1, 0.83), (1, 1), (0, 1)),
            )


def arms(
    surface: canvas.Canvas, item: design.Design, *, cloth: materials.Paint, wide: float, seat: float, bottom: float
) -> None:
    """Draw both arms: soft, square or rolled."""
    m = item.measure
    thick, rise = m("arm", 0.085), m("rise", 0.095)
    for sign in (-1, 1):
        outer, inner = 0.5 + sign * (wide + 0.012), 0.5 + sign * (wide - thick)
        if m("roll"):
            cx = (outer + inner) / 2 + sign * 0.008
            post = shapes.curve(
                [
                    (inner, seat - rise + 0.05, 1),
                    (outer, seat - rise + 0.05, 1),
                    (outer - sign * 0.012, bottom, 1),
                    (inner + sign * 0.006, bottom, 1),
                ],
                closed=True,
            )
            surface.fill(post, cloth, form="round", radius=0.03)
            surface.dim(
                shapes.ellipse(cx, seat - rise + 0.055, rx=thick * 0.62, ry=thick * 0.55),
                blur=0.01,
                strength=0.4,
                clip=post,
            )
            scroll = shapes.ellipse(cx, seat - rise + 0.035, rx=thick * 0.64, ry=thick * 0.56)
            surface.fill(scroll, cloth, form="round", radius=0.035)
            surface.dim(
                shapes.ribbon(shapes.ellipse(cx, seat - rise + 0.035, rx=thick * 0.36, ry=thick * 0.3), 0.005),
                blur=0.003,
                strength=0.35,
            )
        else:
            soft = 0.04 if not m("square") else 0.016
            left, right = min(outer, inner), max(outer, inner)
            arm = shapes.rounded(left, seat - rise, right=right, bottom=bottom, radius=soft)
            surface.fill(arm, cloth, form="round", radius=0.04 if not m("square") else 0.024)
            if m("square"):
                surface.fill(
                    shapes.stitches(
                        shapes.rounded(
                            left + 0.01, seat - rise + 0.01, right=right - 0.01, bottom=bottom - 0.01, radius=0.01
                        ),
                        dash=0.012,
                        width=0.0025,
                    ),
                    palette.lighter(item.colour.rgb, 0.35),
                    alpha=0.7,
                )


def framed(
    surface: canvas.Canvas, cloth: materials.Paint, *, wood: materials.Paint, top: float, wide: float, seat: float
) -> None:
    """Draw a chair whose cushions lie in a wooden frame."""
    back = shapes.symmetric([(0.5, top), (0.66, top + 0.004), (0.692, top + 0.03), (0.7, 0.48), (0.7, 0.6, 1)])
    for sign in (-1, 1):
        rail = shapes.ribbon([(0.5 + sign * 0.225, top + 0.04), (0.5 + sign * 0.235, 0.72)], 0.026)
        surface.fill(rail, wood, form="round", radius=0.014)
    surface.fill(back, cloth, form="round", radius=0.05)
    for k in (-1, 1):
        line = shapes.curve([(0.5 + k * 0.065, top + 0.01), (0.5 + k * 0.066, 0.6)])
        surface.dim(shapes.ribbon(line, 0.007), blur=0.005, strength=0.4, clip=back)
    surface.fill(
        shapes.rounded(0.5 - wide + 0.02, seat + 0.085, right=0.5 + wide - 0.02, bottom=seat + 0.13, radius=0.012),
        wood,
        form="round",
        radius=0.015,
    )
    cushion = shapes.rounded(0.27, seat - 0.02, right=0.73, bottom=seat + 0.09, radius=0.045)
    surface.dim(shapes.ellipse(0.5, seat - 0.02, rx=0.2, ry=0.03), blur=0.02, strength=0.4, clip=back)
    surface.fill(cushion, cloth, form="round", radius=0.045)
    for sign in (-1, 1):
        x = 0.5 + sign * wide
        surface.fill(
            shapes.ribbon([(x - sign * 0.01, seat - 0.1), (x + sign * 0.012, 0.86)], 0.034, end=0.02),
            wood,
            form="round",
            radius=0.016,
        )
        paddle = shapes.curve(
            [
                (x - 0.045, seat - 0.105),
                (x, seat - 0.125),
                (x + 0.045, seat - 0.105),
                (x + 0.04, seat - 0.085),
                (x - 0.04, seat - 0.085),
            ],
            closed=True,
        )
        surface.fill(paddle, wood, form="round", radius=0.014)
