"""Draw cushions."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, palette, shapes


def cushion(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a cushion: cover, seams, and piping, fringe, tassels or a button."""
    m = item.measure
    cloth = item.paint("velvet" if m("velvet") else "knit" if m("knit") else "canvas", repeat=m("repeat", 0.14))
    if side == "back":
        cloth = cloth.tinted(item.partner.rgb if m("twosided") else item.colour.rgb)
    w, h = m("wide", 0.31), m("high", 0.31)
    if m("round"):
        outline = shapes.ellipse(0.5, 0.5, rx=w, ry=h)
    else:
        pinch = m("pinch", 0.05)
        e, i = 0.012, pinch
        outline = shapes.curve(
            [
                (0.5 - w - e, 0.5 - h - e, 1),
                (0.5 - w * 0.5, 0.5 - h + i * 0.8),
                (0.5, 0.5 - h + i),
                (0.5 + w * 0.5, 0.5 - h + i * 0.8),
                (0.5 + w + e, 0.5 - h - e, 1),
                (0.5 + w - i * 0.8, 0.5 - h * 0.5),
                (0.5 + w - i, 0.5),
                (0.5 + w - i * 0.8, 0.5 + h * 0.5),
                (0.5 + w + e, 0.5 + h + e, 1),
                (0.5 + w * 0.5, 0.5 + h - i * 0.8),
                (0.5, 0.5 + h - i),
                (0.5 - w * 0.5, 0.5 + h - i * 0.8),
                (0.5 - w - e, 0.5 + h + e, 1),
                (0.5 - w + i * 0.8, 0.5 + h * 0.5),
                (0.5 - w + i, 0.5),
                (0.5 - w + i * 0.8, 0.5 - h * 0.5),
            ],
            closed=True,
        )
    if m("fringe"):
        threads = [
            shapes.ribbon(
                [(0.5 + sign * (w - 0.05), y), (0.5 + sign * (w + 0.035 + 0.008 * (k % 3)), y + 0.006)],
                0.006,
                end=0.004,
            )
            for sign in (-1, 1)
            for k, y in enumerate(np.linspace(0.5 - h * 0.96, 0.5 + h * 0.96, 44))
        ]
        surface.fill(threads, cloth.tinted(palette.lighter(item.partner.rgb, 0.2)), form="round", radius=0.004)
    if m("tassels"):
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = 0.5 + sx * (w + 0.012), 0.5 + sy * (h + 0.012)
                tail = shapes.ribbon([(x, y), (x + sx * 0.052, y + sy * 0.052)], 0.02, end=0.042)
                surface.fill(tail, cloth.tinted(item.partner.rgb), form="round", radius=0.018)
                surface.fill(
                    shapes.ellipse(x + sx * 0.006, y + sy * 0.006, rx=0.015, ry=0.015),
                    cloth.tinted(item.partner.rgb),
                    form="round",
                    radius=0.014,
                )
    surface.fill(outline, cloth, form="round", radius=0.17, depth=1.25)
    if m("knit"):
        for k in range(-3, 4):
            x = 0.5 + k * w * 0.26
            line = shapes.curve([(x, 0.5 - h), (x + k * 0.006, 0.5), (x, 0.5 + h)])
            surface.dim(shapes.ribbon(line, 0.01), blur=0.006, strength=0.3, clip=outline)
            surface.glow(shapes.ribbon(shapes.shifted(line, (0.02, 0)), 0.018), blur=0.01, strength=0.14, clip=outline)
    corners = [] if m("round") else [((sx, sy), t) for sx in (-1, 1) for sy in (-1, 1) for t in (0.78, 1.22)]
    for (sx, sy), t in corners:
        line = shapes.curve(
            [
                (0.5 + sx * w * 0.97, 0.5 + sy * h * 0.97),
                (0.5 + sx * w * (0.8 + 0.06 * t), 0.5 + sy * h * (1.0 - 0.17 * t)),
                (0.5 + sx * w * 0.66 * t**0.5, 0.5 + sy * h * 0.64 / t**0.5),
            ]
        )
        surface.dim(shapes.ribbon(line, 0.016, end=0.004), blur=0.012, strength=0.2, clip=outline)
    if m("piping"):
        surface.fill(
            shapes.ribbon(np.concatenate([outline, outline[:2]]), 0.013),
            cloth.tinted(item.partner.rgb),
            form="round",
            radius=0.008,
        )
    if m("round"):
        for k in range(24):
            a = np.radians(k * 15)
            spoke = [
                (0.5 + np.cos(a) * 0.03, 0.5 + np.sin(a) * 0.03),
                (0.5 + np.cos(a) * w * 0.97, 0.5 + np.sin(a) * h * 0.97),
            ]
            surface.dim(shapes.ribbon(spoke, 0.006, end=0.016), blur=0.008, strength=0.3, clip=outline)
        surface.dim(shapes.ellipse(0.5, 0.5, rx=0.06, ry=0.06), blur=0.03, strength=0.45)
        surface.fill(
            shapes.ellipse(0.5, 0.5, rx=0.026, ry=0.026), cloth.tinted(item.partner.rgb), form="round", radius=0.024
        )
    if m("panel"):
        band = shapes.polygon((0.5 - w * 0.34, 0), (0.5 + w * 0.34, 0), (0.5 + w * 0.34, 1), (0.5 - w * 0.34, 1))
        surface.fill(outline, cloth.tinted(item.partner.rgb), form="round", radius=0.17, depth=1.25, clip=band)
    if side == "back":
        line = shapes.curve([(0.5 - w * 0.8, 0.5 + h * 0.55), (0.5, 0.5 + h * 0.52), (0.5 + w * 0.8, 0.5 + h * 0.55)])
        surface.dim(shapes.ribbon(line, 0.012), blur=0.006, strength=0.45, clip=outline)
        surface.fill(shapes.stitches(line, width=0.006, dash=0.007, gap=0.5), palette.STEEL)


_MODELS = (
    design.Model(
        name="Meadow",
        noun="Cushion",
        brand="Loom & Lark",
        price=39,
        story="Printed linen with a feather filling and neat contrast piping.",
        shape={"piping": 1, "twosided": 1},
        patterns=("floral", "leafy", "dotted", "wavy"),
    ),
    design.Model(
        name="Plush",
        noun="Velvet Cushion",
        brand="Maison Verre",
        price=45,
        story="Deep cotton velvet that changes tone when you stroke it.",
        shape={"velvet": 1, "tassels": 1, "wide": 0.28, "high": 0.28},
    ),
    design.Model(
        name="Cabin",
        noun="Cushion",
        brand="Tarn & Fell",
        price=49,
        story="A brushed check for the end of the sofa that the dog likes.",
        shape={"fringe": 1},
        patterns=("tartan", "gingham", "zigzag", "tartan"),
    ),
    design.Model(
        name="Rest",
        noun="Lumbar Cushion",
        brand="Loom & Lark",
        price=35,
        story="A long low cushion for the small of the back.",
        shape={"wide": 0.38, "high": 0.2, "pinch": 0.03, "panel": 1},
    ),
    design.Model(
        name="Dial",
        noun="Round Cushion",
        brand="Hald Møbler",
        price=42,
        story="Pleated by hand around one covered button.",
        shape={"round": 1, "velvet": 1, "wide": 0.3, "high": 0.3},
    ),
    design.Model(
        name="Aran",
        noun="Knitted Cushion",
        brand="Loom & Lark",
        price=55,
        story="Chunky lambswool in broad ribs, warm before you sit down.",
        shape={"knit": 1, "wide": 0.3, "high": 0.29},
    ),
)


KIND = design.Kind(
    name="cushion",
    category="Cushions",
    colour_words="cover",
    models=_MODELS,
    draw=cushion,
    poses=(
        design.Pose(name="back", caption="from the back", frame=canvas.Frame(), side="back"),
        design.Pose(
            name="detail", caption="close-up of cloth and edge", frame=canvas.Frame(scale=2.2, dx=0.42, dy=0.4)
        ),
    ),
    scenes=("sofa", "linen", "sofa"),
    stance="lying",
    lifesize=0.62,
)
