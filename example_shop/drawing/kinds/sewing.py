"""Fold and stitch cloth."""

from __future__ import annotations

from example_shop.drawing import canvas, design, palette, shapes


def folds(
    surface: canvas.Canvas, lines: list[list[tuple[float, float]]], *, clip: canvas.Outline, strength: float = 0.2
) -> None:
    for points in lines:
        line = shapes.curve(points)
        surface.dim(shapes.ribbon(line, 0.022, end=0.004), blur=0.014, strength=strength, clip=clip)
        surface.glow(
            shapes.ribbon(shapes.shifted(line, (-0.016, 0.004)), 0.014, end=0.003),
            blur=0.01,
            strength=strength * 0.7,
            clip=clip,
        )


def thread(item: design.Design) -> palette.RGB:
    if palette.brightness(item.colour.rgb) > 0.62:
        return palette.darker(item.colour.rgb, 0.28)
    return palette.lighter(item.colour.rgb, 0.28)


POSES = (
    design.Pose(name="back", caption="from the back", frame=canvas.Frame(), side="back"),
    design.Pose(
        name="detail", caption="close-up of neckline and cloth", frame=canvas.Frame(scale=2.2, dx=0.04, dy=0.5)
    ),
)
