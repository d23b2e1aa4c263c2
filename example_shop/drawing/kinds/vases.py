"""Draw vases."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, palette, shapes
from example_shop.drawing.kinds import pottery


def vase(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a vase from its profile, and a dried branch in it where the model calls for one."""
    m = item.measure
    kind = int(m("profile"))
    profiles: list[list[tuple[float, ...]]] = [
        [(0.2, 0.075), (0.3, 0.06), (0.42, 0.11), (0.6, 0.2), (0.74, 0.17), (0.83, 0.11)],
        [(0.26, 0.13), (0.31, 0.115), (0.45, 0.19), (0.62, 0.215), (0.76, 0.17), (0.83, 0.13)],
        [(0.16, 0.1), (0.3, 0.085), (0.55, 0.115), (0.75, 0.15), (0.83, 0.14)],
        [(0.24, 0.045), (0.45, 0.05), (0.55, 0.09), (0.66, 0.19), (0.75, 0.19), (0.83, 0.12)],
        [(0.22, 0.17), (0.42, 0.115), (0.56, 0.095), (0.72, 0.14), (0.83, 0.15)],
        [
            (0.28, 0.085),
            (0.34, 0.1),
            (0.39, 0.17),
            (0.5, 0.17),
            (0.56, 0.125),
            (0.62, 0.19),
            (0.76, 0.19),
            (0.83, 0.13),
        ],
    ]
    profile = profiles[kind]
    top, mouth = profile[0][0], profile[0][1]
    body = shapes.turned(profile, tilt=0.13)
    glaze = pottery.glaze(item, m("repeat", 0.1))
    if m("ears"):
        for sign in (1, -1):
            points = [
                (0.5 + sign * 0.06, 0.29),
                (0.5 + sign * 0.19, 0.3),
                (0.5 + sign * 0.2, 0.4),
                (0.5 + sign * 0.15, 0.47),
            ]
            pottery.handle(surface, points, paint=glaze.tinted(item.colour.rgb), width=0.034)
    if m("branch"):
        _branch(surface, item, top=top)
    surface.fill(body, glaze, form="turned")
    if m("ribs"):
        for k in range(9):
            y = 0.36 + k * 0.05
            arc = shapes.ellipse(0.5, y, rx=0.24, ry=0.03, start=0, stop=180)
            surface.dim(shapes.ribbon(arc, 0.008), blur=0.003, strength=0.22, clip=body)
            surface.glow(shapes.ribbon(shapes.shifted(arc, (0, 0.01)), 0.006), blur=0.003, strength=0.22, clip=body)
    if m("flutes"):
        for k in range(-5, 6):
            u = np.sin(k / 6 * np.pi / 2)
            line = np.array([[0.5 + u * w, y] for y, w in ((p[0], p[1]) for p in profile)])
            line = shapes.curve([tuple(p) for p in line])
            surface.dim(shapes.ribbon(line, 0.009), blur=0.004, strength=0.3, clip=body)
            surface.glow(shapes.ribbon(shapes.shifted(line, (0.009, 0)), 0.006), blur=0.003, strength=0.2, clip=body)
    if m("dip"):
        pottery.dip(surface, body, item=item, y=0.52, upper=True)
    if m("band"):
        for y, w in ((0.5, 0.03), (0.56, 0.01), (0.6, 0.01)):
            arc = shapes.ellipse(0.5, y, rx=0.26, ry=0.03, start=0, stop=180)
            surface.fill(shapes.ribbon(arc, w), item.partner.rgb, clip=body, alpha=0.85)
    pottery.shine(surface, body, item=item, strength=0.4)
    colour = item.partner.rgb if m("dip") else item.colour.rgb
    if not m("branch"):
        pottery.rim(surface, y=top, half=mouth, colour=colour, tilt=0.15, wall=0.011)
    else:
        lip = shapes.ellipse(0.5, top, rx=mouth, ry=mouth * 0.15)
        surface.fill(shapes.ribbon(lip[:33], 0.014), palette.lighter(colour, 0.2), form="round", radius=0.008)


def _branch(surface: canvas.Canvas, item: design.Design, *, top: float) -> None:
    mouth = shapes.ellipse(0.5, top, rx=0.07, ry=0.012)
    surface.fill(mouth, palette.darker(item.colour.rgb, 0.6))
    stems = (
        ((0.49, top + 0.02), (0.44, top - 0.1), (0.36, top - 0.17)),
        ((0.51, top + 0.02), (0.56, top - 0.09), (0.66, top - 0.15)),
        ((0.5, top + 0.02), (0.5, top - 0.1), (0.53, top - 0.18)),
    )
    for k, stem in enumerate(stems):
        path = shapes.curve(stem)
        surface.fill(shapes.ribbon(path, 0.008, end=0.004), (138, 116, 82))
        for j, (x, y) in enumerate(shapes.resample(path, 0.03)[1:]):
            for sign in (-1, 1):
                leaf = shapes.ellipse(x + sign * 0.024, y - 0.008, rx=0.024, ry=0.011)
                tone = ((122, 138, 108), (150, 160, 126), (104, 124, 98))[(j + k) % 3]
                surface.fill(shapes.spun(leaf, -28 * sign, cx=x, cy=y), tone, form="round", radius=0.01)


_MODELS = (
    design.Model(
        name="Amphora",
        noun="Vase",
        brand="Mudlark",
        price=64,
        story="A classic two-handled form, thrown in stoneware and left a little uneven on purpose.",
        shape={"profile": 0, "ears": 1, "matt": 1},
        patterns=("plain", "speckled"),
    ),
    design.Model(
        name="Gather",
        noun="Vase",
        brand="Kiln & Co",
        price=58,
        story="A generous belly for an armful of garden flowers.",
        shape={"profile": 1, "dip": 1},
    ),
    design.Model(
        name="Column",
        noun="Tall Vase",
        brand="Atelier Onda",
        price=72,
        story="Slim and fluted, made for a few long stems by the door.",
        shape={"profile": 2, "flutes": 1, "matt": 1},
    ),
    design.Model(
        name="Bottle",
        noun="Stem Vase",
        brand="Studio Alder",
        price=39,
        story="A long-necked bottle for one branch and a lot of calm.",
        shape={"profile": 3, "branch": 1},
        patterns=("plain", "speckled", "plain"),
    ),
    design.Model(
        name="Trumpet",
        noun="Vase",
        brand="Atelier Onda",
        price=54,
        story="A flared lip that lets tulips lean wherever they like.",
        shape={"profile": 4},
        patterns=("striped", "leafy", "wavy", "terrazzo"),
    ),
    design.Model(
        name="Echo",
        noun="Double Vase",
        brand="Kiln & Co",
        price=68,
        story="Two rounded volumes, one on the other, with fine turned rings.",
        shape={"profile": 5, "ribs": 1},
    ),
)


KIND = design.Kind(
    name="vase",
    category="Vases",
    colour_words="glaze",
    models=_MODELS,
    draw=vase,
    poses=pottery.POSES[1:],
    scenes=("shelf", "table", "sideboard"),
    lifesize=0.58,
)
