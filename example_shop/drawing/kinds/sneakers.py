"""Draw sneakers from the side, toe to the left."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import uppers


def sneaker(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a sneaker: sole, upper, overlays, laces, and the maker's mark on its flank."""
    m = item.measure
    chunk, collar = m("sole", 0.0), m("collar", 0.475)
    body = item.paint("canvas" if m("canvas") else "mesh" if m("runner") else "leather", gloss=0.12, repeat=0.09)
    second = body.tinted(item.partner.rgb)
    if palette.brightness(item.colour.rgb) > 0.8:
        trim = body.tinted(palette.mix(item.colour.rgb, item.partner.rgb, share=0.75))
    else:
        trim = body.tinted(palette.darker(item.colour.rgb, 0.28))
    deep = palette.darker(item.colour.rgb, 0.5)
    white = palette.mix(palette.WHITE, item.partner.rgb, share=0.06)

    back = [
        (0.872, 0.665),
        (0.887, 0.6),
        (0.866, collar + (0.6 - collar) * 0.45),
        (0.868, collar + 0.03),
        (0.858, collar),
    ]
    opening = [(0.83, collar + 0.012), (0.755, collar + 0.055), (0.66, collar + 0.02), (0.612, collar - 0.022)]
    throat = [(0.585, collar - 0.02), (0.54, collar + 0.03 + (0.475 - collar) * 0.3), (0.345, 0.545)]
    toe = [(0.27, 0.577), (0.185, 0.598), (0.115, 0.632), (0.088, 0.68), (0.1, 0.71)]
    points = _toe_shaped([*back, *opening, *throat, *toe, (0.5, 0.72), (0.87, 0.71)], chunk)
    points[4], points[-1], points[-3] = (*points[4], 1), (*points[-1], 1), (*points[-3], 1)
    upper = shapes.curve(points, closed=True)

    # Inside of the collar and the tongue come first: the upper covers their feet.
    if not m("slip"):
        t = collar - chunk
        tongue = [
            (0.66, t + 0.1),
            (0.65, t - 0.02),
            (0.615, t - 0.07),
            (0.565, t - 0.055),
            (0.52, t + 0.05),
            (0.4, 0.53 - chunk),
        ]
        surface.fill(
            shapes.curve(tongue, closed=True),
            body.tinted(palette.mix(trim.colour, item.colour.rgb, share=0.4)),
            form="round",
            radius=0.03,
        )
    lining = shapes.curve(
        _toe_shaped(
            [
                (0.858, collar),
                (0.76, collar - 0.004),
                (0.64, collar - 0.03),
                (0.62, collar + 0.03),
                (0.76, collar + 0.09),
                (0.85, collar + 0.04),
            ],
            chunk,
        ),
        closed=True,
    )
    surface.fill(lining, deep, form="round", radius=0.02, depth=0.5)

    # Sole.
    top = 0.692 - chunk
    wave = 0.012 if m("runner") else 0.0
    sole = shapes.curve(
        [
            (0.075, top + 0.005),
            (0.2, top + 0.022),
            (0.5, top + 0.02 + wave),
            (0.75, top - wave),
            (0.897, top - 0.015 - wave * 2),
            (0.912, 0.74, 1),
            (0.9, 0.782, 1),
            (0.3, 0.785),
            (0.14, 0.772),
            (0.07, 0.725 - chunk * 0.4),
        ],
        closed=True,
    )
    surface.fill(upper, body, form="round", radius=0.075, depth=0.85)
    surface.dim(
        shapes.ribbon(shapes.curve(_toe_shaped([(0.1, 0.7), (0.5, 0.715), (0.89, 0.69)], chunk)), 0.05),
        blur=0.02,
        strength=0.28,
        clip=upper,
    )

    # Overlays: toe cap, heel counter, the stay that carries the eyelets.
    if m("cap"):
        cap = shapes.curve(
            _toe_shaped([(0.06, 0.76), (0.06, 0.6), (0.2, 0.57), (0.262, 0.61), (0.268, 0.76)], chunk), closed=True
        )
        rubber = materials.Paint(colour=white) if m("canvas") else second if m("twotone") else trim
        surface.fill(cap, rubber, form="round", radius=0.05, depth=0.7, clip=upper)
        surface.fill(
            shapes.stitches(shapes.curve(_toe_shaped([(0.205, 0.57), (0.255, 0.62), (0.26, 0.7)], chunk))),
            palette.lighter(item.colour.rgb, 0.5),
            clip=upper,
        )
    heel = shapes.curve(
        _toe_shaped([(0.92, 0.45), (0.84, 0.47), (0.81, 0.55), (0.74, 0.63), (0.72, 0.74), (0.93, 0.74)], chunk),
        closed=True,
    )
    surface.fill(
        heel, second if m("twotone") or m("mark") == 3 else trim, form="round", radius=0.03, depth=0.7, clip=upper
    )
    surface.fill(
        shapes.stitches(shapes.curve(_toe_shaped([(0.832, 0.47), (0.802, 0.548), (0.73, 0.63), (0.712, 0.7)], chunk))),
        palette.lighter(item.colour.rgb, 0.5),
        clip=upper,
    )
    if m("slip"):
        gore = shapes.curve(
            _toe_shaped(
                [
                    (0.55, collar - 0.04),
                    (0.62, collar - 0.03),
                    (0.65, collar + 0.11),
                    (0.6, collar + 0.13),
                    (0.5, collar + 0.06),
                ],
                chunk,
            ),
            closed=True,
        )
        surface.fill(gore, _elastic(item), form="round", radius=0.02, depth=0.6, clip=upper)
    else:
        uppers.laces(surface, item, upper=upper, collar=collar, chunk=chunk, trim=trim, white=white)

    uppers.mark(surface, item, upper=upper, chunk=chunk, paint=second if m("mark") != 1 else body.tinted(white))
    rim = shapes.curve(
        _toe_shaped(
            [
                (0.862, collar + 0.002),
                (0.83, collar + 0.016),
                (0.755, collar + 0.058),
                (0.66, collar + 0.024),
                (0.613, collar - 0.018),
            ],
            chunk,
        )
    )
    surface.fill(shapes.ribbon(rim, 0.022), trim, form="round", radius=0.012)
    tab = shapes.rounded(0.853, collar - 0.018 - chunk, right=0.885, bottom=collar + 0.06 - chunk, radius=0.012)
    surface.fill(tab, second, form="round", radius=0.014)

    rubber = materials.Paint(colour=white if not m("gum") else palette.GUM)
    surface.fill(sole, rubber, form="round", radius=0.03, depth=0.8)
    outsole = shapes.curve(
        [
            (0.078, 0.752, 1),
            (0.15, 0.768),
            (0.3, 0.776),
            (0.907, 0.77, 1),
            (0.9, 0.788, 1),
            (0.3, 0.791),
            (0.14, 0.78),
            (0.085, 0.76, 1),
        ],
        closed=True,
    )
    surface.fill(outsole, palette.GUM if not m("gum") else palette.darker(palette.GUM, 0.3), form="round", radius=0.01)
    line = shapes.curve(
        [
            (0.085, top + 0.024),
            (0.2, top + 0.042),
            (0.5, top + 0.042 + wave),
            (0.75, top + 0.022 - wave),
            (0.9, top + 0.006 - wave * 2),
        ]
    )
    if m("runner"):
        for k in range(5):
            x = 0.6 + 0.055 * k
            surface.dim(
                shapes.ribbon(
                    shapes.curve(
                        [(x, 0.75 - chunk * 0.2), (x + 0.02, 0.735 - chunk * 0.4), (x + 0.045, 0.75 - chunk * 0.2)]
                    ),
                    0.007,
                ),
                blur=0.002,
                strength=0.3,
            )
        surface.fill(shapes.ribbon(line, 0.012), second, clip=sole)
    else:
        surface.fill(shapes.stitches(line, dash=0.014), palette.darker(rubber.colour, 0.25), clip=sole)


def _toe_shaped(points: list[tuple[float, ...]], chunk: float) -> list[tuple[float, ...]]:
    return [(p[0], p[1] - chunk, *p[2:]) for p in points]


def _elastic(item: design.Design) -> materials.Paint:
    return item.paint("knit").tinted(palette.darker(item.colour.rgb, 0.35))


_MODELS = (
    design.Model(
        name="Harbour",
        noun="Low Sneaker",
        brand="Norrvik",
        price=89,
        story="A clean low sneaker in full-grain leather that gets better with every walk along the quay.",
        shape={"mark": 1, "cap": 1},
    ),
    design.Model(
        name="Tempo",
        noun="Runner",
        brand="Strade",
        price=119,
        story="A light mesh runner with a cushioned wave sole, made for early mornings.",
        shape={"mark": 0, "runner": 1, "sole": 0.035, "cap": 1, "twotone": 1},
    ),
    design.Model(
        name="Court 74",
        noun="High Top",
        brand="Bowery Lane",
        price=109,
        story="An old-school high top with a padded collar and a proper rubber toe.",
        shape={"mark": 2, "collar": 0.29, "cap": 1, "canvas": 1},
        patterns=("plain", "plain", "gingham", "plain"),
    ),
    design.Model(
        name="Lido",
        noun="Slip-On",
        brand="Norrvik",
        price=69,
        story="Kick them on, walk out of the door. Soft canvas with elastic at the sides.",
        shape={"mark": 9, "slip": 1, "canvas": 1, "collar": 0.46},
        patterns=("plain", "striped", "floral", "dotted"),
    ),
    design.Model(
        name="Mesa",
        noun="Platform Sneaker",
        brand="Olla",
        price=99,
        story="A raised gum sole under a soft suede-look upper: four centimetres taller, just as comfortable.",
        shape={"mark": 3, "sole": 0.045, "gum": 1, "cap": 1},
    ),
    design.Model(
        name="Relay",
        noun="Mid Sneaker",
        brand="Strade",
        price=115,
        story="A mid-height trainer with two-tone panels, borrowed from the running tracks of the eighties.",
        shape={"mark": 0, "collar": 0.36, "twotone": 1, "cap": 1, "sole": 0.01},
    ),
)


KIND = design.Kind(
    name="sneaker",
    category="Sneakers",
    colour_words="upper",
    models=_MODELS,
    draw=sneaker,
    poses=(
        design.Pose(name="side", caption="from the other side", frame=canvas.Frame(mirror=True)),
        design.Pose(
            name="detail", caption="close-up of toe and laces", frame=canvas.Frame(scale=2.1, dx=0.36, dy=-0.18)
        ),
    ),
    scenes=("floor", "street", "hall"),
    ground=0.79,
    lifesize=0.62,
)
