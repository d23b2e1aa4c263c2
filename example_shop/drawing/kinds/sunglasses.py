"""Draw sunglasses from the front."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes


def sunglasses(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw sunglasses from the front, temples folded behind."""
    m = item.measure
    cut = int(m("cut"))
    cuts: list[list[tuple[float, ...]]] = [
        [
            (0.54, 0.44),
            (0.6, 0.405),
            (0.72, 0.395),
            (0.84, 0.405),
            (0.855, 0.46),
            (0.825, 0.555),
            (0.74, 0.605),
            (0.63, 0.595),
            (0.56, 0.535),
        ],
        [
            (0.545, 0.49),
            (0.585, 0.41),
            (0.69, 0.37),
            (0.795, 0.41),
            (0.835, 0.49),
            (0.795, 0.575),
            (0.69, 0.615),
            (0.585, 0.575),
        ],
        [
            (0.54, 0.46),
            (0.62, 0.425),
            (0.76, 0.38),
            (0.885, 0.335, 1),
            (0.865, 0.47),
            (0.79, 0.575),
            (0.66, 0.59),
            (0.565, 0.54),
        ],
        [
            (0.545, 0.425),
            (0.66, 0.4),
            (0.8, 0.405),
            (0.85, 0.44),
            (0.83, 0.55),
            (0.745, 0.635),
            (0.64, 0.615),
            (0.565, 0.53),
        ],
        [
            (0.545, 0.42),
            (0.56, 0.405),
            (0.7, 0.4),
            (0.84, 0.405),
            (0.855, 0.42),
            (0.845, 0.56),
            (0.82, 0.585),
            (0.7, 0.592),
            (0.575, 0.585),
            (0.555, 0.56),
        ],
        [
            (0.555, 0.47),
            (0.62, 0.4),
            (0.7, 0.375),
            (0.79, 0.4),
            (0.845, 0.475),
            (0.8, 0.56),
            (0.7, 0.59),
            (0.605, 0.56),
        ],
    ]
    lens = shapes.curve(cuts[cut], closed=True)
    thick = m("thick", 0.03)
    wire = thick < 0.015
    metal = materials.Paint(colour=palette.BRASS, gloss=0.8)
    frame = (
        metal
        if wire
        else materials.Paint(
            colour=item.colour.rgb,
            accent=palette.darker(item.colour.rgb, 0.5),
            pattern="terrazzo" if item.pattern == "terrazzo" else "plain",
            repeat=0.14,
            gloss=0.55,
        )
    )
    tint = (
        palette.darker(item.partner.rgb, 0.3)
        if m("tinted")
        else palette.darker(item.colour.rgb, 0.12)
        if wire
        else palette.mix(palette.INK, item.partner.rgb, share=0.15)
    )
    for sign in (-1, 1):
        end = cuts[cut][3 if cut not in (1, 5) else 4]
        x = 0.5 + sign * (end[0] - 0.5 + thick * 0.4)
        y = min(p[1] for p in cuts[cut]) + 0.045
        temple = shapes.curve(
            [(x, y), (0.5 + sign * 0.3, y - 0.05), (0.5 + sign * 0.02, y - 0.075), (0.5 - sign * 0.2, y - 0.055)]
        )
        surface.fill(
            shapes.ribbon(temple, 0.024 if not wire else 0.008, end=0.03 if not wire else 0.02),
            frame.tinted(palette.darker(frame.colour, 0.3)),
            form="round",
            radius=0.012,
        )
    bridge_y = m("bridge", 0.435)
    if wire:
        saddle = shapes.ribbon(
            shapes.curve([(0.445, bridge_y + 0.035), (0.475, bridge_y), (0.525, bridge_y), (0.555, bridge_y + 0.035)]),
            0.012,
        )
    else:
        saddle = shapes.curve(
            [
                (0.44, bridge_y - 0.02),
                (0.5, bridge_y - 0.008),
                (0.56, bridge_y - 0.02),
                (0.556, bridge_y + 0.05),
                (0.53, bridge_y + 0.04),
                (0.5, bridge_y + 0.022),
                (0.47, bridge_y + 0.04),
                (0.444, bridge_y + 0.05),
            ],
            closed=True,
        )
    surface.fill(saddle, frame, form="round", radius=0.012)
    for sign in (-1, 1):
        shape = lens if sign > 0 else shapes.flipped(lens)
        _lens(surface, shape, tint=tint, alpha=0.93 if not m("tinted") else 0.82)
        surface.dim(shapes.ribbon(np.concatenate([shape, shape[:2]]), 0.02), blur=0.008, strength=0.4, clip=shape)
        outer = shapes.grown(shape, thick)
        surface.fill(outer, frame, form="round", radius=max(0.008, thick * 0.7), depth=1.15, holes=shape)
        if m("brow"):
            upper = outer[outer[:, 1] < shape[:, 1].mean() - 0.02]
            upper = upper[np.argsort(upper[:, 0])]
            surface.fill(
                shapes.ribbon(shapes.shifted(upper, (0, 0.006)), 0.036),
                materials.Paint(colour=item.colour.rgb, gloss=0.5),
                form="round",
                radius=0.018,
            )
        if not wire:
            p = cuts[cut][3 if cut not in (1, 5) else 4]
            surface.fill(
                shapes.ellipse(0.5 + sign * (p[0] - 0.5 + 0.008), p[1] + 0.012, rx=0.006, ry=0.006),
                palette.lighter(palette.BRASS, 0.3),
            )
    if m("double"):
        surface.fill(
            shapes.ribbon(shapes.curve([(0.4, 0.415), (0.5, 0.4), (0.6, 0.415)]), 0.01),
            metal,
            form="round",
            radius=0.007,
        )


def _lens(surface: canvas.Canvas, shape: shapes.Path, *, tint: palette.RGB, alpha: float) -> None:
    surface.fill(shape, tint, alpha=alpha)
    surface.glow(shapes.shifted(shape, (0, 0.07)), palette.lighter(tint, 0.5), blur=0.05, strength=0.5, clip=shape)
    for dx, w in ((0.0, 0.032), (0.052, 0.012)):
        c = float(shape[:, 0].mean()) + dx - 0.03
        streak = shapes.polygon((c + 0.05, 0.36), (c + 0.05 + w, 0.36), (c - 0.06 + w, 0.64), (c - 0.06, 0.64))
        surface.glow(streak, blur=0.004, strength=0.28, clip=shape)


_MODELS = (
    design.Model(
        name="Porto",
        noun="Sunglasses",
        brand="Olla",
        price=119,
        story="The classic square-shouldered frame, a little softer at the corners.",
        shape={"cut": 0},
        patterns=("plain", "terrazzo", "plain"),
    ),
    design.Model(
        name="Lennox",
        noun="Round Sunglasses",
        brand="Bowery Lane",
        price=109,
        story="Perfectly round, in thin brass wire with tinted lenses.",
        shape={"cut": 1, "thick": 0.009, "double": 1},
    ),
    design.Model(
        name="Colette",
        noun="Cat-Eye",
        brand="Maison Verre",
        price=135,
        story="An upswept frame that does the talking.",
        shape={"cut": 2, "thick": 0.028, "bridge": 0.455},
        patterns=("plain", "terrazzo"),
    ),
    design.Model(
        name="Pilot",
        noun="Aviators",
        brand="Korso",
        price=129,
        story="A teardrop lens and a double bridge, light as a paper plane.",
        shape={"cut": 3, "thick": 0.008, "double": 1},
    ),
    design.Model(
        name="Block",
        noun="Sunglasses",
        brand="Olla",
        price=99,
        story="A thick straight-edged frame with see-through coloured lenses.",
        shape={"cut": 4, "thick": 0.034, "tinted": 1, "bridge": 0.43},
    ),
    design.Model(
        name="Weekend",
        noun="Browline",
        brand="Bowery Lane",
        price=125,
        story="Acetate above, wire below: half office, half holiday.",
        shape={"cut": 5, "thick": 0.009, "brow": 1},
    ),
)


KIND = design.Kind(
    name="sunglasses",
    category="Sunglasses",
    colour_words="frame",
    models=_MODELS,
    draw=sunglasses,
    poses=(
        design.Pose(name="angle", caption="turned in the light", frame=canvas.Frame(turn=-24, scale=0.98)),
        design.Pose(
            name="detail", caption="close-up of lens and hinge", frame=canvas.Frame(scale=1.9, dx=-0.34, dy=0.02)
        ),
    ),
    scenes=("marble", "planks", "linen"),
    stance="lying",
    lifesize=0.7,
)
