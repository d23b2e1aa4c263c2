"""Draw dresses, laid flat."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import sewing


def dress(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a dress from the front or the back: bodice, waist, skirt and what holds it up."""
    m = item.measure
    cloth = item.paint("cloth", repeat=m("repeat", 0.085))
    thread = sewing.thread(item)
    waist, hem, flare, slim = m("waist", 0.42), m("hem", 0.86), m("flare", 0.24), m("slim", 0.115)
    straps, back = m("straps"), side == "back"
    top = 0.2 if straps else 0.14
    if straps:
        bodice = [
            (0.5, top + (0.045 if not back else 0.06)),
            (0.57, top + 0.004),
            (0.6, top, 1),
            (0.625, 0.31),
            (0.5 + slim, waist, 1),
        ]
    else:
        depth = 0.05 if back else m("neck", 0.1)
        bodice = [
            (0.5, top + depth, 1 if m("vee") and not back else 0),
            (0.555, top + depth * (0.55 if m("vee") else 0.75)),
            (0.578, top, 1),
            (0.665, top + 0.035, 1),
            (0.64, 0.3),
            (0.5 + slim, waist, 1),
        ]
    skirt = [
        (0.5 + slim, waist, 1),
        (0.5 + slim + flare * 0.42, waist + (hem - waist) * 0.35),
        (0.5 + slim + flare * 0.72, hem - 0.08),
        (0.5 + flare, hem - 0.012, 1),
        (0.5 + flare * 0.5, hem + 0.012),
        (0.5, hem + 0.018),
    ]
    if m("shift"):
        skirt = [
            (0.5 + slim, waist, 1),
            (0.5 + slim + 0.03, 0.6),
            (0.5 + flare, hem, 1),
            (0.5 + flare * 0.5, hem + 0.008),
            (0.5, hem + 0.01),
        ]
    outline_top, outline_low = shapes.symmetric(bodice), shapes.symmetric(skirt)
    if straps:
        for sign in (-1, 1):
            far = shapes.curve(
                [(0.5 + sign * 0.085, top + 0.03), (0.5 + sign * 0.075, 0.1), (0.5 + sign * 0.08, top - 0.02)]
            )
            surface.fill(
                shapes.ribbon(far, 0.014),
                cloth.tinted(palette.darker(item.colour.rgb, 0.25)),
                form="round",
                radius=0.008,
            )
            near = shapes.curve(
                [(0.5 + sign * 0.092, top + 0.02), (0.5 + sign * 0.083, 0.12), (0.5 + sign * 0.077, 0.098)]
            )
            surface.fill(shapes.ribbon(near, 0.018), cloth.tinted(item.colour.rgb), form="round", radius=0.01)
    else:
        inner = shapes.symmetric(
            [(0.5, top - 0.012), (0.578, top, 1), (0.565, top + 0.08), (0.5, top + m("neck", 0.1) + 0.02)]
        )
        if not back:
            surface.fill(inner, palette.darker(item.colour.rgb, 0.35), form="round", radius=0.02, depth=0.5)
        _sleeves(surface, item, cloth=cloth, top=top)
    surface.fill(outline_low, cloth, form="round", radius=0.07, depth=0.8)
    _skirt_folds(surface, item, outline=outline_low, waist=waist, hem=hem, flare=flare, slim=slim)
    surface.fill(outline_top, cloth, form="round", radius=0.045, depth=0.8)
    sewing.folds(
        surface,
        [
            [(0.44, waist - 0.13), (0.455, waist - 0.06), (0.46, waist)],
            [(0.565, waist - 0.14), (0.55, waist - 0.06), (0.545, waist)],
        ],
        clip=outline_top,
        strength=0.17,
    )
    if not m("shift"):
        surface.dim(
            shapes.ribbon([(0.5 - slim, waist + 0.006), (0.5 + slim, waist + 0.006)], 0.02),
            blur=0.01,
            strength=0.35,
            clip=outline_low,
        )
    if m("sash"):
        band = shapes.curve([(0.5 - slim - 0.004, waist), (0.5, waist + 0.008), (0.5 + slim + 0.004, waist)])
        surface.fill(shapes.ribbon(band, 0.036, caps=False), cloth.tinted(item.partner.rgb), form="round", radius=0.015)
        if not back:
            for dx in (0.0, 0.035):
                tail = shapes.curve(
                    [(0.56, waist + 0.006), (0.565 + dx, waist + 0.07), (0.57 + dx * 1.3, waist + 0.15)]
                )
                surface.fill(
                    shapes.ribbon(tail, 0.016, end=0.028), cloth.tinted(item.partner.rgb), form="round", radius=0.01
                )
            surface.fill(
                shapes.ellipse(0.56, waist + 0.006, rx=0.02, ry=0.022),
                cloth.tinted(item.partner.rgb),
                form="round",
                radius=0.012,
            )
    if m("buttons") and not back:
        last = hem if m("buttons") == 2 else waist
        count = int((last - top - 0.14) / 0.055)
        surface.dim(
            shapes.ribbon([(0.516, top + m("neck", 0.1)), (0.516, last)], 0.004),
            blur=0.003,
            strength=0.35,
            clip=[outline_top, outline_low],
        )
        for k in range(count):
            surface.fill(
                shapes.ellipse(0.5, top + 0.125 + k * 0.055, rx=0.0085, ry=0.0085),
                palette.WHITE if palette.brightness(item.colour.rgb) < 0.7 else palette.WALNUT,
                form="round",
                radius=0.006,
            )
    if m("collar") and not back:
        for sign in (-1, 1):
            wing = shapes.curve(
                [
                    (0.5 + sign * 0.08, top - 0.008),
                    (0.5 + sign * 0.105, top + 0.045),
                    (0.5 + sign * 0.06, top + 0.115),
                    (0.5, top + 0.09, 1),
                    (0.5 + sign * 0.045, top + 0.055),
                ],
                closed=True,
            )
            surface.dim(shapes.shifted(wing, (0.002, 0.01)), blur=0.008, strength=0.3)
            surface.fill(wing, cloth.tinted(item.partner.rgb), form="round", radius=0.016)
    if back:
        surface.dim(shapes.ribbon([(0.5, top + 0.06), (0.5, waist + 0.12)], 0.004), blur=0.003, strength=0.4)
        surface.fill(shapes.rounded(0.495, top + 0.06, right=0.505, bottom=top + 0.09, radius=0.004), palette.STEEL)
    surface.fill(
        shapes.stitches(
            shapes.curve([(0.5 - flare, hem - 0.03), (0.5, hem), (0.5 + flare, hem - 0.03)]), width=0.0022, dash=0.009
        ),
        thread,
        clip=outline_low,
    )


def _sleeves(surface: canvas.Canvas, item: design.Design, *, cloth: materials.Paint, top: float) -> None:
    length = item.measure("sleeve", 1)
    for sign in (-1, 1):
        if length == 2:
            points = [
                (0.64, top + 0.02, 1),
                (0.7, top + 0.06),
                (0.755, 0.36),
                (0.775, 0.53, 1),
                (0.715, 0.545, 1),
                (0.675, 0.4),
                (0.63, 0.31, 1),
            ]
        elif length == 1:
            points = [
                (0.64, top + 0.022, 1),
                (0.7, top + 0.05),
                (0.755, top + 0.14, 1),
                (0.69, top + 0.185, 1),
                (0.63, top + 0.15, 1),
            ]
        else:
            points = [
                (0.62, top + 0.012, 1),
                (0.7, top + 0.0),
                (0.765, top + 0.08),
                (0.76, top + 0.15),
                (0.69, top + 0.165),
                (0.625, top + 0.14, 1),
            ]
        arm = shapes.curve(points, closed=True)
        arm = arm if sign > 0 else shapes.flipped(arm)
        surface.fill(arm, cloth, form="round", radius=0.04, depth=0.8)
        if length == 3:
            for k in range(3):
                line = shapes.curve(
                    [
                        (0.5 + sign * (0.16 + 0.03 * k), top + 0.015),
                        (0.5 + sign * (0.19 + 0.022 * k), top + 0.09),
                        (0.5 + sign * (0.185 + 0.02 * k), top + 0.15),
                    ]
                )
                surface.dim(shapes.ribbon(line, 0.008), blur=0.006, strength=0.28, clip=arm)


def _skirt_folds(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    outline: shapes.Path,
    waist: float,
    hem: float,
    flare: float,
    slim: float,
) -> None:
    count = 9 if item.measure("pleats") else 5 if not item.measure("shift") else 2
    for k in range(count):
        u = (k + 0.5) / count * 2 - 1
        u0 = u * 0.86
        line = shapes.curve(
            [
                (0.5 + u0 * slim, waist + 0.012),
                (0.5 + u0 * (slim + flare * 0.35), waist + (hem - waist) * 0.4),
                (0.5 + u * flare * 0.93, hem + 0.005),
            ]
        )
        wide = 0.006 if item.measure("pleats") else 0.008
        surface.dim(shapes.ribbon(line, wide, end=0.034), blur=0.014, strength=0.24, clip=outline)
        surface.glow(
            shapes.ribbon(shapes.shifted(line, (-0.022, 0)), wide, end=0.026), blur=0.012, strength=0.17, clip=outline
        )
    if item.measure("tiers"):
        for share in (0.36, 0.7):
            y = waist + (hem - waist) * share
            w = slim + flare * (0.42 if share < 0.5 else 0.66)
            line = shapes.curve([(0.5 - w, y - 0.008), (0.5, y + 0.012), (0.5 + w, y - 0.008)])
            surface.dim(shapes.ribbon(shapes.shifted(line, (0, 0.01)), 0.016), blur=0.008, strength=0.4, clip=outline)
            surface.glow(
                shapes.ribbon(shapes.shifted(line, (0, -0.006)), 0.008), blur=0.004, strength=0.22, clip=outline
            )


_MODELS = (
    design.Model(
        name="Flora",
        noun="Wrap Dress",
        brand="Atelier Onda",
        price=129,
        story="A wrapped waist, a V-neck and a skirt that swings on the way home.",
        shape={"vee": 1, "neck": 0.16, "sash": 1, "flare": 0.22},
        patterns=("floral", "leafy", "plain", "dotted"),
    ),
    design.Model(
        name="Riva",
        noun="Sun Dress",
        brand="Olla",
        price=89,
        story="Thin straps, a fitted bodice and three gathered tiers for hot afternoons.",
        shape={"straps": 1, "tiers": 1, "flare": 0.27},
        patterns=("plain", "gingham", "floral", "striped"),
    ),
    design.Model(
        name="Margot",
        noun="Shirt Dress",
        brand="Maison Verre",
        price=139,
        story="Buttoned from collar to hem, belted or loose.",
        shape={"collar": 1, "buttons": 2, "sleeve": 2, "flare": 0.19, "slim": 0.125, "sash": 1},
        patterns=("plain", "pinstriped", "plain"),
    ),
    design.Model(
        name="Twist",
        noun="Shift Dress",
        brand="Bowery Lane",
        price=99,
        story="A clean sixties shift with a small collar, short enough for dancing.",
        shape={"shift": 1, "collar": 1, "hem": 0.72, "flare": 0.185, "slim": 0.135, "waist": 0.4},
        patterns=("plain", "diamond", "zigzag", "dotted"),
    ),
    design.Model(
        name="Celeste",
        noun="Maxi Dress",
        brand="Atelier Onda",
        price=169,
        story="Knife pleats from the waist to the ankle that ripple when you walk.",
        shape={"straps": 1, "pleats": 1, "hem": 0.91, "flare": 0.215, "waist": 0.38, "slim": 0.1, "sash": 1},
    ),
    design.Model(
        name="Poppy",
        noun="Tea Dress",
        brand="Olla",
        price=95,
        story="Puffed sleeves and a round neck, cut on the bias.",
        shape={"sleeve": 3, "flare": 0.235, "hem": 0.8, "neck": 0.11},
        patterns=("dotted", "floral", "plain", "gingham"),
    ),
)


KIND = design.Kind(
    name="dress",
    category="Dresses",
    colour_words="cloth",
    models=_MODELS,
    draw=dress,
    poses=sewing.POSES,
    scenes=("rail", "linen", "planks"),
    stance="lying",
    lifesize=0.84,
)
