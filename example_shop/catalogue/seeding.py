"""Fill the shop with the catalogue that it draws itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.text import slugify

from example_shop import drawing
from example_shop.catalogue import removal, rendering
from example_shop.catalogue.models import Category, Product, ProductImage


class OtherCatalogue(Exception):
    """The shop has products, and none of them is one of the drawn ones; the message is how many."""


def missing(seed: int, products_per_kind: int) -> list[int]:
    """Return the numbers of the drawn products that the shop lacks, shuffled so that the newest ones are a mixture.

    Raises OtherCatalogue where the shop is filled with something else.
    """
    catalogue = drawing.catalogue(seed, products_per_kind=products_per_kind)
    numbers = list(range(len(catalogue)))
    random.Random(seed).shuffle(numbers)
    present = set(Product.objects.values_list("slug", flat=True))
    lacking = [number for number in numbers if catalogue[number].slug not in present]
    if present and len(lacking) == len(catalogue):
        raise OtherCatalogue(len(present))
    return lacking


def fill(
    numbers: list[int],
    *,
    seed: int,
    products_per_kind: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Draw and save the products of those numbers, and return how many pictures they have.

    Each product is saved whole or not at all, with its pictures: an interrupted run goes on where it stopped.
    Calls `report(done, total)` before the first and after each product.
    """
    catalogue = drawing.catalogue(seed, products_per_kind=products_per_kind)
    categories: dict[str, Category] = {}
    count = 0
    report(0, len(numbers))
    # Closed here, so that the processes that draw have ended before whatever follows an interruption.
    with closing(rendering.pictures(numbers, seed=seed, products_per_kind=products_per_kind)) as drawn:
        for done, (number, pictures) in enumerate(drawn, start=1):
            product = catalogue[number]
            if product.category not in categories:
                categories[product.category], _ = Category.objects.get_or_create(
                    slug=slugify(product.category), defaults={"name": product.category}
                )
            _save(product, categories[product.category], pictures)
            count += len(pictures)
            report(done, len(numbers))
    return count


def _save(drawn: drawing.DrawnProduct, category: Category, pictures: list[bytes]) -> None:
    with transaction.atomic():
        product = Product.objects.create(
            slug=drawn.slug,
            name=drawn.name,
            description=drawn.description,
            category=category,
            brand=drawn.brand,
            colour=drawn.colour,
            price=drawn.price,
            stock=drawn.stock,
        )
        for position, (view, data) in enumerate(zip(drawn.views, pictures, strict=True)):
            name = f"{drawn.slug}-{view.name}.jpg"
            # What an interrupted run left behind: no row names it, since this product wasn't there.
            removal.remove_files([f"products/{name}"])
            picture = ProductImage(product=product, alt=view.alt, position=position)
            picture.image.save(name, ContentFile(data), save=True)
