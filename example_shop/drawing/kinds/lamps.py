"""Draw table lamps, lit."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes


def lamp(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a table lamp, lit: base, stem, shade, and the light that it throws."""
    m = item.measure
    top, low, wide, narrow = m("top", 0.14), m("low", 0.42), m("wide", 0.23), m("narrow", 0.15)
    linen = palette.mix((250, 236, 206), item.partner.rgb, share=0.1)
    ceramic = item.paint("clay", gloss=0.32, repeat=0.1)
    metal = materials.Paint(colour=palette.BRASS, gloss=0.8)
    base = int(m("base"))
    if base == 0:
        body = shapes.turned([(0.5, 0.04), (0.55, 0.1), (0.65, 0.155), (0.76, 0.13), (0.83, 0.085)], tilt=0.12)
    elif base == 1:
        body = shapes.turned(
            [(0.48, 0.055), (0.53, 0.1), (0.58, 0.07), (0.66, 0.13), (0.72, 0.09), (0.78, 0.13), (0.83, 0.12)], tilt=0.1
        )
    elif base == 2:
        body = shapes.turned([(0.8, 0.13), (0.812, 0.14), (0.83, 0.14)], tilt=0.16)
    elif base == 3:
        body = shapes.turned([(0.5, 0.05), (0.62, 0.062), (0.83, 0.11)], tilt=0.12)
    else:
        body = shapes.turned([(0.62, 0.05), (0.65, 0.14), (0.72, 0.17), (0.79, 0.14), (0.83, 0.08)], tilt=0.12)
    if m("tripod"):
        for dx, end in ((0.0, 0.02), (-0.14, -0.17), (0.14, 0.17)):
            leg = shapes.ribbon([(0.5 + dx * 0.1, 0.44), (0.5 + end, 0.84)], 0.026, end=0.018)
            surface.fill(
                leg,
                materials.Paint(colour=palette.OAK if dx else palette.darker(palette.OAK, 0.25), texture="wood"),
                form="round",
                radius=0.014,
            )
        surface.fill(
            shapes.rounded(0.465, 0.42, right=0.535, bottom=0.475, radius=0.015), metal, form="round", radius=0.018
        )
    else:
        surface.fill(
            shapes.rounded(0.489, low - 0.04, right=0.511, bottom=float(body[:, 1].min()) + 0.03, radius=0.004),
            metal,
            form="round",
            radius=0.012,
        )
        surface.fill(body, ceramic, form="turned")
        if m("flutes"):
            for k in range(-4, 5):
                u = np.sin(k / 5 * np.pi / 2)
                line = shapes.curve([(0.5 + u * 0.05, 0.5), (0.5 + u * 0.062, 0.62), (0.5 + u * 0.11, 0.84)])
                surface.dim(shapes.ribbon(line, 0.008), blur=0.003, strength=0.35, clip=body)
        surface.glow(
            shapes.ellipse(0.5, float(body[:, 1].min()) - 0.01, rx=0.14, ry=0.06),
            (255, 226, 160),
            blur=0.03,
            strength=0.4,
            clip=body,
        )
    shade_colour = item.colour.rgb if m("tripod") or m("tinted") else linen
    shade_paint = materials.Paint(
        colour=shade_colour,
        accent=item.partner.rgb,
        pattern=item.pattern if m("tripod") or m("tinted") else "plain",
        texture="canvas" if not m("dome") else "",
        repeat=0.08,
        gloss=0.3 if m("dome") else 0.0,
    )
    if m("globe"):
        outline = shapes.ellipse(0.5, 0.36, rx=0.2, ry=0.2)
        surface.glow(shapes.ellipse(0.5, 0.36, rx=0.25, ry=0.25), (255, 222, 150), blur=0.05, strength=0.5)
        surface.fill(outline, (255, 240, 210), form="round", radius=0.12, depth=0.5)
        surface.glow(shapes.ellipse(0.5, 0.38, rx=0.1, ry=0.1), (255, 255, 240), blur=0.05, strength=0.9, clip=outline)
        surface.fill(shapes.rounded(0.455, 0.535, right=0.545, bottom=0.57, radius=0.01), metal, form="turned")
        return
    if m("dome"):
        outline = shapes.symmetric(
            [(0.5, top), (0.56, top + 0.01), (0.66, top + 0.09), (0.5 + wide, low - 0.03), (0.5 + wide, low, 1)]
        )
        outline = np.concatenate(
            [
                outline[: len(outline) // 2],
                shapes.ellipse(0.5, low, rx=wide, ry=0.03, start=0, stop=180),
                outline[len(outline) // 2 :],
            ]
        )
    else:
        outline = shapes.turned(
            [(top, narrow), ((top + low) / 2, (narrow + wide) / 2 - m("bell", 0.0)), (low, wide)], tilt=0.12
        )
    surface.glow(shapes.ellipse(0.5, low + 0.06, rx=wide * 1.1, ry=0.1), (255, 222, 150), blur=0.06, strength=0.35)
    surface.fill(outline, shade_paint, form="turned", depth=0.7)
    warm = (255, 226, 152) if not m("dome") else (255, 240, 214)
    surface.glow(
        shapes.ellipse(0.5, (top + low) / 2 + 0.04, rx=wide * 0.62, ry=(low - top) * 0.42),
        warm,
        blur=0.06,
        strength=0.16 if m("dome") else 0.62 if shade_colour == linen else 0.38,
        clip=outline,
    )
    if m("pleats"):
        for k in range(-8, 9):
            u = np.sin(k / 9 * np.pi / 2)
            surface.dim(
                shapes.ribbon([(0.5 + u * narrow, top - 0.02), (0.5 + u * wide, low + 0.03)], 0.006),
                blur=0.003,
                strength=0.2,
                clip=outline,
            )
    if m("dome"):
        under = shapes.ellipse(0.5, low, rx=wide - 0.008, ry=0.024)
        surface.fill(under, (255, 236, 186))
        surface.glow(shapes.ellipse(0.5, low, rx=0.07, ry=0.018), (255, 255, 240), blur=0.015, strength=1.0, clip=under)
        surface.fill(shapes.ellipse(0.5, top - 0.012, rx=0.016, ry=0.016), metal, form="round", radius=0.012)
    else:
        for y, half in ((top, narrow), (low, wide)):
            arc = shapes.ellipse(0.5, y, rx=half, ry=half * 0.12, start=0, stop=180)
            surface.fill(shapes.ribbon(arc, 0.012), palette.darker(shade_colour, 0.12), form="round", radius=0.006)
        crown = shapes.ellipse(0.5, top, rx=narrow - 0.004, ry=narrow * 0.12 - 0.002)
        surface.fill(crown, (255, 240, 204), form="sheet")


_MODELS = (
    design.Model(
        name="Sol",
        noun="Table Lamp",
        brand="Lumen & Larch",
        price=129,
        story="A glazed ceramic belly under a plain linen drum. It makes any corner a good one.",
        shape={"base": 0},
        patterns=("plain", "speckled", "wavy", "plain"),
    ),
    design.Model(
        name="Totem",
        noun="Table Lamp",
        brand="Atelier Onda",
        price=149,
        story="Stacked rounded volumes with a soft conical shade.",
        shape={"base": 1, "narrow": 0.1, "wide": 0.22},
    ),
    design.Model(
        name="Beacon",
        noun="Desk Lamp",
        brand="Lumen & Larch",
        price=98,
        story="A spun-metal dome on a slim stem: light on the page, calm in the room.",
        shape={"base": 2, "dome": 1, "tinted": 1, "top": 0.2, "low": 0.44, "wide": 0.22},
    ),
    design.Model(
        name="Doric",
        noun="Table Lamp",
        brand="Maison Verre",
        price=165,
        story="A fluted column with a pleated shade, classical without the dust.",
        shape={"base": 3, "flutes": 1, "pleats": 1, "narrow": 0.13, "wide": 0.24, "bell": 0.02},
    ),
    design.Model(
        name="Tripod",
        noun="Table Lamp",
        brand="Hald Møbler",
        price=119,
        story="Three oak legs and a printed cotton shade that glows in colour.",
        shape={"tripod": 1, "low": 0.4, "narrow": 0.17, "wide": 0.21},
        patterns=("plain", "striped", "leafy", "zigzag"),
    ),
    design.Model(
        name="Moon",
        noun="Globe Lamp",
        brand="Maison Verre",
        price=139,
        story="Opal glass on a ceramic foot, lit like the first half-hour after sunset.",
        shape={"base": 4, "globe": 1},
    ),
)


KIND = design.Kind(
    name="lamp",
    category="Table lamps",
    colour_words="base",
    models=_MODELS,
    draw=lamp,
    poses=(
        design.Pose(
            name="detail", caption="close-up of shade and stem", frame=canvas.Frame(scale=1.8, dx=0.05, dy=0.16)
        ),
    ),
    scenes=("sideboard", "desk", "shelf"),
    lifesize=0.66,
)
