"""Draw the dials of watches."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, palette, shapes


def dial(
    surface: canvas.Canvas, item: design.Design, *, r: float, mark: palette.RGB, face: palette.RGB, square: bool
) -> None:
    """Draw minutes, hours, registers, date and hands."""
    m = item.measure

    def at(angle: float, reach: float) -> np.ndarray:
        a = np.radians(angle - 90)
        stretch = min(0.86 / max(abs(np.cos(a)), 1e-6), 1 / max(abs(np.sin(a)), 1e-6)) if square else 1.0
        return 0.5 + np.array([np.cos(a), np.sin(a)]) * reach * r * stretch

    ticks = [
        shapes.ribbon(np.array([at(k * 6, 0.93), at(k * 6, 0.965)]), 0.002, caps=False) for k in range(60) if k % 5
    ]
    if not m("minimal"):
        surface.fill(ticks, mark, alpha=0.8)
    hours = []
    for k in range(12):
        if m("minimal") and k % 3:
            continue
        if m("diver"):
            p = at(k * 30, 0.82)
            hours.append(
                shapes.ellipse(p[0], p[1], rx=0.0115, ry=0.0115)
                if k % 3
                else shapes.ribbon(np.array([at(k * 30, 0.72), at(k * 30, 0.9)]), 0.016, caps=False)
            )
        else:
            hours.append(
                shapes.ribbon(
                    np.array([at(k * 30, 0.78 if k % 3 else 0.72), at(k * 30, 0.92)]),
                    0.0055 if k % 3 else 0.009,
                    caps=False,
                )
            )
    surface.fill(hours, mark if not m("diver") or palette.brightness(face) > 0.6 else palette.WHITE)
    if m("chrono"):
        for dx, dy in ((-0.4, 0.0), (0.4, 0.0), (0.0, 0.42)):
            x, y = 0.5 + dx * r, 0.5 + dy * r
            sub = shapes.ellipse(x, y, rx=r * 0.24, ry=r * 0.24)
            surface.fill(
                sub,
                palette.mix(
                    face,
                    item.partner.rgb if item.measure("light") else palette.INK,
                    share=0.35 if not item.measure("light") else 0.25,
                ),
                form="sheet",
            )
            surface.fill(
                [
                    shapes.ribbon(
                        np.array(
                            [
                                [x + np.cos(a) * r * 0.18, y + np.sin(a) * r * 0.18],
                                [x + np.cos(a) * r * 0.22, y + np.sin(a) * r * 0.22],
                            ]
                        ),
                        0.002,
                        caps=False,
                    )
                    for a in np.linspace(0, 2 * np.pi, 12, endpoint=False)
                ],
                mark,
            )
            surface.fill(shapes.ribbon([(x, y), (x + r * 0.1, y - r * 0.13)], 0.004), mark)
    if m("date"):
        surface.fill(
            shapes.rounded(0.5 + r * 0.56, 0.487, right=0.5 + r * 0.74, bottom=0.513, radius=0.003), palette.WHITE
        )
        surface.fill(
            [shapes.ribbon([(0.5 + r * k, 0.493), (0.5 + r * k, 0.507)], 0.004, caps=False) for k in (0.61, 0.68)],
            palette.INK,
        )
    surface.fill(
        shapes.ribbon([(0.5 - r * 0.16, 0.5 - r * 0.36), (0.5 + r * 0.16, 0.5 - r * 0.36)], 0.004), mark, alpha=0.7
    )
    for angle, reach, width in ((306, 0.52, 0.016), (54, 0.78, 0.012)):
        hand = shapes.ribbon(np.array([at(angle + 180, 0.12), at(angle, reach)]), width, end=width * 0.45)
        surface.dim(shapes.shifted(hand, (0.005, 0.008)), blur=0.005, strength=0.4)
        surface.fill(hand, mark, form="round", radius=0.006)
    accent = (
        palette.BY_NAME["coral"].rgb
        if item.colour.name not in {"coral", "terracotta", "berry"}
        else palette.BY_NAME["mustard"].rgb
    )
    surface.fill(shapes.ribbon(np.array([at(6, 0.2), at(186, 0.85)]), 0.004, end=0.0025), accent)
    surface.fill(shapes.ellipse(0.5, 0.5, rx=0.0125, ry=0.0125), mark, form="round", radius=0.01)
    surface.fill(shapes.ellipse(0.5, 0.5, rx=0.005, ry=0.005), accent)
