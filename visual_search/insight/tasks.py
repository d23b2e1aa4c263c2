"""Questions with known answers, made from what the shop has: no labels are needed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from visual_search import catalog, conf
from visual_search.exceptions import VisualSearchError
from visual_search.indexing.generations import simulating
from visual_search.indexing.sources import pictures

OTHER_PICTURE = "other picture"
SIMULATED_PHOTO = "simulated photo"
SAME_CATEGORY = "same category"
PHOTO = "photo"

LEAST_QUESTIONS = 10
"""Questions below which a figure says nothing, and its task is skipped."""


class TaskError(VisualSearchError):
    """The questions can't be made."""

    code = "evaluation_task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: which product, asked with which of its pictures, or with a photo (`data`, the bytes of a file).

    An answer is right where it has the `category`, or is `product` itself where none is given; there are `right` such
    products. A picture of the product is never an answer to itself.
    """

    task: str
    product: Any
    image_key: str = ""
    data: bytes | None = field(default=None, repr=False)
    category: str = ""
    right: int = 1


class Shop:
    """The listed products, and a sample of them that is the same for the same `seed`: those of `first`, then others."""

    def __init__(self, *, sample: int, seed: int, first: Iterable[Any] = ()) -> None:
        products = catalog.unordered(catalog.current().products().using(conf.settings.DATABASE))
        # Not distinct(), in whose place a DISTINCT ON of the catalog's would be lost.
        keys = list(dict.fromkeys(products.values_list("pk", flat=True)))
        keys.sort(key=lambda key: hashlib.md5(f"{seed}/{key}".encode(), usedforsecurity=False).digest())
        wanted = set(first)
        self.listed = keys
        self.sample = sorted(keys, key=lambda key: key not in wanted)[:sample]
        self._categories: dict[Any, str] | None = None

    def categories(self) -> dict[Any, str]:
        """Return the category of every listed product that has one, as `Catalog.category` says."""
        if self._categories is None:
            shop = catalog.current()
            products = shop.products().using(conf.settings.DATABASE).iterator(chunk_size=1_000)
            said = {product.pk: catalog.said(shop.category, product, otherwise="") for product in products}
            self._categories = {key: category for key, category in said.items() if category}
        return self._categories

    def pictures(self) -> Iterator[pictures.Picture]:
        """Yield the pictures of the sample's products, unread."""
        for start in range(0, len(self.sample), 100):
            loaded = pictures.load(self.sample[start : start + 100])
            for key in self.sample[start : start + 100]:
                yield from pictures.of(loaded[key]) if key in loaded else ()


def other_pictures(shop: Shop) -> Iterator[Question]:
    """Ask with the last picture of each product that has several: it has to be found by another one."""
    listed = [picture for picture in shop.pictures() if picture.error is None]
    count = Counter(picture.product for picture in listed)
    last = {picture.product: picture for picture in listed if count[picture.product] > 1}
    for picture in last.values():
        yield Question(task=OTHER_PICTURE, product=picture.product, image_key=picture.key)


def simulated_photos(shop: Shop) -> Iterator[Question]:
    """Ask with a simulated customer's photo of each product."""
    for photo in simulating.photos(shop.sample):
        yield Question(task=SIMULATED_PHOTO, product=photo.product, image_key=photo.image_key, data=photo.data)


def same_category(shop: Shop, *, among: Iterable[Any] | None = None) -> Iterator[Question]:
    """Ask with each product for others of its category, `among` the keys that can be found (default: all listed)."""
    found = shop.categories()
    if among is not None:
        found = {key: found[key] for key in among if key in found}
    sizes = Counter(found.values())
    for product in shop.sample:
        category = found.get(product)
        # Where all are of one category, every answer is right.
        if category is not None and 1 < sizes[category] < len(found):
            yield Question(task=SAME_CATEGORY, product=product, category=category, right=sizes[category] - 1)


def photos(path: Path, *, most: int, seed: int) -> tuple[list[Question], int]:
    """Return `most` questions from a CSV of photos and the keys of the products on them, and how many it has.

    It has two columns and a header; paths are relative to it. Raises TaskError naming the line that can't be used.
    """
    key = catalog.product_model()._meta.pk
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row][1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TaskError(f"{path} can't be read as a CSV: {error}.") from error
    rows.sort(key=lambda row: hashlib.md5(f"{seed}/{row[0]}".encode(), usedforsecurity=False).digest())
    found = []
    for row in rows[:most]:
        try:
            name, product = row[0], key.to_python(row[1])
            data = (path.parent / name).read_bytes()
        except (IndexError, ValueError, ValidationError) as error:
            raise TaskError(f"{path} has {row!r}: write a photo's path and the key of a product.") from error
        except OSError as error:
            raise TaskError(f"{path} names {row[0]}, which can't be read: {error.strerror}.") from error
        found.append(Question(task=PHOTO, product=product, image_key=name, data=data))
    products = catalog.current().products().using(conf.settings.DATABASE)
    if rows and not catalog.by_key(products, Q(pk__in=[question.product for question in found])).exists():
        raise TaskError(f"None of the products that {path} names is listed: give their primary keys.")
    return found, len(rows)


def right(question: Question, products: Sequence[Any], shop: Shop) -> list[bool]:
    """Return for each of the answers `products` (keys) whether it is right."""
    if not question.category:
        return [product == question.product for product in products]
    return [shop.categories().get(product) == question.category for product in products]
