"""Draw backpacks."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import saddlery, straps


def backpack(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a backpack from the front, or from the back with its padded straps."""
    m = item.measure
    cloth, trim, thread = saddlery.leather(item), saddlery.trim(item), saddlery.thread(item)
    if not m("canvas"):
        cloth = item.paint(
            "canvas" if not m("hide") else "leather", gloss=0.1 if m("hide") else 0.0, repeat=m("repeat", 0.11)
        )
    plain = cloth.tinted(item.colour.rgb)
    second = plain.tinted(item.partner.rgb) if m("twotone") else plain
    top, wide, foot = m("top", 0.2), m("wide", 0.23), 0.83
    square = m("square", 0.0)
    body = shapes.symmetric(
        [
            (0.5, top, 0),
            (0.5 + wide * (0.55 + 0.35 * square), top + 0.008),
            (0.5 + wide * (0.9 + 0.08 * square), top + 0.08 - 0.04 * square),
            (0.5 + wide, top + 0.25),
            (0.5 + wide + 0.015, foot - 0.1),
            (0.5 + wide - 0.01, foot - 0.015),
            (0.5 + wide - 0.06, foot),
            (0.5, foot + 0.002, 0),
        ]
    )
    loop = shapes.curve(
        [(0.45, top + 0.03), (0.452, top - 0.05), (0.5, top - 0.075), (0.548, top - 0.05), (0.55, top + 0.03)]
    )
    surface.fill(shapes.ribbon(loop, 0.022), trim, form="round", radius=0.012)
    for sign in (-1, 1):
        strap = shapes.curve(
            [
                (0.5 + sign * wide * 0.75, top + 0.06),
                (0.5 + sign * (wide + 0.055), top + 0.2),
                (0.5 + sign * (wide + 0.05), 0.6),
                (0.5 + sign * (wide - 0.01), 0.76),
            ]
        )
        if side == "front":
            surface.fill(
                shapes.ribbon(strap, 0.03),
                trim.tinted(palette.darker(item.colour.rgb, 0.4)),
                form="round",
                radius=0.014,
            )
    if m("side_pockets", 1) and side == "front":
        for sign in (-1, 1):
            pouch = shapes.curve(
                [
                    (0.5 + sign * (wide - 0.04), 0.6, 1),
                    (0.5 + sign * (wide + 0.05), 0.615),
                    (0.5 + sign * (wide + 0.06), 0.78),
                    (0.5 + sign * (wide - 0.04), 0.81, 1),
                ],
                closed=True,
            )
            surface.fill(pouch, second.tinted(palette.darker(second.colour, 0.14)), form="round", radius=0.03)
    surface.fill(body, cloth, form="round", radius=0.08, depth=0.9)
    if side == "back":
        straps.harness(surface, item, body=body, plain=plain, trim=trim, thread=thread, top=top, wide=wide)
        return
    if m("roll"):
        straps.rolltop(surface, item, plain=plain, trim=trim, top=top, wide=wide)
    elif m("flap"):
        low = m("flap")
        flap = shapes.symmetric(
            [
                (0.5, top - 0.006, 0),
                (0.5 + wide * 0.6, top + 0.002),
                (0.5 + wide * 0.96, top + 0.07),
                (0.5 + wide + 0.006, low - 0.06),
                (0.5 + wide * 0.8, low),
                (0.5, low + 0.014, 0),
            ]
        )
        surface.dim(shapes.shifted(flap, (0.004, 0.016)), blur=0.014, strength=0.45, clip=body)
        surface.fill(flap, second if m("twotone") else cloth, form="round", radius=0.05, depth=0.8)
        surface.fill(
            shapes.stitches(
                shapes.curve(
                    [
                        (0.5 - wide * 0.98, low - 0.07),
                        (0.5 - wide * 0.78, low - 0.014),
                        (0.5, low),
                        (0.5 + wide * 0.78, low - 0.014),
                        (0.5 + wide * 0.98, low - 0.07),
                    ]
                )
            ),
            thread,
        )
        for dx in (-0.1, 0.1) if m("buckles", 2) == 2 else (0.0,):
            x = 0.5 + dx
            surface.dim(
                shapes.rounded(x - 0.012, low - 0.09, right=x + 0.02, bottom=low + 0.12, radius=0.01),
                blur=0.008,
                strength=0.35,
            )
            surface.fill(
                shapes.rounded(x - 0.016, low - 0.1, right=x + 0.016, bottom=low + 0.11, radius=0.012),
                trim,
                form="round",
                radius=0.012,
            )
            surface.fill(
                shapes.rounded(x - 0.024, low + 0.025, right=x + 0.024, bottom=low + 0.065, radius=0.008),
                saddlery.METAL,
                form="round",
                radius=0.007,
                holes=shapes.rounded(x - 0.014, low + 0.034, right=x + 0.014, bottom=low + 0.056, radius=0.004),
            )
    else:
        arc = shapes.curve(
            [
                (0.5 - wide * 0.98, 0.5),
                (0.5 - wide * 0.83, top + 0.1),
                (0.5 - wide * 0.45, top + 0.045),
                (0.5 + wide * 0.45, top + 0.045),
                (0.5 + wide * 0.83, top + 0.1),
                (0.5 + wide * 0.98, 0.5),
            ]
        )
        saddlery.zipped(surface, arc, clip=body, trim=trim, pull=(0.5 - wide * 0.93, 0.38))
    if m("pocket", 1):
        _pocket(surface, item, second=second, thread=thread, trim=trim, wide=wide)
    if m("patch", 1):
        y = m("patch_at", 0.36)
        patch = shapes.rounded(0.462, y, right=0.538, bottom=y + 0.05, radius=0.01)
        surface.fill(patch, trim, form="round", radius=0.008)
        surface.fill(
            shapes.ribbon([(0.48, y + 0.031), (0.495, y + 0.018), (0.507, y + 0.028), (0.52, y + 0.015)], 0.004),
            palette.lighter(trim.colour, 0.5),
        )


def _pocket(
    surface: canvas.Canvas,
    item: design.Design,
    *,
    second: materials.Paint,
    thread: palette.RGB,
    trim: materials.Paint,
    wide: float,
) -> None:
    half = wide - 0.035
    top, low = 0.56, 0.795
    pocket = shapes.symmetric(
        [
            (0.5, top, 0),
            (0.5 + half * 0.85, top + 0.004),
            (0.5 + half, top + 0.035),
            (0.5 + half + 0.004, low - 0.05),
            (0.5 + half * 0.9, low),
            (0.5, low + 0.004, 0),
        ]
    )
    surface.dim(shapes.shifted(pocket, (0.004, 0.01)), blur=0.012, strength=0.35)
    surface.fill(pocket, second, form="round", radius=0.045, depth=0.9)
    line = shapes.curve([(0.5 - half * 0.98, top + 0.05), (0.5, top + 0.045), (0.5 + half * 0.98, top + 0.05)])
    saddlery.zipped(surface, line, clip=pocket, trim=trim, pull=(0.5 + half * 0.7, top + 0.046))
    surface.fill(
        shapes.stitches(
            shapes.curve(
                [
                    (0.5 - half * 0.94, top + 0.08),
                    (0.5 - half * 0.9, low - 0.03),
                    (0.5, low - 0.014),
                    (0.5 + half * 0.9, low - 0.03),
                    (0.5 + half * 0.94, top + 0.08),
                ]
            )
        ),
        thread,
        alpha=0.8,
    )


_MODELS = (
    design.Model(
        name="Commuter",
        noun="Backpack",
        brand="Norrvik",
        price=95,
        story="A clean daypack with a zip that opens all the way and a sleeve for a laptop.",
        shape={},
    ),
    design.Model(
        name="Scout",
        noun="Rucksack",
        brand="Tarn & Fell",
        price=129,
        story="Waxed canvas, two buckled straps and a flap that shrugs off rain.",
        shape={"canvas": 1, "flap": 0.46, "patch": 0, "wide": 0.22},
    ),
    design.Model(
        name="Ferry",
        noun="Roll-Top",
        brand="Strade",
        price=115,
        story="Roll it down for the office, roll it out for the weekend shop.",
        shape={"roll": 1, "patch": 0, "top": 0.18, "square": 1, "twotone": 1, "wide": 0.215},
    ),
    design.Model(
        name="Pip",
        noun="Mini Backpack",
        brand="Olla",
        price=69,
        story="A small one for light days, in prints that cheer up a raincoat.",
        shape={"top": 0.32, "wide": 0.19, "patch_at": 0.45, "side_pockets": 0},
        patterns=("floral", "dotted", "zigzag", "terrazzo"),
    ),
    design.Model(
        name="Archive",
        noun="Leather Backpack",
        brand="Casa Rue",
        price=219,
        story="Vegetable-tanned leather with one quiet buckle. It will outlast several laptops.",
        shape={"hide": 1, "flap": 0.5, "buckles": 1, "patch": 0, "square": 1, "side_pockets": 0},
    ),
    design.Model(
        name="Campus",
        noun="Backpack",
        brand="Strade",
        price=79,
        story="Two colours, two compartments, ten years of lectures.",
        shape={"twotone": 1, "square": 1, "patch_at": 0.37},
    ),
)


KIND = design.Kind(
    name="backpack",
    category="Backpacks",
    colour_words="body",
    models=_MODELS,
    draw=backpack,
    poses=(
        design.Pose(name="back", caption="from the back, with its straps", frame=canvas.Frame(), side="back"),
        design.Pose(
            name="detail", caption="close-up of pocket and zip", frame=canvas.Frame(scale=2.0, dx=0.12, dy=-0.2)
        ),
    ),
    scenes=("street", "hall", "floor"),
    lifesize=0.66,
)
