"""Products with pictures, for whichever shop the settings name."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from PIL import Image, ImageDraw

from visual_search import catalog, models
from visual_search.indexing import worker
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import refills

_numbers = itertools.count(1)

COLOURS = ("crimson", "seagreen", "royalblue", "goldenrod", "purple", "chocolate", "teal", "hotpink")


def picture(
    colour: str = "crimson", shape: str = "circle", *, size: int = 96, kind: str = "PNG", background: str = "white"
) -> bytes:
    """Draw a picture of one coloured thing ("circle", "square" or "bar") on white, or another `background`."""
    image = Image.new("RGB", (size, size), background)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((size * 0.15, size * 0.15, size * 0.85, size * 0.85), fill=colour)
    elif shape == "square":
        draw.rectangle((size * 0.2, size * 0.2, size * 0.8, size * 0.8), fill=colour)
    else:
        draw.rectangle((size * 0.4, size * 0.05, size * 0.6, size * 0.95), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def product(*, pictures: Sequence[bytes] | None = None, **fields: Any) -> Any:
    """Save a product with `pictures` (default: one)."""
    number = next(_numbers)
    pictures = [picture(COLOURS[number % len(COLOURS)])] if pictures is None else pictures
    if catalog.product_model()._meta.label == "zshop.Article":
        return _article(number, pictures, fields)
    from example_shop.catalogue.models import Category, Product

    category = fields.pop("category", "Things")
    if isinstance(category, str):
        category, _ = Category.objects.get_or_create(slug=category.lower(), defaults={"name": category})
    defaults = {"slug": f"product-{number}", "name": f"Product {number}", "price": Decimal(number), "stock": 5}
    saved = Product.objects.create(category=category, **(defaults | fields))
    for position, data in enumerate(pictures):
        add_picture(saved, data, position=position)
    return saved


def add_picture(saved: Any, data: bytes, *, position: int = 0) -> Any:
    """Save one more picture of a product; a shop with one image field gets it replaced."""
    name = f"{next(_numbers)}.png"
    if catalog.product_model()._meta.label == "zshop.Article":
        saved.picture.save(name, ContentFile(data))
        return saved
    image = saved.images.model(product=saved, position=position, alt=f"Picture {position}")
    image.image.save(name, ContentFile(data))
    return image


def _article(number: int, pictures: Sequence[bytes], fields: dict[str, Any]) -> Any:
    from tests.zshop.models import Article

    saved = Article(**({"name": f"Article {number}", "price": Decimal(number)} | fields))
    if pictures:
        saved.picture.save(f"{number}.png", ContentFile(pictures[0]), save=False)
    saved.save()
    return saved


def settings_with(**changed: Any) -> dict[str, Any]:
    """Return the settings of visual search with some of them changed."""
    return {**django_settings.VISUAL_SEARCH, **changed}


def embed() -> models.SearchIndex | None:
    """Run the worker until nothing is due, and return the live index."""
    while worker.run(seconds=float("inf")):
        pass
    return models.SearchIndex.objects.live()


def index(encoders: Sequence[Any] = ("tiny",)) -> models.SearchIndex:
    """Create an index that every product is queued for."""
    created = lifecycle.create(encoders)
    while refills.go_on():
        pass
    return created


def refill(index: models.SearchIndex, *, forced: bool = False) -> None:
    """Queue every product for `index`, as a worker does."""
    refills.begin(index, forced=forced)
    while refills.go_on():
        pass
