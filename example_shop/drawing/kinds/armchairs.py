"""Draw armchairs from the front."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import joinery


def armchair(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw an armchair from the front: legs, back, seat, arms."""
    m = item.measure
    cloth = item.paint("velvet" if m("velvet") else "cloth", repeat=0.085)
    shade = materials.Paint(
        colour=palette.darker(item.colour.rgb, 0.2),
        accent=palette.darker(item.partner.rgb, 0.2),
        pattern=item.pattern,
        repeat=0.085,
        texture=cloth.texture,
    )
    wood = materials.Paint(
        colour=palette.WALNUT if item.colour.name in {"ivory", "sand", "blush", "sky", "sage"} else palette.OAK,
        texture="wood",
        gloss=0.2,
    )
    top, wide, seat = m("top", 0.24), m("wide", 0.29), m("seat", 0.56)
    joinery.legs(surface, item, wood=wood, wide=wide)
    if m("wood_frame"):
        joinery.framed(surface, cloth, wood=wood, top=top, wide=wide, seat=seat)
        return
    bottom = m("bottom", 0.745)
    flare = m("flare", 0.0)
    if m("wing"):
        back = shapes.symmetric(
            [(0.5, top, 0), (0.66, top + 0.01), (0.745, top + 0.06), (0.79, top + 0.2), (0.775, 0.52), (0.74, 0.7, 1)]
        )
    elif m("tub"):
        back = shapes.symmetric([(0.5, top), (0.68, top + 0.035), (0.78, top + 0.16), (0.79, 0.58), (0.77, bottom, 1)])
    elif m("shell"):
        back = shapes.symmetric([(0.5, top), (0.64, top + 0.02), (0.775, top + 0.14), (0.77, 0.44), (0.66, 0.64, 1)])
    else:
        back = shapes.symmetric(
            [
                (0.5, top),
                (0.5 + wide - 0.1, top + 0.004),
                (0.5 + wide - 0.055 + flare, top + 0.03),
                (0.5 + wide - 0.05, 0.5),
                (0.5 + wide - 0.05, 0.68, 1),
            ]
        )
    surface.fill(back, cloth, form="round", radius=0.06, depth=0.9)
    if m("shell"):
        for k in range(-3, 4):
            line = shapes.curve(
                [(0.5 + k * 0.075, top + 0.025 + abs(k) * 0.016), (0.5 + k * 0.05, 0.45), (0.5 + k * 0.035, 0.6)]
            )
            surface.dim(shapes.ribbon(line, 0.012), blur=0.006, strength=0.4, clip=back)
            surface.glow(shapes.ribbon(shapes.shifted(line, (0.016, 0)), 0.014), blur=0.008, strength=0.16, clip=back)
    if m("buttons"):
        _tufts(surface, item, back=back, top=top)
    if m("tub") or m("wing"):
        inner = shapes.symmetric(
            [(0.5, top + 0.045), (0.63, top + 0.06), (0.675, top + 0.14), (0.67, 0.5), (0.66, 0.62, 1)]
        )
        surface.dim(inner, blur=0.02, strength=0.34, clip=back)
        surface.fill(inner, cloth, form="round", radius=0.05, depth=0.8)
    if m("piping"):
        surface.fill(
            shapes.ribbon(np.concatenate([back[-1:], back])[2:-2], 0.008),
            palette.lighter(item.partner.rgb, 0.2),
            form="round",
            radius=0.005,
        )

    apron = shapes.rounded(0.5 - wide + 0.03, seat + 0.06, right=0.5 + wide - 0.03, bottom=bottom, radius=0.025)
    surface.dim(shapes.ellipse(0.5, seat + 0.01, rx=wide * 0.75, ry=0.05), blur=0.03, strength=0.45, clip=back)
    surface.fill(apron, shade, form="round", radius=0.03, depth=0.8)
    half = wide - m("arm", 0.085)
    cushion = shapes.curve(
        [
            (0.5 - half, seat + 0.01),
            (0.5 - half + 0.03, seat - 0.022),
            (0.5, seat - 0.03),
            (0.5 + half - 0.03, seat - 0.022),
            (0.5 + half, seat + 0.01),
            (0.5 + half, seat + 0.08),
            (0.5 + half - 0.03, seat + 0.1),
            (0.5, seat + 0.106),
            (0.5 - half + 0.03, seat + 0.1),
            (0.5 - half, seat + 0.08),
        ],
        closed=True,
    )
    surface.dim(shapes.shifted(cushion, (0.004, 0.014)), blur=0.012, strength=0.4, clip=apron)
    surface.fill(cushion, cloth, form="round", radius=0.042)
    seam = shapes.curve([(0.5 - half + 0.006, seat + 0.035), (0.5, seat + 0.03), (0.5 + half - 0.006, seat + 0.035)])
    surface.dim(shapes.ribbon(seam, 0.004), blur=0.002, strength=0.4, clip=cushion)
    if m("arm", 0.085):
        joinery.arms(surface, item, cloth=cloth, wide=wide, seat=seat, bottom=bottom)
    if m("throw"):
        pillow = shapes.curve(
            [
                (0.4, 0.4, 0),
                (0.5, 0.405),
                (0.6, 0.4),
                (0.596, 0.48),
                (0.6, 0.56),
                (0.5, 0.555),
                (0.4, 0.56),
                (0.404, 0.48),
            ],
            closed=True,
        )
        surface.dim(shapes.shifted(pillow, (0.008, 0.012)), blur=0.015, strength=0.4, clip=back)
        surface.fill(pillow, cloth.tinted(item.partner.rgb), form="round", radius=0.06)


def _tufts(surface: canvas.Canvas, item: design.Design, *, back: shapes.Path, top: float) -> None:
    for row in range(3):
        for k in range(-2 + row % 2, 3):
            x, y = 0.5 + (k - 0.5 * (row % 2)) * 0.085, top + 0.085 + row * 0.075
            surface.dim(shapes.ellipse(x, y, rx=0.022, ry=0.02), blur=0.012, strength=0.5, clip=back)
            surface.fill(
                shapes.ellipse(x, y, rx=0.008, ry=0.008),
                palette.darker(item.colour.rgb, 0.15),
                form="round",
                radius=0.008,
            )
            for dx in (-0.0425, 0.0425):
                if row < 2:
                    surface.dim(
                        shapes.ribbon([(x, y), (x + dx, y + 0.075)], 0.005), blur=0.004, strength=0.25, clip=back
                    )


_MODELS = (
    design.Model(
        name="Linden",
        noun="Armchair",
        brand="Hald Møbler",
        price=690,
        story="A compact armchair with soft square arms, sized for small rooms and long evenings.",
        shape={"square": 1, "throw": 1},
    ),
    design.Model(
        name="Archer",
        noun="Wingback Chair",
        brand="Fenwright",
        price=890,
        story="High wings that keep the draught out and the reader in.",
        shape={"wing": 1, "top": 0.12, "buttons": 0, "roll": 1, "wide": 0.28},
        patterns=("plain", "tartan", "plain", "leafy"),
    ),
    design.Model(
        name="Odette",
        noun="Shell Chair",
        brand="Maison Verre",
        price=590,
        story="Channelled velvet that opens like a shell, on slender brass-tipped legs.",
        shape={"shell": 1, "velvet": 1, "arm": 0, "wide": 0.25, "ferrule": 1, "top": 0.2},
    ),
    design.Model(
        name="Bruno",
        noun="Tub Chair",
        brand="Hald Møbler",
        price=640,
        story="One round embrace of a chair: back and arms in a single sweep.",
        shape={"tub": 1, "top": 0.27, "velvet": 1, "rise": 0.06, "arm": 0.075},
    ),
    design.Model(
        name="Fjord",
        noun="Lounge Chair",
        brand="Hald Møbler",
        price=740,
        story="A solid wood frame with paddle arms and cushions that come off for a shake.",
        shape={"wood_frame": 1, "top": 0.2},
        patterns=("plain", "plain", "striped"),
    ),
    design.Model(
        name="Granville",
        noun="Club Chair",
        brand="Fenwright",
        price=980,
        story="Rolled arms, a buttoned back and a seat that remembers you.",
        shape={"roll": 1, "buttons": 1, "top": 0.26, "wide": 0.31, "arm": 0.1, "velvet": 1},
    ),
)


KIND = design.Kind(
    name="armchair",
    category="Armchairs",
    colour_words="cover",
    models=_MODELS,
    draw=armchair,
    poses=(
        design.Pose(name="detail", caption="close-up of arm and seat", frame=canvas.Frame(scale=2.1, dx=0.4, dy=-0.12)),
    ),
    scenes=("living", "window", "hall"),
    ground=0.86,
    lifesize=0.78,
)
