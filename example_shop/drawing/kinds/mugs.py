"""Draw mugs."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import pottery


def mug(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a mug with its handle to the right."""
    m = item.measure
    top, foot, mouth, belly, base = m("top", 0.3), m("foot", 0.8), m("mouth", 0.22), m("belly", 0.225), m("base", 0.2)
    tilt = 0.17
    glaze = pottery.glaze(item, m("repeat", 0.09))
    plain = glaze.tinted(item.colour.rgb)
    height = foot - top
    profile = [
        (top, mouth),
        (top + height * 0.45, belly),
        (foot - 0.04, (belly + base) / 2 if m("soft") else base),
        (foot - 0.012, base * (0.9 if m("soft") else 0.985)),
        (foot, base * (0.84 if m("soft") else 0.95)),
    ]
    body = shapes.turned(profile, tilt=tilt)
    x, y0, y1 = 0.5 + belly - 0.012, top + height * m("high", 0.2), top + height * m("low", 0.78)
    reach = m("reach", 0.15)
    points: shapes.Points
    if m("loop"):
        points = [
            (x - 0.03, y0),
            (x + reach * 0.75, y0 - 0.01),
            (x + reach, (y0 + y1) / 2),
            (x + reach * 0.72, y1),
            (x - 0.03, y1),
        ]
    elif m("angular"):
        points = [(x - 0.02, y0, 1), (x + reach, y0, 1), (x + reach * 0.85, (y0 + y1) / 2 + 0.03), (x - 0.03, y1, 1)]
    else:
        points = [
            (x - 0.03, y0 + 0.02),
            (x + reach * 0.6, y0 - 0.02),
            (x + reach, y0 + 0.09),
            (x + reach * 0.75, y1 - 0.06),
            (x - 0.04, y1),
        ]
    pottery.handle(
        surface,
        points,
        paint=plain if not m("handle_tone") else plain.tinted(item.partner.rgb),
        width=m("thick", 0.045),
    )
    surface.fill(body, glaze, form="turned")
    if m("dip"):
        pottery.dip(surface, body, item=item, y=top + height * 0.58, upper=False)
    if m("bare"):
        clay = materials.Paint(colour=(201, 170, 138), texture="clay")
        edge = np.concatenate(
            [
                shapes.ellipse(0.5, foot - 0.07, rx=0.4, ry=0.4 * tilt, start=0, stop=180),
                shapes.polygon((0.1, 1.2), (0.9, 1.2)),
            ]
        )
        surface.fill(body, clay, form="turned", clip=edge)
    if m("band"):
        for k in (0.16, 0.24):
            arc = shapes.ellipse(0.5, top + height * k, rx=belly + 0.02, ry=belly * tilt * 1.05, start=0, stop=180)
            surface.fill(shapes.ribbon(arc, 0.012), item.partner.rgb, clip=body)
    pottery.shine(surface, body, item=item)
    rim = item.partner.rgb if m("enamel") else item.colour.rgb
    if m("enamel"):
        surface.fill(
            shapes.ribbon(shapes.ellipse(0.5, top, rx=mouth, ry=mouth * tilt), 0.02),
            palette.INK if item.colour.name in {"ivory", "sand", "sky"} else palette.WHITE,
            form="round",
            radius=0.01,
        )
    pottery.rim(
        surface, y=top, half=mouth, colour=palette.WHITE if m("white_inside") else rim, tilt=tilt, wall=m("wall", 0.014)
    )
    if m("steam"):
        coffee = shapes.ellipse(0.5, top + 0.014, rx=mouth - 0.03, ry=(mouth - 0.03) * tilt * 0.8)
        surface.fill(coffee, (92, 58, 38), form="round", radius=0.02)
        surface.glow(
            shapes.ellipse(0.47, top + 0.014, rx=mouth * 0.4, ry=mouth * tilt * 0.3),
            (214, 178, 138),
            blur=0.008,
            strength=0.6,
            clip=coffee,
        )


_MODELS = (
    design.Model(
        name="Morning",
        noun="Mug",
        brand="Studio Alder",
        price=18,
        story="The everyday mug: straight sides, an easy handle, and room for a proper coffee.",
        shape={"loop": 1, "steam": 1, "white_inside": 1},
        patterns=("plain", "dotted", "striped", "plain"),
    ),
    design.Model(
        name="Pebble",
        noun="Mug",
        brand="Mudlark",
        price=24,
        story="Thrown round as a river stone, with a speckled glaze and a bare clay foot.",
        shape={"soft": 1, "mouth": 0.19, "belly": 0.24, "base": 0.2, "top": 0.36, "bare": 1, "matt": 1},
        patterns=("speckled",),
    ),
    design.Model(
        name="Nook",
        noun="Espresso Cup",
        brand="Mudlark",
        price=15,
        story="A small cup with a big loop of a handle, for four good sips.",
        shape={
            "top": 0.5,
            "mouth": 0.16,
            "belly": 0.15,
            "base": 0.11,
            "reach": 0.13,
            "loop": 1,
            "thick": 0.034,
            "steam": 1,
        },
    ),
    design.Model(
        name="Camp",
        noun="Enamel Mug",
        brand="Tarn & Fell",
        price=16,
        story="Light, tough enamel with a contrasting rim. Happy by the fire and in the dishwasher.",
        shape={
            "enamel": 1,
            "top": 0.34,
            "mouth": 0.235,
            "belly": 0.23,
            "base": 0.225,
            "thick": 0.03,
            "white_inside": 1,
            "wall": 0.008,
        },
    ),
    design.Model(
        name="Tidal",
        noun="Latte Mug",
        brand="Studio Alder",
        price=26,
        story="Dipped twice by hand, so the waterline is a little different on each one.",
        shape={"dip": 1, "top": 0.22, "mouth": 0.19, "belly": 0.185, "base": 0.15, "steam": 1},
    ),
    design.Model(
        name="Facet",
        noun="Mug",
        brand="Kiln & Co",
        price=22,
        story="A tapered mug with a squared handle that fits three fingers just so.",
        shape={"mouth": 0.24, "belly": 0.21, "base": 0.16, "angular": 1, "handle_tone": 1, "band": 1, "thick": 0.036},
        patterns=("plain", "terrazzo", "diamond", "zigzag"),
    ),
)


KIND = design.Kind(
    name="mug",
    category="Mugs",
    colour_words="glaze",
    models=_MODELS,
    draw=mug,
    poses=pottery.POSES,
    scenes=("table", "shelf", "desk"),
    lifesize=0.42,
)
