"""Empty the shop: rows now, picture files once that is committed."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from example_shop.catalogue.models import Category, Product, ProductImage


def remove_all() -> int:
    """Remove all products and categories, and return how many products there were.

    Call it in the transaction that also brings the new ones: the old picture files go when that commits.
    """
    names = list(ProductImage.objects.values_list("image", flat=True))
    count = Product.objects.count()
    Product.objects.all().delete()
    Category.objects.all().delete()
    transaction.on_commit(lambda: remove_files(names), robust=True)
    return count


def remove_files(names: Iterable[str]) -> None:
    """Remove picture files by their names in the storage."""
    storage = ProductImage._meta.get_field("image").storage
    for name in names:
        storage.delete(name)
