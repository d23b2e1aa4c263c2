"""Draw T-shirts, laid flat."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import sewing


def tshirt(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a T-shirt from the front or the back: body, sleeves, neck, and a print or a pocket."""
    m = item.measure
    cloth = item.paint("knit" if m("rib") else "cloth", repeat=m("repeat", 0.075))
    contrast = cloth.tinted(item.partner.rgb) if m("ringer") else cloth.tinted(item.colour.rgb)
    thread = sewing.thread(item)
    wide, hem, neck = m("wide", 0.215), m("hem", 0.83), m("neck", 0.09)
    shoulder = 0.5 + m("shoulder", 0.2)
    drop = 0.215
    body = shapes.symmetric(
        [
            (0.5 + neck, 0.158, 1),
            (0.5 + neck + 0.05, 0.17),
            (shoulder, drop, 1),
            (0.5 + wide + 0.012, 0.4),
            (0.5 + wide, 0.6),
            (0.5 + wide + 0.006, hem - 0.012, 1),
            (0.5 + wide * 0.6, hem + 0.004),
            (0.5, hem + 0.008),
        ]
    )
    long = m("sleeve")
    for sign in (-1, 1):
        if long:
            sleeve = shapes.curve(
                [
                    (shoulder - 0.03, drop - 0.018, 1),
                    (shoulder + 0.05, 0.3),
                    (shoulder + 0.125, 0.72, 1),
                    (shoulder + 0.055, 0.735, 1),
                    (shoulder + 0.0, 0.5),
                    (0.5 + wide, 0.37, 1),
                ],
                closed=True,
            )
            cuff = [(shoulder + 0.122, 0.7), (shoulder + 0.053, 0.715)]
        else:
            sleeve = shapes.curve(
                [
                    (shoulder - 0.03, drop - 0.02, 1),
                    (shoulder + 0.05, 0.262),
                    (shoulder + 0.145, 0.395, 1),
                    (shoulder + 0.058, 0.456, 1),
                    (0.5 + wide + 0.014, 0.4),
                    (0.5 + wide - 0.01, 0.36, 1),
                ],
                closed=True,
            )
            cuff = [(shoulder + 0.128, 0.388), (shoulder + 0.05, 0.44)]
        arm = sleeve if sign > 0 else shapes.flipped(sleeve)
        hem_line = np.array(cuff) if sign > 0 else shapes.flipped(np.array(cuff))
        sleeve_cloth = contrast if m("raglan") else cloth
        surface.fill(arm, sleeve_cloth, form="round", radius=0.045, depth=0.75)
        if m("ringer") and not m("raglan"):
            surface.fill(shapes.ribbon(hem_line, 0.04), contrast, form="round", radius=0.012, clip=arm)
        else:
            surface.fill(shapes.stitches(hem_line, width=0.0025, dash=0.009), thread, clip=arm)
        crease = [
            (0.5 + sign * (shoulder - 0.46), 0.24),
            (0.5 + sign * (shoulder - 0.44), 0.3),
            (0.5 + sign * (wide + 0.015), 0.4),
        ]
        surface.dim(shapes.ribbon(shapes.curve(crease), 0.02), blur=0.012, strength=0.3, clip=arm)
    neck_drop = 0.05 if side == "back" else 0.2 if m("vee") else 0.105
    if side == "front":
        low = 0.156 + neck_drop
        inside = shapes.curve(
            [
                (0.5 - neck, 0.158, 1),
                (0.5, 0.15),
                (0.5 + neck, 0.158, 1),
                (0.5 + neck * 0.85, 0.2),
                (0.5, low + 0.02),
                (0.5 - neck * 0.85, 0.2),
            ],
            closed=True,
        )
        surface.fill(inside, cloth.tinted(palette.darker(item.colour.rgb, 0.3)), form="sheet", depth=0.8)
        nape = shapes.curve(
            [
                (0.5 - neck, 0.158),
                (0.5 - neck * 0.6, 0.172),
                (0.5, 0.178),
                (0.5 + neck * 0.6, 0.172),
                (0.5 + neck, 0.158),
            ]
        )
        surface.fill(
            shapes.ribbon(nape, 0.022),
            contrast.tinted(palette.darker(contrast.colour, 0.1)),
            form="round",
            radius=0.012,
        )
        surface.fill(shapes.rounded(0.482, 0.19, right=0.518, bottom=0.212, radius=0.003), palette.WHITE)
    if m("vee"):
        edge = shapes.curve(
            [
                (0.5 - neck, 0.156),
                (0.5 - neck * 0.62, 0.22),
                (0.5, 0.156 + neck_drop, 1),
                (0.5 + neck * 0.62, 0.22),
                (0.5 + neck, 0.156),
            ]
        )
        if side == "back":
            edge = shapes.curve([(0.5 - neck, 0.156), (0.5, 0.19), (0.5 + neck, 0.156)])
    else:
        edge = shapes.curve(
            [
                (0.5 - neck, 0.156),
                (0.5 - neck * 0.72, 0.156 + neck_drop * 0.72),
                (0.5, 0.156 + neck_drop),
                (0.5 + neck * 0.72, 0.156 + neck_drop * 0.72),
                (0.5 + neck, 0.156),
            ]
        )
    front = np.concatenate([body, edge[1:-1]])
    surface.fill(front, cloth, form="round", radius=0.05, depth=0.75)
    sewing.folds(
        surface,
        [
            [(0.36, 0.5), (0.42, 0.62), (0.4, 0.8)],
            [(0.62, 0.44), (0.585, 0.6), (0.61, 0.82)],
            [(0.305, 0.4), (0.36, 0.45), (0.44, 0.47)],
            [(0.695, 0.41), (0.63, 0.47), (0.55, 0.5)],
            [(0.48, 0.66), (0.5, 0.74), (0.49, 0.83)],
        ],
        clip=front,
        strength=0.15,
    )
    if side == "front":
        _print(surface, item, front=front)
    surface.dim(shapes.ribbon(shapes.shifted(edge, (0, 0.016)), 0.02), blur=0.008, strength=0.25, clip=front)
    surface.fill(shapes.ribbon(edge, 0.027), contrast, form="round", radius=0.013)
    surface.fill(
        shapes.stitches(
            shapes.curve([(0.5 - wide - 0.01, hem - 0.035), (0.5, hem - 0.022), (0.5 + wide + 0.01, hem - 0.035)]),
            width=0.0025,
            dash=0.009,
        ),
        thread,
        clip=front,
    )
    if m("polo"):
        _polo(surface, item, contrast=contrast, side=side, neck=neck)


def _polo(surface: canvas.Canvas, item: design.Design, *, contrast: materials.Paint, side: str, neck: float) -> None:
    if side == "front":
        placket = shapes.rounded(0.478, 0.24, right=0.522, bottom=0.42, radius=0.006)
        surface.dim(shapes.shifted(placket, (0.004, 0.004)), blur=0.006, strength=0.3)
        surface.fill(placket, contrast, form="round", radius=0.01)
        for y in (0.3, 0.35, 0.395):
            surface.fill(shapes.ellipse(0.5, y, rx=0.0085, ry=0.0085), palette.WHITE, form="round", radius=0.006)
    for sign in (-1, 1):
        wing = np.array(
            [
                (0.5 + sign * (neck + 0.012), 0.14),
                (0.5 + sign * (neck + 0.02), 0.2),
                (0.5 + sign * 0.075, 0.29),
                (0.5, 0.245),
                (0.5 + sign * 0.05, 0.205),
            ]
        )
        if side == "back":
            wing = np.array(
                [(0.5 + sign * (neck + 0.012), 0.14), (0.5 + sign * (neck + 0.03), 0.19), (0.5, 0.215), (0.5, 0.16)]
            )
        wing = shapes.curve([(*p, 1) if k in (2, 3) else tuple(p) for k, p in enumerate(wing)], closed=True)
        surface.dim(shapes.shifted(wing, (0.002, 0.012)), blur=0.01, strength=0.35)
        surface.fill(wing, contrast, form="round", radius=0.018)


def _print(surface: canvas.Canvas, item: design.Design, *, front: shapes.Path) -> None:
    motif = int(item.measure("motif"))
    a, b = item.partner.rgb, palette.BY_NAME[item.partner.partners[0]].rgb
    if b == item.colour.rgb:
        b = palette.BY_NAME[item.partner.partners[1]].rgb
    if item.measure("pocket"):
        pocket = shapes.symmetric([(0.595, 0.36, 1), (0.645, 0.36, 1), (0.645, 0.44, 1), (0.595, 0.46, 1)], axis=0.595)
        surface.dim(shapes.shifted(pocket, (0.003, 0.006)), blur=0.006, strength=0.3, clip=front)
        tone = item.partner.rgb if item.measure("pocket") == 2 else item.colour.rgb
        surface.fill(
            pocket,
            item.paint("cloth", repeat=0.075).tinted(tone)
            if item.measure("pocket") == 2
            else item.paint("cloth", repeat=0.075),
            form="round",
            radius=0.012,
        )
        surface.fill(shapes.stitches([(0.55, 0.376), (0.64, 0.376)], width=0.0025, dash=0.009), sewing.thread(item))
    if motif == 1:
        surface.fill(shapes.ellipse(0.5, 0.43, rx=0.085, ry=0.085), a, clip=front)
        for k in range(4):
            y = 0.44 + k * 0.021
            surface.fill(
                shapes.rounded(0.39, y, right=0.61, bottom=y + 0.004 + 0.002 * k, radius=0), item.colour.rgb, clip=front
            )
    elif motif == 2:
        for dx, s, tone in ((-0.05, 0.8, b), (0.045, 1.0, a)):
            peak = shapes.polygon((0.5 + dx - 0.1 * s, 0.5), (0.5 + dx, 0.5 - 0.16 * s), (0.5 + dx + 0.1 * s, 0.5))
            surface.fill(peak, tone, clip=front)
            snow = shapes.polygon(
                (0.5 + dx - 0.034 * s, 0.5 - 0.106 * s),
                (0.5 + dx, 0.5 - 0.16 * s),
                (0.5 + dx + 0.034 * s, 0.5 - 0.106 * s),
                (0.5 + dx + 0.012 * s, 0.5 - 0.116 * s),
                (0.5 + dx, 0.5 - 0.1 * s),
                (0.5 + dx - 0.014 * s, 0.5 - 0.118 * s),
            )
            surface.fill(snow, palette.WHITE)
        surface.fill(shapes.ellipse(0.585, 0.345, rx=0.022, ry=0.022), palette.BY_NAME["mustard"].rgb)
    elif motif == 3:
        for k, tone in enumerate((a, b, palette.BY_NAME["mustard"].rgb)):
            r = 0.1 - k * 0.03
            ring = shapes.ribbon(shapes.ellipse(0.5, 0.48, rx=r, ry=r * 1.1, start=180, stop=360), 0.02, caps=False)
            surface.fill(ring, tone, clip=front)


_MODELS = (
    design.Model(
        name="Everyday",
        noun="Crew Tee",
        brand="Plain Goods",
        price=29,
        story="A mid-weight crew neck in combed cotton with a small pocket. Buy one, come back for five.",
        shape={"pocket": 1},
    ),
    design.Model(
        name="Marin",
        noun="Breton Top",
        brand="Norrvik",
        price=49,
        story="A long-sleeved sailor's top with stripes knitted in, not printed on.",
        shape={"sleeve": 1},
        patterns=("striped",),
    ),
    design.Model(
        name="Lookout",
        noun="Graphic Tee",
        brand="Tarn & Fell",
        price=35,
        story="Screen-printed by hand with water-based inks: mountains by day.",
        shape={"motif": 2, "wide": 0.225},
    ),
    design.Model(
        name="Club",
        noun="Polo",
        brand="Bowery Lane",
        price=59,
        story="A textured polo with a neat collar and three mother-of-pearl buttons.",
        shape={"polo": 1, "rib": 1, "ringer": 1},
    ),
    design.Model(
        name="Sundown",
        noun="Ringer Tee",
        brand="Bowery Lane",
        price=34,
        story="A soft seventies cut with contrast trim and a low sun over the water.",
        shape={"ringer": 1, "motif": 1},
        patterns=("plain",),
    ),
    design.Model(
        name="Vela",
        noun="V-Neck",
        brand="Plain Goods",
        price=32,
        story="A light V-neck that drapes rather than clings.",
        shape={"vee": 1, "wide": 0.21, "pocket": 0},
        patterns=("plain", "pinstriped", "dotted", "speckled"),
    ),
)


KIND = design.Kind(
    name="t-shirt",
    category="T-shirts",
    colour_words="cotton",
    models=_MODELS,
    draw=tshirt,
    poses=sewing.POSES,
    scenes=("rail", "planks", "linen"),
    stance="lying",
    lifesize=0.8,
)
