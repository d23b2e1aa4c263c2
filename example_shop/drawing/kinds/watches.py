"""Draw wristwatches from above."""

from __future__ import annotations

import numpy as np

from example_shop.drawing import canvas, design, materials, palette, shapes
from example_shop.drawing.kinds import dials


def watch(surface: canvas.Canvas, item: design.Design, *, side: str) -> None:
    """Draw a wristwatch from above: strap, case, dial, hands."""
    m = item.measure
    r, square = m("size", 0.185), m("square")
    metal = _metal(item)
    _strap(surface, item, metal=metal, r=r)

    def ring(radius: float, softness: float = 0.32) -> shapes.Path:
        if not square:
            return shapes.ellipse(0.5, 0.5, rx=radius, ry=radius)
        return shapes.rounded(
            0.5 - radius * 0.86, 0.5 - radius, right=0.5 + radius * 0.86, bottom=0.5 + radius, radius=radius * softness
        )

    edge = 0.5 + r * (0.86 if square else 1.0)
    crown = shapes.rounded(edge - 0.006, 0.478, right=edge + 0.026, bottom=0.522, radius=0.008)
    surface.fill(crown, metal, form="round", radius=0.012)
    for k in range(4):
        surface.dim(
            shapes.ribbon([(edge + 0.004, 0.485 + k * 0.01), (edge + 0.024, 0.485 + k * 0.01)], 0.003),
            blur=0.001,
            strength=0.4,
        )
    if m("chrono"):
        for y in (0.415, 0.585):
            surface.fill(
                shapes.rounded(edge - 0.022, y - 0.016, right=edge + 0.006, bottom=y + 0.016, radius=0.006),
                metal,
                form="round",
                radius=0.01,
            )
    surface.dim(shapes.shifted(ring(r), (0.012, 0.016)), blur=0.02, strength=0.4)
    surface.fill(ring(r), metal, form="round", radius=0.028, depth=1.35)
    for angle, spread, light in ((222, 17, True), (36, 14, True), (128, 20, False), (316, 15, False)):
        a, b = np.radians(angle - spread), np.radians(angle + spread)
        far = r * 1.3
        wedge = shapes.polygon(
            (0.5, 0.5), (0.5 + far * np.cos(a), 0.5 + far * np.sin(a)), (0.5 + far * np.cos(b), 0.5 + far * np.sin(b))
        )
        (surface.glow if light else surface.dim)(wedge, blur=0.012, strength=0.42 if light else 0.2, clip=ring(r))
    bezel = ring(r * 0.93)
    if m("diver"):
        surface.fill(
            bezel, materials.Paint(colour=palette.darker(item.colour.rgb, 0.5), gloss=0.4), form="round", radius=0.018
        )
        for k in range(60):
            angle = np.radians(k * 6 - 90)
            a, b = (0.84, 0.9) if k % 5 else (0.825, 0.905)
            direction = np.array([np.cos(angle), np.sin(angle)])
            surface.fill(
                shapes.ribbon(
                    0.5 + np.array([direction * r * a, direction * r * b]), 0.003 if k % 5 else 0.006, caps=False
                ),
                palette.WHITE,
            )
    dial_r = r * (0.79 if m("diver") else 0.87)
    dial = ring(dial_r)
    surface.dim(ring(dial_r * 1.02), blur=0.006, strength=0.6)
    face = palette.WHITE if m("light") else item.colour.rgb if not m("contrast") else item.partner.rgb
    surface.fill(dial, materials.Paint(colour=face, gloss=0.0), form="sheet", depth=0.8)
    surface.dim(ring(dial_r * 1.1), blur=0.014, strength=0.5, clip=dial, holes=ring(dial_r * 0.93))
    bright = palette.brightness(face) > 0.55
    mark = palette.INK if bright else palette.lighter(metal.colour, 0.5)
    dials.dial(surface, item, r=dial_r, mark=mark, face=face, square=bool(square))
    glare = shapes.polygon(
        (0.5 - r * 1.2, 0.5 - r * 0.1),
        (0.5 + r * 0.1, 0.5 - r * 1.2),
        (0.5 + r * 0.45, 0.5 - r * 1.2),
        (0.5 - r * 1.2, 0.5 + r * 0.5),
    )
    surface.glow(glare, blur=0.006, strength=0.13, clip=dial)


def _metal(item: design.Design) -> materials.Paint:
    tones = ((200, 202, 203), palette.BRASS, (92, 94, 98), (206, 148, 122))
    return materials.Paint(colour=tones[int(item.measure("metal"))], gloss=0.85)


def _strap(surface: canvas.Canvas, item: design.Design, *, metal: materials.Paint, r: float) -> None:
    m = item.measure
    kind, half = int(m("strap")), m("band", 0.1)
    for sign in (-1, 1):

        def y(v: float, sign: int = sign) -> float:
            return 0.5 + sign * v

        near, far = half, half * 0.84
        strap = shapes.curve(
            [
                (0.5 - near, y(r * 0.7), 1),
                (0.5 + near, y(r * 0.7), 1),
                (0.5 + far, y(0.4), 1),
                (0.5 + far * 0.96, y(0.435)),
                (0.5 + far * 0.5, y(0.455)),
                (0.5 - far * 0.5, y(0.455)),
                (0.5 - far * 0.96, y(0.435)),
                (0.5 - far, y(0.4), 1),
            ],
            closed=True,
        )
        if kind == 1:
            links = 7
            surface.fill(strap, palette.darker(metal.colour, 0.55))
            for k in range(links):
                a, b = r * 0.82 + k * 0.0405, r * 0.82 + k * 0.0405 + 0.037
                w = near + (far - near) * k / links
                for left, right in ((-w, -w * 0.42), (-w * 0.38, w * 0.38), (w * 0.42, w)):
                    link = shapes.rounded(
                        0.5 + left, min(y(a), y(b)), right=0.5 + right, bottom=max(y(a), y(b)), radius=0.008
                    )
                    surface.fill(link, metal, form="round", radius=0.014)
        else:
            texture = "leather" if kind == 0 else "canvas"
            leather = materials.Paint(
                colour=item.colour.rgb,
                accent=item.partner.rgb,
                pattern="pinstriped" if kind == 2 else item.pattern,
                repeat=0.1,
                texture=texture,
                gloss=0.15 if kind == 0 else 0.0,
            )
            if kind == 2:
                leather = leather.tinted(item.colour.rgb)
            surface.fill(strap, leather, form="round", radius=0.035, depth=0.9)
            if kind == 2:
                for dx in (-0.45, 0.45):
                    surface.fill(
                        shapes.ribbon(
                            [(0.5 + dx * near, y(r * 0.7)), (0.5 + dx * far, y(0.46))], half * 0.26, caps=False
                        ),
                        leather.tinted(item.partner.rgb),
                        clip=strap,
                    )
            if kind == 0:
                for dx in (-0.84, 0.84):
                    surface.fill(
                        shapes.stitches([(0.5 + dx * near, y(r + 0.02)), (0.5 + dx * far, y(0.44))], dash=0.012),
                        palette.lighter(item.colour.rgb, 0.55)
                        if palette.brightness(item.colour.rgb) < 0.7
                        else palette.darker(item.colour.rgb, 0.3),
                    )
            if sign > 0:
                surface.fill(
                    [shapes.ellipse(0.5, y(0.3 + 0.035 * k), rx=0.0065, ry=0.0065) for k in range(4)],
                    palette.darker(item.colour.rgb, 0.7),
                )
            else:
                buckle = shapes.rounded(
                    0.5 - far - 0.02, y(0.475), right=0.5 + far + 0.02, bottom=y(0.42), radius=0.014
                )
                surface.fill(
                    buckle,
                    metal,
                    form="round",
                    radius=0.01,
                    holes=shapes.rounded(
                        0.5 - far + 0.002, y(0.46), right=0.5 + far - 0.002, bottom=y(0.434), radius=0.006
                    ),
                )
                surface.fill(shapes.ribbon([(0.5, y(0.425)), (0.5, y(0.47))], 0.009), metal, form="round", radius=0.006)
        for dx in (-1, 1):
            lug = shapes.curve(
                [
                    (0.5 + dx * (half + 0.001), y(r * 1.2), 1),
                    (0.5 + dx * (half + 0.03), y(r * 1.17), 1),
                    (0.5 + dx * (half + 0.05), y(r * 0.7), 1),
                    (0.5 + dx * half * 0.9, y(r * 0.7), 1),
                ],
                closed=True,
            )
            surface.fill(lug, metal, form="round", radius=0.014)


_MODELS = (
    design.Model(
        name="Meridian",
        noun="Watch",
        brand="Ansel Werk",
        price=189,
        story="A calm three-hand watch with a date at three and a strap that softens in a week.",
        shape={"strap": 0, "date": 1, "light": 1},
    ),
    design.Model(
        name="Tide",
        noun="Dive Watch",
        brand="Korso",
        price=349,
        story="Two hundred metres of water, one steel bracelet, and a bezel with a proper click.",
        shape={"strap": 1, "diver": 1, "date": 1, "size": 0.2},
    ),
    design.Model(
        name="Vitesse",
        noun="Chronograph",
        brand="Korso",
        price=279,
        story="Three registers and two pushers, for timing eggs or laps.",
        shape={"strap": 0, "chrono": 1, "metal": 0},
    ),
    design.Model(
        name="Salon",
        noun="Square Watch",
        brand="Maison Verre",
        price=225,
        story="A slim gilt case with softened corners, as quiet as good manners.",
        shape={"strap": 0, "square": 1, "metal": 1, "minimal": 1, "band": 0.085, "size": 0.17},
    ),
    design.Model(
        name="Field",
        noun="Watch",
        brand="Tarn & Fell",
        price=129,
        story="A field watch on a striped woven strap that you can change in ten seconds.",
        shape={"strap": 2, "metal": 2, "light": 1},
    ),
    design.Model(
        name="Nought",
        noun="Watch",
        brand="Ansel Werk",
        price=159,
        story="Four markers, two hands, nothing else.",
        shape={"strap": 0, "minimal": 1, "metal": 3, "size": 0.19},
    ),
)


KIND = design.Kind(
    name="watch",
    category="Watches",
    colour_words="strap",
    models=_MODELS,
    draw=watch,
    poses=(
        design.Pose(name="angle", caption="turned in the light", frame=canvas.Frame(turn=-38, scale=0.96)),
        design.Pose(name="detail", caption="close-up of the dial", frame=canvas.Frame(scale=2.1, dx=-0.04, dy=0.03)),
    ),
    scenes=("planks", "marble", "linen"),
    stance="lying",
    lifesize=0.66,
    front=canvas.Frame(scale=0.9),
)
