"""Cut leather and canvas, and close them with thread, zips and brass."""

from __future__ import annotations

from example_shop.drawing import canvas, design, materials, palette, shapes

METAL = materials.Paint(colour=palette.BRASS, gloss=0.9)


def leather(item: design.Design) -> materials.Paint:
    texture = "canvas" if item.measure("canvas") else "velvet" if item.measure("suede") else "leather"
    return item.paint(texture, gloss=0.0 if texture != "leather" else 0.16, repeat=item.measure("repeat", 0.11))


def trim(item: design.Design) -> materials.Paint:
    colour = (
        palette.BY_NAME["cognac"].rgb
        if item.measure("canvas") and item.colour.name != "cognac"
        else palette.darker(item.colour.rgb, 0.24)
    )
    return materials.Paint(colour=colour, texture="leather", gloss=0.25)


def thread(item: design.Design) -> palette.RGB:
    bright = palette.brightness(item.colour.rgb) > 0.62
    return palette.darker(item.colour.rgb, 0.35) if bright else palette.lighter(item.colour.rgb, 0.45)


def ring(
    surface: canvas.Canvas, *, x: float, y: float, rx: float = 0.02, ry: float = 0.022, wall: float = 0.007
) -> None:
    surface.fill(
        shapes.ellipse(x, y, rx=rx, ry=ry),
        METAL,
        form="round",
        radius=0.008,
        holes=shapes.ellipse(x, y, rx=rx - wall, ry=ry - wall),
    )


def zipped(
    surface: canvas.Canvas, line: shapes.Path, *, clip: shapes.Path, trim: materials.Paint, pull: tuple[float, float]
) -> None:
    surface.dim(shapes.ribbon(line, 0.018), blur=0.006, strength=0.4, clip=clip)
    surface.fill(shapes.ribbon(line, 0.013), trim, clip=clip)
    surface.fill(shapes.stitches(line, width=0.006, dash=0.007, gap=0.5), palette.BRASS, clip=clip)
    x, y = pull
    surface.fill(
        shapes.rounded(x - 0.008, y, right=x + 0.008, bottom=y + 0.05, radius=0.007), METAL, form="round", radius=0.006
    )
