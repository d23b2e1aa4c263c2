"""Draw handbags."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import handles, saddlery


def handbag(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a handbag from the front or, without its flap and pockets, from the back."""
    m = item.measure
    leather, trim, thread = saddlery.leather(item), saddlery.trim(item), saddlery.thread(item)
    plain = leather.tinted(item.colour.rgb)
    kind = int(m("cut"))
    bodies: dict[int, list[tuple[float, ...]]] = {
        0: [(0.5, 0.4, 0), (0.8, 0.4, 1), (0.765, 0.74), (0.745, 0.81), (0.68, 0.825), (0.5, 0.828, 0)],
        1: [(0.5, 0.45, 0), (0.73, 0.452), (0.765, 0.48), (0.79, 0.7), (0.78, 0.79), (0.72, 0.822), (0.5, 0.826, 0)],
        2: [(0.5, 0.4, 0), (0.71, 0.392, 1), (0.735, 0.52), (0.76, 0.7), (0.72, 0.8), (0.63, 0.825), (0.5, 0.828, 0)],
        3: [
            (0.5, 0.56),
            (0.64, 0.53),
            (0.78, 0.44),
            (0.825, 0.44),
            (0.83, 0.54),
            (0.77, 0.72),
            (0.65, 0.815),
            (0.5, 0.826),
        ],
        4: [(0.5, 0.5, 0), (0.77, 0.5), (0.8, 0.52), (0.805, 0.78), (0.775, 0.815), (0.5, 0.82, 0)],
        5: [(0.5, 0.41, 0), (0.62, 0.412), (0.7, 0.46), (0.74, 0.62), (0.755, 0.78), (0.72, 0.825), (0.5, 0.83, 0)],
    }
    body = shapes.symmetric(bodies[kind])
    handles.handles(surface, item, plain=plain, trim=trim, kind=kind, behind=True)
    if kind in (0, 2):
        top = 0.4
        half = 0.3 if kind == 0 else 0.21
        mouth = shapes.ellipse(0.5, top, rx=half, ry=0.03)
        surface.fill(mouth, palette.darker(item.colour.rgb, 0.5), form="round", radius=0.02, depth=0.5)
    surface.fill(body, leather, form="round", radius=0.07, depth=0.85)
    if m("twotone"):
        y = 0.64
        band = np.concatenate(
            [shapes.curve([(0.1, y), (0.5, y + 0.012), (0.9, y)]), shapes.polygon((0.9, 1), (0.1, 1))]
        )
        surface.fill(body, plain.tinted(item.partner.rgb), form="round", radius=0.07, depth=0.85, clip=band)
        surface.fill(
            shapes.stitches(shapes.curve([(0.1, y + 0.014), (0.5, y + 0.026), (0.9, y + 0.014)])), thread, clip=body
        )
    surface.dim(
        shapes.curve([(0.4, 0.7), (0.5, 0.69), (0.6, 0.7), (0.5, 0.72)], closed=True),
        blur=0.04,
        strength=0.1,
        clip=body,
    )
    if kind == 0:
        surface.fill(shapes.stitches(shapes.curve([(0.213, 0.425), (0.5, 0.43), (0.787, 0.425)])), thread)
        surface.fill(
            shapes.ribbon(shapes.curve([(0.2, 0.402), (0.5, 0.404), (0.8, 0.402)]), 0.014),
            trim if m("canvas") else plain,
            form="round",
            radius=0.008,
        )
        if m("canvas"):
            base = shapes.polygon((0, 0.73), (1, 0.73), (1, 1), (0, 1))
            surface.fill(body, trim, form="round", radius=0.05, clip=base)
            surface.fill(shapes.stitches([(0.2, 0.742), (0.8, 0.742)]), palette.lighter(trim.colour, 0.45), clip=body)
        elif side == "front":
            tag = shapes.rounded(0.445, 0.6, right=0.555, bottom=0.645, radius=0.008)
            surface.fill(tag, plain, form="round", radius=0.008)
            surface.fill(
                shapes.stitches(
                    shapes.rounded(0.451, 0.606, right=0.549, bottom=0.639, radius=0.006), width=0.002, dash=0.007
                ),
                thread,
            )
    elif kind in (1, 4):
        _flap(surface, item, body=body, plain=plain, trim=trim, thread=thread, kind=kind, side=side)
    elif kind == 2:
        _drawstring(surface, body, trim=trim)
    elif kind == 3:
        zip_line = shapes.curve([(0.2, 0.462), (0.34, 0.55), (0.5, 0.578), (0.66, 0.55), (0.8, 0.462)])
        surface.dim(shapes.ribbon(zip_line, 0.012), blur=0.004, strength=0.5, clip=body)
        surface.fill(shapes.stitches(zip_line, width=0.007, dash=0.008, gap=0.5), palette.BRASS, clip=body)
        for k in (-1, 1):
            fold = shapes.curve([(0.5 + k * 0.25, 0.56), (0.5 + k * 0.17, 0.65), (0.5 + k * 0.12, 0.76)])
            surface.dim(shapes.ribbon(fold, 0.02, end=0.004), blur=0.014, strength=0.22, clip=body)
    else:
        seam = shapes.symmetric(
            [(0.5, 0.44, 0), (0.61, 0.443), (0.672, 0.48), (0.71, 0.63), (0.724, 0.77), (0.7, 0.8), (0.5, 0.804, 0)]
        )
        surface.dim(shapes.ribbon(seam, 0.006), blur=0.004, strength=0.35, clip=body)
        surface.fill(shapes.stitches(seam), thread, clip=body)
        if side == "front":
            surface.fill(
                shapes.rounded(0.46, 0.5, right=0.54, bottom=0.53, radius=0.006),
                saddlery.METAL,
                form="round",
                radius=0.006,
            )
    if kind != 3:
        for sign in (-1, 1):
            surface.fill(
                shapes.ellipse(0.5 + sign * 0.14, 0.832, rx=0.012, ry=0.008), saddlery.METAL, form="round", radius=0.006
            )
    handles.handles(surface, item, plain=plain, trim=trim, kind=kind, behind=False)


def _flap(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    body: shapes.Path,
    plain: materials.Paint,
    trim: materials.Paint,
    thread: palette.RGB,
    kind: int,
    side: str,
) -> None:
    if side == "back":
        pocket = shapes.curve([(0.3, 0.6, 1), (0.5, 0.612), (0.7, 0.6, 1), (0.69, 0.77), (0.5, 0.78), (0.31, 0.77)])
        surface.dim(shapes.ribbon(pocket, 0.006), blur=0.004, strength=0.4, clip=body)
        surface.fill(shapes.stitches(shapes.shifted(pocket, (0, 0.01))), thread, clip=body)
        return
    if kind == 1:
        flap = shapes.symmetric(
            [(0.5, 0.435, 0), (0.735, 0.44), (0.775, 0.48), (0.785, 0.6), (0.72, 0.67), (0.5, 0.69, 0)]
        )
        line = shapes.symmetric(
            [(0.5, 0.45, 0), (0.73, 0.455), (0.76, 0.49), (0.77, 0.593), (0.712, 0.656), (0.5, 0.676, 0)]
        )
    else:
        flap = shapes.symmetric([(0.5, 0.49, 0), (0.775, 0.492), (0.808, 0.52, 1), (0.5, 0.73, 1)])
        line = shapes.symmetric([(0.5, 0.503, 0), (0.77, 0.506), (0.79, 0.522, 1), (0.5, 0.714, 1)])
    surface.dim(shapes.shifted(flap, (0.004, 0.014)), blur=0.014, strength=0.45, clip=body)
    front = (
        item.paint(plain.texture, gloss=plain.gloss, repeat=0.11)
        if not item.measure("contrast")
        else plain.tinted(item.partner.rgb)
    )
    surface.fill(flap, front, form="round", radius=0.03, depth=0.75)
    surface.fill(shapes.stitches(line), thread)
    y = 0.665 if kind == 1 else 0.69
    plate = (
        shapes.rounded(0.462, y - 0.03, right=0.538, bottom=y + 0.034, radius=0.016)
        if kind == 1
        else shapes.ellipse(0.5, y, rx=0.028, ry=0.028)
    )
    surface.dim(shapes.shifted(plate, (0.003, 0.006)), blur=0.006, strength=0.45)
    surface.fill(plate, saddlery.METAL, form="round", radius=0.012)
    surface.dim(shapes.ribbon([(0.486, y), (0.514, y)], 0.006), blur=0.002, strength=0.5)


def _drawstring(surface: canvas.Canvas, body: shapes.Path, *, trim: materials.Paint) -> None:
    for k in range(-5, 6):
        x = 0.5 + k * 0.04
        surface.dim(
            shapes.ribbon(shapes.curve([(x, 0.4), (x * 0.98 + 0.01, 0.48), (0.5 + k * 0.046, 0.6)]), 0.018, end=0.003),
            blur=0.01,
            strength=0.22,
            clip=body,
        )
        surface.glow(
            shapes.ribbon(shapes.curve([(x + 0.018, 0.4), (x * 0.98 + 0.028, 0.5)]), 0.012, end=0.003),
            blur=0.008,
            strength=0.16,
            clip=body,
        )
        if k % 2 == 0:
            surface.fill(shapes.ellipse(x, 0.462, rx=0.009, ry=0.01), saddlery.METAL, form="round", radius=0.006)
    cord = shapes.curve([(0.275, 0.462), (0.5, 0.472), (0.725, 0.462)])
    surface.fill(shapes.ribbon(cord, 0.013), trim, form="round", radius=0.007)
    for dx in (-0.03, 0.035):
        fall = shapes.curve([(0.5, 0.472), (0.5 + dx, 0.53), (0.5 + dx * 1.2, 0.6)])
        surface.dim(shapes.ribbon(shapes.shifted(fall, (0.006, 0.006)), 0.013), blur=0.006, strength=0.35)
        surface.fill(shapes.ribbon(fall, 0.012), trim, form="round", radius=0.007)
        surface.fill(
            shapes.ribbon([(0.5 + dx * 1.2, 0.59), (0.5 + dx * 1.25, 0.635)], 0.02, end=0.026),
            trim,
            form="round",
            radius=0.01,
        )


_MODELS = (
    design.Model(
        name="Ostend",
        noun="Tote",
        brand="Casa Rue",
        price=149,
        story="An open tote with room for a laptop, a scarf and whatever the market has.",
        shape={"cut": 0},
    ),
    design.Model(
        name="Juliette",
        noun="Satchel",
        brand="Maison Verre",
        price=189,
        story="A structured satchel with a turn-lock and a short top handle.",
        shape={"cut": 1},
    ),
    design.Model(
        name="Ines",
        noun="Bucket Bag",
        brand="Casa Rue",
        price=165,
        story="Gathered with a leather cord, slung over one shoulder, bigger than it looks.",
        shape={"cut": 2, "twotone": 1, "suede": 1},
    ),
    design.Model(
        name="Luna",
        noun="Hobo",
        brand="Olla",
        price=139,
        story="A soft crescent that curls up under the arm.",
        shape={"cut": 3},
    ),
    design.Model(
        name="Soiree",
        noun="Envelope Bag",
        brand="Maison Verre",
        price=119,
        story="A slim envelope on a brass chain, just right for keys, cards and a lipstick.",
        shape={"cut": 4, "chain": 1},
    ),
    design.Model(
        name="Quay",
        noun="Canvas Tote",
        brand="Norrvik",
        price=79,
        story="Heavy canvas on a leather base, printed in small runs.",
        shape={"cut": 0, "canvas": 1},
        patterns=("striped", "leafy", "gingham", "wavy"),
    ),
)


KIND = design.Kind(
    name="handbag",
    category="Handbags",
    colour_words="leather",
    models=_MODELS,
    draw=handbag,
    poses=(
        design.Pose(name="back", caption="from the back", frame=canvas.Frame(mirror=True), side="back"),
        design.Pose(
            name="detail", caption="close-up of leather and hardware", frame=canvas.Frame(scale=2.1, dx=0.02, dy=-0.16)
        ),
    ),
    scenes=("hall", "window", "street"),
    lifesize=0.62,
)
