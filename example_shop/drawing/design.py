"""Say what a product is before it is drawn: a model in its shape, one colour, one pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from example_shop.drawing import canvas, materials, palette


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Describe a model of the shop: its name, maker, price, story and the measures of its shape."""

    name: str
    noun: str
    brand: str
    price: int
    story: str
    shape: Mapping[str, float] = field(default_factory=dict)
    patterns: tuple[str, ...] = ("plain",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Hold one product to draw: a model, its colour, the colour beside it and its pattern."""

    model: Model
    colour: palette.Colour
    partner: palette.Colour
    pattern: str = "plain"

    def measure(self, name: str, default: float = 0.0) -> float:
        """Look up a measure of the model's shape."""
        return self.model.shape.get(name, default)

    def paint(self, texture: str = "", *, gloss: float = 0.0, repeat: float = 0.1) -> materials.Paint:
        """Return the material of the product's main surface."""
        return materials.Paint(
            colour=self.colour.rgb,
            accent=self.partner.rgb,
            pattern=self.pattern,
            texture=texture,
            gloss=gloss,
            repeat=repeat,
        )


class Draw(Protocol):
    """Paint a product's front or back into the unit square."""

    def __call__(self, surface: canvas.Canvas, item: Design, *, side: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Say how a further picture shows a product: its name, the framing, and which side is drawn."""

    name: str
    caption: str
    frame: canvas.Frame
    side: str = "front"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Gather what one department sells and how it is drawn.

    `stance` is how it meets its
    surroundings: `standing` on the ground at y = `ground`, or `lying` flat and seen from above.
    """

    name: str
    category: str
    colour_words: str
    models: tuple[Model, ...]
    draw: Draw
    poses: tuple[Pose, ...]
    scenes: tuple[str, ...]
    stance: str = "standing"
    ground: float = 0.84
    lifesize: float = 0.6
    front: canvas.Frame = field(default_factory=canvas.Frame)
