"""Compose the shop's catalogue: which models in which colours, at what price, seen in which pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from PIL import Image

from example_shop.drawing import canvas, design, palette, scenes, studio
from example_shop.drawing.kinds import (
    armchairs,
    backpacks,
    boots,
    cushions,
    dresses,
    handbags,
    lamps,
    mugs,
    sneakers,
    sunglasses,
    teapots,
    tshirts,
    vases,
    watches,
)

KINDS: tuple[design.Kind, ...] = (
    sneakers.KIND,
    boots.KIND,
    handbags.KIND,
    backpacks.KIND,
    tshirts.KIND,
    dresses.KIND,
    watches.KIND,
    sunglasses.KIND,
    mugs.KIND,
    teapots.KIND,
    vases.KIND,
    lamps.KIND,
    armchairs.KIND,
    cushions.KIND,
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnView:
    """Hold one picture of a product, to be drawn when it is asked for."""

    name: str
    alt: str
    kind: str
    design: design.Design
    frame: canvas.Frame
    side: str = "front"
    tone: str = "white"
    scene: str = ""
    variant: int = 0

    def render(self, size: int = 800) -> Image.Image:
        """Draw the picture: an RGB image of `size` x `size` pixels, the same bytes each time."""
        kind = BY_NAME[self.kind]
        surface = canvas.Canvas(size, self.frame)
        kind.draw(surface, self.design, side=self.side)
        if not self.scene:
            return studio.photograph(surface, tone=self.tone, stance=kind.stance)
        picture = scenes.background(self.scene, self.variant, size=size).copy()
        return studio.finished(studio.shadowed(picture, surface.image, stance=kind.stance, strength=1.25))


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnProduct:
    """Hold a product of the example shop with the pictures that can be drawn of it."""

    slug: str
    name: str
    description: str
    category: str
    brand: str
    colour: str
    price: Decimal
    stock: int
    views: tuple[DrawnView, ...]


_PATTERN_WORDS = {
    "plain": "", "striped": "striped", "pinstriped": "pinstriped", "dotted": "dotted", "gingham": "gingham",
    "tartan": "tartan", "floral": "floral", "leafy": "leaf print", "wavy": "wave print", "zigzag": "zigzag",
    "terrazzo": "terrazzo", "speckled": "speckled", "diamond": "diamond print",
}  # fmt: skip


def catalogue(seed: int = 7, *, products_per_kind: int = 22) -> list[DrawnProduct]:
    """List the shop's products, the same ones for the same seed; nothing is drawn yet.

    Raises ValueError when a kind has fewer models and colours than `products_per_kind`.
    """
    products = []
    for kind in KINDS:
        most = len(kind.models) * len(palette.COLOURS)
        if not 1 <= products_per_kind <= most:
            raise ValueError(
                f"products_per_kind is {products_per_kind}, but {kind.category} come in 1 to {most} variants. "
                f"Ask for {most} at most, or add models to example_shop/drawing/kinds."
            )
        products += [
            _product(kind, item, seed=seed, k=k) for k, item in enumerate(_designs(kind, seed, count=products_per_kind))
        ]
    return products


def _designs(kind: design.Kind, seed: int, *, count: int) -> Iterator[design.Design]:
    models = len(kind.models)
    rng = random.Random(f"{seed}/{kind.name}")
    wheels = [rng.sample(palette.COLOURS, len(palette.COLOURS)) for _ in kind.models]
    for k in range(count):
        model, turn = kind.models[k % models], k // models
        colour = wheels[k % models][turn]
        partner = palette.BY_NAME[rng.choice(colour.partners)]
        pattern = model.patterns[(turn + rng.randrange(2)) % len(model.patterns)]
        yield design.Design(model=model, colour=colour, partner=partner, pattern=pattern)


def _product(kind: design.Kind, item: design.Design, *, seed: int, k: int) -> DrawnProduct:
    model = item.model
    title = f"{model.name} {model.noun}"
    slug = "-".join(f"{title} {item.colour.name}".lower().replace("ø", "o").split())
    rng = random.Random(f"{seed}/{slug}")
    word = _PATTERN_WORDS[item.pattern]
    look = f"{item.colour.name}, {word}" if word else item.colour.name
    price = Decimal(model.price) + (Decimal("0.90") if model.price < 60 else Decimal(0))
    if word:
        price += Decimal(max(2, model.price // 20))
    stock = 0 if rng.random() < 0.08 else rng.choice([1, 2, 3, 5, 8, 12, 17, 24, 36])
    return DrawnProduct(
        slug=slug,
        name=f"{title}, {look}",
        description=f"{model.story} {_colour_line(kind, item, rng=rng)}",
        category=kind.category,
        brand=model.brand,
        colour=item.colour.name,
        price=price,
        stock=stock,
        views=_views(kind, item, title=f"{title}, {look}", rng=rng, k=k),
    )


def _colour_line(kind: design.Kind, item: design.Design, *, rng: random.Random) -> str:
    colour, partner, part = item.colour.name, item.partner.name, kind.colour_words
    # Customers look for red, whatever the shop calls it.
    plain = f"{'an' if item.colour.plain[0] in 'aeiou' else 'a'} {item.colour.plain}"
    word = _PATTERN_WORDS[item.pattern]
    if word:
        return f"This one has a {word} {part} in {colour}, {plain}, with {partner}."
    return rng.choice([
        f"Here with its {part} in {colour}, {plain}.",
        f"This one comes in {colour}, {plain}, and gets on well with {partner}.",
        f"The {part} of this one is {colour}, {plain}.",
    ])  # fmt: skip


def _views(kind: design.Kind, item: design.Design, *, title: str, rng: random.Random, k: int) -> tuple[DrawnView, ...]:
    tone = rng.choice(["white", "white", "warm", "cool", "stone"])

    def studio_view(name: str, alt: str, frame: canvas.Frame, side: str = "front") -> DrawnView:
        return DrawnView(name=name, alt=alt, kind=kind.name, design=item, frame=frame, side=side, tone=tone)

    views = [studio_view("front", title, kind.front)]
    # Each round through the models starts one further on, so that no model always gets the same kind of picture.
    k += k // len(kind.models)
    poses = kind.poses if k % 4 == 0 else (kind.poses[k % len(kind.poses)],)
    views += [studio_view(p.name, f"{title}: {p.caption}", p.frame, p.side) for p in poses]
    if k % 3 == 1:
        name = kind.scenes[(k // 3) % len(kind.scenes)]
        scene, scale = scenes.SCENES[name], kind.lifesize * rng.uniform(0.96, 1.06)
        shift = rng.uniform(-0.03, 0.03) if name != "rail" else 0.0
        drop = scene.ground - 0.5 - (kind.ground - 0.5) * scale
        if kind.stance == "lying":
            drop = scene.ground - 0.5
        if name == "rail":
            # The collar hangs from the hanger that the scene has drawn.
            drop = 0.165 - 0.5 + (0.5 - 0.15) * scale
        frame = canvas.Frame(
            scale=scale, dx=shift, dy=drop, turn=rng.uniform(-14, 14) if name in {"planks", "linen", "marble"} else 0.0
        )
        views.append(
            DrawnView(
                name="lifestyle",
                alt=f"{title}: {scene.words}",
                kind=kind.name,
                design=item,
                frame=frame,
                scene=name,
                variant=rng.randrange(scenes.VARIANTS),
            )
        )
    return tuple(views)
