"""Name the shop's colours and mix them."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Hold a colour's name, the plain words for it, its value and the names of the colours that go with it."""

    name: str
    plain: str
    rgb: RGB
    partners: tuple[str, ...]


def _colour(name: str, hexadecimal: str, *, plain: str, partners: str) -> Colour:
    value = int(hexadecimal, 16)
    rgb = value >> 16, value >> 8 & 255, value & 255
    return Colour(name=name, plain=plain, rgb=rgb, partners=tuple(partners.split(", ")))


COLOURS: tuple[Colour, ...] = (
    _colour("ivory", "ede4d3", plain="off-white", partners="navy, terracotta, sage, sand"),
    _colour("sand", "d3b894", plain="beige", partners="ivory, espresso, navy, forest"),
    _colour("cognac", "a9693b", plain="warm brown", partners="ivory, espresso, forest, sky"),
    _colour("espresso", "513a30", plain="dark brown", partners="sand, ivory, blush, mustard"),
    _colour("charcoal", "42454a", plain="dark grey", partners="ivory, mustard, sky, coral"),
    _colour("navy", "2a3b5e", plain="dark blue", partners="ivory, sand, coral, mustard"),
    _colour("sky", "8fb4cd", plain="light blue", partners="ivory, navy, coral, sand"),
    _colour("teal", "2f7a7b", plain="blue green", partners="ivory, coral, sand, mustard"),
    _colour("sage", "9cae8e", plain="soft green", partners="ivory, forest, blush, terracotta"),
    _colour("forest", "33553f", plain="dark green", partners="ivory, mustard, blush, sand"),
    _colour("mustard", "d29f35", plain="warm yellow", partners="ivory, navy, charcoal, forest"),
    _colour("terracotta", "c0653f", plain="rusty orange", partners="ivory, sand, teal, navy"),
    _colour("coral", "e0806c", plain="soft red", partners="ivory, navy, teal, sand"),
    _colour("berry", "8c2f4b", plain="dark red", partners="blush, ivory, sand, sky"),
    _colour("blush", "e3b7ae", plain="light pink", partners="ivory, berry, forest, charcoal"),
    _colour("lilac", "a596c4", plain="light purple", partners="ivory, navy, mustard, blush"),
)
BY_NAME = {colour.name: colour for colour in COLOURS}

WHITE: RGB = (247, 245, 240)
INK: RGB = (44, 42, 44)
BRASS: RGB = (198, 158, 88)
STEEL: RGB = (184, 188, 192)
OAK: RGB = (190, 144, 96)
WALNUT: RGB = (112, 74, 50)
GUM: RGB = (176, 124, 76)


def mix(a: RGB, b: RGB, *, share: float) -> RGB:
    """Blend two colours; `share` is how much of the second."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def darker(colour: RGB, share: float = 0.25) -> RGB:
    """Deepen a colour towards a warm near-black."""
    return mix(colour, (28, 22, 30), share=share)


def lighter(colour: RGB, share: float = 0.25) -> RGB:
    """Lift a colour towards a warm white."""
    return mix(colour, (255, 250, 242), share=share)


def brightness(colour: RGB) -> float:
    """Give the perceived lightness of a colour from 0 to 1 (Rec. 601 luma)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255
