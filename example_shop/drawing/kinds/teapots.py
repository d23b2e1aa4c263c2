"""Draw teapots."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import pottery


def teapot(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a teapot, spout to the left."""
    m = item.measure
    wide, top, foot = m("wide", 0.23), m("top", 0.4), 0.8
    glaze = pottery.glaze(item, m("repeat", 0.1))
    plain = glaze.tinted(item.colour.rgb)
    middle = top + (foot - top) * m("belly", 0.5)
    neck = m("neck", 0.11)
    body = shapes.turned(
        [
            (top, neck),
            (top + 0.04, neck + (wide - neck) * 0.6),
            (middle, wide),
            (foot - 0.07, wide * 0.86),
            (foot, wide * 0.6),
        ],
        tilt=0.1,
    )
    left = 0.5 - wide
    spout = shapes.curve(
        [
            (left + 0.08, middle + 0.1),
            (left - 0.02, middle + 0.06),
            (left - 0.09, middle - 0.06),
            (left - 0.15, top + 0.0, 1),
            (left - 0.105, top - 0.02, 1),
            (left - 0.05, middle - 0.09),
            (left + 0.05, middle - 0.06),
        ],
        closed=True,
    )
    surface.fill(spout, plain, form="round", radius=0.035)
    surface.fill(
        shapes.spun(
            shapes.ellipse(left - 0.1275, top - 0.01, rx=0.024, ry=0.008), -24, cx=left - 0.1275, cy=top - 0.01
        ),
        palette.darker(item.colour.rgb, 0.6),
    )
    right = 0.5 + wide
    wood = materials.Paint(colour=palette.OAK, texture="wood")
    if m("bail"):
        arch = [
            (0.5 - wide * 0.72, top + 0.05),
            (0.5 - wide * 0.78, top - 0.12),
            (0.5, top - 0.24),
            (0.5 + wide * 0.78, top - 0.12),
            (0.5 + wide * 0.72, top + 0.05),
        ]
        pottery.handle(surface, arch, paint=wood, width=0.026)
    else:
        grip = plain if not m("wood") else wood
        pottery.handle(
            surface,
            [
                (right - 0.06, top + 0.06),
                (right + 0.08, top + 0.02),
                (right + 0.15, middle - 0.04),
                (right + 0.08, middle + 0.1),
                (right - 0.03, middle + 0.12),
            ],
            paint=grip,
            width=0.036,
        )
    surface.fill(body, glaze, form="turned")
    if m("dip"):
        pottery.dip(surface, body, item=item, y=middle + 0.03, upper=False)
    if m("ribs"):
        for k in range(7):
            y = top + 0.08 + k * 0.045
            arc = shapes.ellipse(0.5, y, rx=wide + 0.03, ry=0.03, start=0, stop=180)
            surface.dim(shapes.ribbon(arc, 0.009), blur=0.003, strength=0.25, clip=body)
            surface.glow(shapes.ribbon(shapes.shifted(arc, (0, 0.011)), 0.006), blur=0.003, strength=0.2, clip=body)
    pottery.shine(surface, body, item=item, strength=0.45)
    lid = shapes.turned([(top - 0.045, 0.02), (top - 0.035, neck * 0.7), (top, neck + 0.012)], tilt=0.12)
    surface.dim(shapes.ellipse(0.5, top + 0.012, rx=neck + 0.02, ry=0.022), blur=0.008, strength=0.4, clip=body)
    surface.fill(lid, plain if not m("dip") else plain.tinted(item.partner.rgb), form="turned")
    knob = shapes.ellipse(0.5, top - 0.07, rx=0.028, ry=0.026)
    surface.fill(
        shapes.rounded(0.487, top - 0.06, right=0.513, bottom=top - 0.035, radius=0.01),
        plain,
        form="round",
        radius=0.012,
    )
    surface.fill(knob, wood if m("wood") or m("bail") else plain, form="round", radius=0.026)


_MODELS = (
    design.Model(
        name="Parlour",
        noun="Teapot",
        brand="Kiln & Co",
        price=59,
        story="A round-bellied pot for six cups and a long conversation.",
        shape={"belly": 0.52},
        patterns=("plain", "dotted", "floral", "plain"),
    ),
    design.Model(
        name="Kyoto",
        noun="Teapot",
        brand="Studio Alder",
        price=74,
        story="A low pot with a wooden bail handle and softly turned ribs.",
        shape={"bail": 1, "top": 0.48, "wide": 0.24, "ribs": 1, "matt": 1},
    ),
    design.Model(
        name="Orchard",
        noun="Tall Teapot",
        brand="Mudlark",
        price=66,
        story="Pear-shaped, dipped in a second glaze, with an oak knob that stays cool.",
        shape={"top": 0.33, "wide": 0.2, "belly": 0.68, "neck": 0.08, "dip": 1, "wood": 1},
    ),
    design.Model(
        name="Globe",
        noun="Teapot",
        brand="Atelier Onda",
        price=69,
        story="Nearly a sphere, glazed to a mirror, balanced to pour with one hand.",
        shape={"wide": 0.235, "belly": 0.48, "top": 0.36, "neck": 0.09},
        patterns=("plain", "wavy", "terrazzo"),
    ),
    design.Model(
        name="Fireside",
        noun="Teapot",
        brand="Tarn & Fell",
        price=55,
        story="Speckled stoneware that holds the heat through two chapters.",
        shape={"wide": 0.22, "belly": 0.6, "wood": 1, "matt": 1},
        patterns=("speckled",),
    ),
    design.Model(
        name="Canteen",
        noun="Teapot",
        brand="Studio Alder",
        price=49,
        story="Short, straight and stackable, the way the canteen liked it.",
        shape={"wide": 0.2, "belly": 0.35, "top": 0.46, "neck": 0.15},
        patterns=("plain", "striped", "gingham"),
    ),
)


KIND = design.Kind(
    name="teapot",
    category="Teapots",
    colour_words="glaze",
    models=_MODELS,
    draw=teapot,
    poses=pottery.POSES,
    scenes=("table", "shelf"),
    lifesize=0.52,
)
