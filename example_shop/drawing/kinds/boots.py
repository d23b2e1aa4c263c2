"""Draw boots from the side, toe to the left."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import saddlery


def boot(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a boot: shaft, foot, heel, and what closes it (laces, elastic or a zip)."""
    m = item.measure
    top, heel, lug, point = m("top", 0.24), m("heel", 0.05), m("lug"), m("point")
    leather = item.paint("velvet" if m("suede") else "leather", gloss=0.0 if m("suede") else 0.34)
    dark = leather.tinted(palette.darker(item.colour.rgb, 0.32))
    seam = palette.lighter(item.colour.rgb, 0.35)
    lift = heel * 0.75
    ball = 0.765 - (0.02 if lug else 0.0)
    width = m("width", 0.0)
    outline = shapes.curve(
        [
            (0.765 + width, top, 1),
            (0.762 + width * 0.6, 0.42),
            (0.772, 0.55),
            (0.8, 0.66 - lift * 0.5),
            (0.79, 0.752 - lift, 1),
            (0.6, 0.758 - lift),
            (0.42, ball),
            (0.2, ball),
            (0.155 - point * 0.05, ball - 0.004, 1),
            (0.14 - point * 0.055, 0.72 + point * 0.02),
            (0.185 - point * 0.02, 0.66 + point * 0.025),
            (0.3, 0.61),
            (0.405, 0.565),
            (0.478, 0.49),
            (0.497, 0.4),
            (0.5 - width, top, 1),
        ],
        closed=True,
    )
    mouth = shapes.ellipse(0.6325, top, rx=0.1325 + width, ry=0.022)
    surface.fill(mouth, palette.darker(item.colour.rgb, 0.62), form="round", radius=0.02, depth=0.6)
    if m("pull", 1):
        loop = shapes.curve(
            [
                (0.735 + width, top + 0.05),
                (0.745 + width, top - 0.03),
                (0.763 + width, top - 0.035),
                (0.77 + width, top + 0.05),
            ]
        )
        surface.fill(shapes.ribbon(loop, 0.014), dark, form="round", radius=0.008)
    surface.fill(outline, leather, form="round", radius=0.095, depth=1.0)
    surface.glow(
        shapes.ribbon(shapes.curve([(0.555, top + 0.06), (0.553, 0.42), (0.53, 0.52), (0.42, 0.6)]), 0.03),
        blur=0.025,
        strength=0.0 if m("suede") else 0.22,
        clip=outline,
    )
    for x, y, k in ((0.5, 0.5, 0.05), (0.49, 0.53, 0.035)):
        surface.dim(
            shapes.ribbon(
                shapes.curve([(x - 0.03, y), (x + 0.06, y + 0.03), (x + 0.16, y + k * 0.3)]), 0.018, end=0.004
            ),
            blur=0.012,
            strength=0.22,
            clip=outline,
        )
    if m("cap"):
        line = shapes.curve([(0.285, 0.6), (0.312, 0.67), (0.3, 0.77)])
        surface.dim(shapes.ribbon(line, 0.012), blur=0.006, strength=0.4, clip=outline)
        surface.fill(shapes.stitches(shapes.shifted(line, (0.012, 0))), seam, clip=outline)
    counter = shapes.curve([(0.83, 0.56), (0.76, 0.585), (0.68, 0.66), (0.645, 0.78), (0.83, 0.78)], closed=True)
    surface.fill(
        counter, dark.tinted(palette.darker(item.colour.rgb, 0.15)), form="round", radius=0.03, depth=0.5, clip=outline
    )
    surface.fill(shapes.stitches(shapes.curve([(0.758, 0.577), (0.672, 0.655), (0.636, 0.76)])), seam, clip=outline)
    if m("elastic"):
        gore = shapes.curve(
            [(0.585, top - 0.01, 1), (0.7, top - 0.01, 1), (0.685, 0.42), (0.655, 0.52), (0.635, 0.52), (0.605, 0.42)],
            closed=True,
        )
        surface.fill(
            gore,
            item.paint("knit").tinted(
                palette.darker(item.partner.rgb if item.colour.name != "ivory" else palette.INK, 0.35)
            ),
            form="round",
            radius=0.012,
            depth=0.6,
            clip=outline,
        )
        surface.fill(
            shapes.stitches(
                shapes.shifted(
                    shapes.ribbon(
                        shapes.curve([(0.585, top), (0.605, 0.42), (0.645, 0.535), (0.685, 0.42), (0.7, top)]), 0.002
                    )[:50],
                    (-0.01, 0.006),
                )
            ),
            seam,
            clip=outline,
        )
    elif m("zip"):
        line = shapes.curve([(0.66, top + 0.02), (0.658, 0.45), (0.64, 0.62)])
        surface.fill(shapes.ribbon(line, 0.018), dark, form="round", radius=0.006, clip=outline)
        surface.fill(shapes.stitches(line, width=0.008, dash=0.008, gap=0.5), palette.BRASS, clip=outline)
        surface.fill(
            shapes.rounded(0.652, top + 0.02, right=0.668, bottom=top + 0.075, radius=0.008),
            palette.BRASS,
            form="round",
            radius=0.006,
        )
    if m("laces"):
        _laces(surface, item, outline=outline, top=top, dark=dark)
    if m("strap"):
        for y in (0.47, top + 0.06)[: int(m("strap"))]:
            band = shapes.curve([(0.47, y + 0.005), (0.62, y + 0.03), (0.8, y + 0.012)])
            surface.dim(shapes.ribbon(shapes.shifted(band, (0, 0.012)), 0.03), blur=0.01, strength=0.35, clip=outline)
            surface.fill(shapes.ribbon(band, 0.034), dark, form="round", radius=0.012, clip=outline)
            surface.fill(
                shapes.rounded(0.585, y - 0.002, right=0.645, bottom=y + 0.054, radius=0.012),
                saddlery.METAL,
                form="round",
                radius=0.008,
                holes=shapes.rounded(0.597, y + 0.01, right=0.633, bottom=y + 0.042, radius=0.006),
            )
    if m("fur"):
        for k in range(16):
            x = 0.49 - width + k * (0.285 + 2 * width) / 15
            surface.fill(
                shapes.ellipse(x, top + 0.012 + 0.006 * (k % 3), rx=0.024, ry=0.03),
                item.paint("velvet").tinted(palette.WHITE),
                form="round",
                radius=0.02,
            )
    _sole(surface, item, ball=ball, lift=lift, heel=heel, lug=lug, point=point)


def _laces(
    surface: canvas.Canvas, item: design.Design, *, outline: shapes.Path, top: float, dark: materials.Paint
) -> None:
    facing = shapes.curve(
        [
            (0.49, top - 0.01, 1),
            (0.565, top - 0.01, 1),
            (0.56, 0.42),
            (0.535, 0.52),
            (0.44, 0.6),
            (0.37, 0.6),
            (0.36, 0.57),
            (0.44, 0.52),
        ],
        closed=True,
    )
    surface.fill(facing, dark, form="round", radius=0.02, depth=0.7, clip=outline)
    spine = shapes.resample(shapes.curve([(0.525, top + 0.03), (0.525, 0.41), (0.503, 0.5), (0.425, 0.572)]), 0.046)
    lace = palette.lighter(item.partner.rgb, 0.35)
    for k, (x, y) in enumerate(spine):
        tilt = 0.012 + 0.02 * k / len(spine)
        surface.fill(
            shapes.ellipse(x + 0.026, y + 0.006, rx=0.008, ry=0.008), palette.BRASS, form="round", radius=0.006
        )
        path = shapes.curve([(x - 0.032 - tilt * 0.5, y - 0.012 + tilt * 0.3), (x, y - 0.006), (x + 0.026, y + 0.006)])
        surface.dim(shapes.ribbon(shapes.shifted(path, (0.002, 0.008)), 0.012), blur=0.004, strength=0.35, clip=outline)
        surface.fill(shapes.ribbon(path, 0.012), lace, form="round", radius=0.006)


def _sole(
    surface: canvas.Canvas, item: design.Design, *, ball: float, lift: float, heel: float, lug: float, point: float
) -> None:
    welt = item.paint("leather").tinted(palette.darker(palette.GUM, 0.15) if lug != 2 else palette.WHITE)
    dark = palette.darker(palette.WALNUT, 0.55) if lug != 2 else palette.WHITE
    tip = 0.148 - point * 0.05
    thick = 0.024 + 0.03 * bool(lug)
    seat = 0.752 - lift
    strip = shapes.curve(
        [
            (tip, ball - 0.012, 1),
            (0.42, ball - 0.006),
            (0.6, seat - 0.004),
            (0.795, seat - 0.006, 1),
            (0.797, seat + 0.014, 1),
            (0.6, seat + 0.018),
            (0.42, ball + 0.014),
            (tip, ball + 0.012, 1),
        ],
        closed=True,
    )
    under = shapes.curve(
        [
            (tip + 0.004, ball + 0.008, 1),
            (0.42, ball + 0.01),
            (0.58, seat + 0.014),
            (0.6, seat + 0.034),
            (0.45, ball + thick),
            (tip + 0.015, ball + thick, 1),
        ],
        closed=True,
    )
    base = ball + thick
    block = shapes.curve(
        [
            (0.6 + heel * 0.3, seat + 0.008, 1),
            (0.797, seat + 0.008, 1),
            (0.792 - heel * 0.12, base, 1),
            (0.635 + heel * 0.42, base, 1),
        ],
        closed=True,
    )
    surface.fill(under, dark, form="round", radius=0.014)
    surface.fill(
        block,
        dark if lug else item.paint("wood").tinted(palette.darker(palette.WALNUT, 0.3)),
        form="round",
        radius=0.02,
    )
    if lug == 1:
        for k in range(8):
            x = tip + 0.03 + k * 0.042
            surface.fill(
                shapes.polygon(
                    (x, base - 0.018), (x + 0.012, base - 0.018), (x + 0.014, base + 0.002), (x - 0.002, base + 0.002)
                ),
                palette.darker(dark, 0.6),
            )
    surface.fill(strip, welt, form="round", radius=0.01)
    surface.fill(
        shapes.stitches(
            shapes.curve([(tip + 0.01, ball - 0.002), (0.42, ball + 0.003), (0.6, seat + 0.006), (0.79, seat + 0.003)])
        ),
        palette.lighter(welt.colour, 0.5),
    )


_MODELS = (
    design.Model(
        name="Kildare",
        noun="Chelsea Boot",
        brand="Fenwright",
        price=179,
        story="A slim Chelsea boot cut from one piece of leather, with elastic that keeps its spring.",
        shape={"elastic": 1, "top": 0.3, "heel": 0.06},
    ),
    design.Model(
        name="Ridge",
        noun="Hiking Boot",
        brand="Tarn & Fell",
        price=199,
        story="A sturdy lace-up with a deep lug sole, made for wet leaves and long weekends.",
        shape={"laces": 1, "top": 0.26, "heel": 0.05, "lug": 1, "cap": 1},
    ),
    design.Model(
        name="Paloma",
        noun="Heeled Boot",
        brand="Casa Rue",
        price=215,
        story="An almond toe, a sculpted heel and a side zip: dressed up in one move.",
        shape={"zip": 1, "top": 0.24, "heel": 0.17, "point": 1},
    ),
    design.Model(
        name="Estate",
        noun="Riding Boot",
        brand="Fenwright",
        price=259,
        story="A tall riding boot with a brass buckle, shaped to sit close to the calf.",
        shape={"strap": 2, "top": 0.1, "heel": 0.07, "width": 0.02},
    ),
    design.Model(
        name="Lapland",
        noun="Winter Boot",
        brand="Tarn & Fell",
        price=169,
        story="Lined to the toes and trimmed with soft pile, for pavements that squeak with frost.",
        shape={"fur": 1, "laces": 1, "top": 0.3, "heel": 0.04, "lug": 1, "suede": 1, "width": 0.015, "pull": 0},
    ),
    design.Model(
        name="Dune",
        noun="Desert Boot",
        brand="Casa Rue",
        price=139,
        story="Unlined suede on a pale crepe sole, as light as a boot can be.",
        shape={"laces": 1, "top": 0.38, "heel": 0.03, "suede": 1, "lug": 2},
    ),
)


KIND = design.Kind(
    name="boot",
    category="Boots",
    colour_words="leather",
    models=_MODELS,
    draw=boot,
    poses=(
        design.Pose(name="side", caption="from the other side", frame=canvas.Frame(mirror=True)),
        design.Pose(
            name="detail", caption="close-up of heel and shaft", frame=canvas.Frame(scale=2.0, dx=-0.28, dy=-0.02)
        ),
    ),
    scenes=("street", "hall", "floor"),
    ground=0.82,
    lifesize=0.62,
)
