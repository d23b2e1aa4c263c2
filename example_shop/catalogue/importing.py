"""Read a catalogue of csv files and pictures, and put it in place of the shop's own."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from django.core.files import File
from django.db import transaction
from django.utils.text import slugify

from example_shop.catalogue import removal
from example_shop.catalogue.models import Category, Product, ProductImage, Variant

PRODUCT_COLUMNS = ("shop", "product", "sku", "name", "description", "price", "category", "brand", "colour")
IMAGE_COLUMNS = ("shop", "product", "sku", "image", "position")


class BadCatalogue(Exception):
    """The folder can't be imported; the message says which file and line, and what is expected."""


@dataclass(slots=True, kw_only=True)
class Article:
    """One sku: the lowest price and the first colour that its rows name."""

    sku: str
    colour: str
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProduct:
    """One product of the csv; its first sku is the product itself, the others are its variants."""

    shop: str
    slug: str
    name: str
    description: str
    brand: str
    category: str
    articles: dict[str, Article]
    pictures: list[tuple[Path, str]]

    @property
    def variants(self) -> list[Article]:
        """Return the articles beside the product itself."""
        return list(self.articles.values())[1:]

    @property
    def price(self) -> Decimal | None:
        """Return the product's own price, or the lowest of its variants'."""
        own = next(iter(self.articles.values())).price
        return own if own is not None else min((a.price for a in self.variants if a.price is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What was read: products in the csv's order, and pictures that it names but that are not there."""

    products: list[ListedProduct]
    missing: list[str]


def read(folder: Path, *, shop: str | None = None) -> Listing:
    """Read `products.csv` and `images.csv` of `folder`, all shops or one.

    Raises BadCatalogue for a folder, file, column, price or shop that is missing or unusable.
    """
    if not folder.is_dir():
        raise BadCatalogue(f"There is no folder {folder}. Name one that holds products.csv and images.csv.")
    products: dict[tuple[str, str], ListedProduct] = {}
    shops: set[str] = set()
    for line, row in _rows(folder / "products.csv", PRODUCT_COLUMNS):
        shops.add(row["shop"])
        if shop is None or row["shop"] == shop:
            _add_row(products, row, f"products.csv, line {line}")
    if shop is not None and shop not in shops:
        raise BadCatalogue(f"There is no shop {shop!r} in products.csv. It has: {', '.join(sorted(shops)) or 'none'}.")
    if not products:
        raise BadCatalogue("products.csv names no product.")
    _refuse_shared_slugs(products)
    return Listing(products=list(products.values()), missing=_add_pictures(products, folder))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    if not path.is_file():
        raise BadCatalogue(f"There is no {path.name} in {path.parent}.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if absent := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise BadCatalogue(f"{path.name} lacks the column {', '.join(absent)}. It needs: {', '.join(columns)}.")
            for row in reader:
                yield reader.line_num, {column: (row[column] or "").strip() for column in columns}
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadCatalogue(f"{path.name} is not a csv file in UTF-8: {error}.") from error


def _add_row(products: dict[tuple[str, str], ListedProduct], row: dict[str, str], place: str) -> None:
    for column in ("product", "sku", "name", "category"):
        if not row[column]:
            raise BadCatalogue(f"{place}: the column {column} is empty.")
    if slugify(row["product"]) != row["product"].lower():
        raise BadCatalogue(f"{place}: {row['product']!r} is no slug. Use letters, digits and hyphens.")
    product = products.setdefault(
        (row["shop"], row["product"]),
        ListedProduct(
            shop=row["shop"],
            slug=row["product"],
            name=row["name"],
            description=row["description"],
            brand=row["brand"],
            category=row["category"],
            articles={},
            pictures=[],
        ),
    )
    price = _price(row["price"], place)
    article = product.articles.setdefault(row["sku"], Article(sku=row["sku"], colour=row["colour"], price=price))
    article.colour = article.colour or row["colour"]
    if price is not None:
        article.price = price if article.price is None else min(article.price, price)


def _price(text: str, place: str) -> Decimal | None:
    if not text:
        return None
    try:
        price = Decimal(text).quantize(Decimal("0.01"))
    except InvalidOperation:
        price = Decimal("NaN")
    if price.is_nan() or not 0 <= price < 100_000_000:
        raise BadCatalogue(f"{place}: {text!r} is no price. Write it as 12.50, or leave it empty.")
    return price


def _refuse_shared_slugs(products: dict[tuple[str, str], ListedProduct]) -> None:
    first: dict[str, str] = {}
    for shop, slug in products:
        if first.setdefault(slug, shop) != shop:
            raise BadCatalogue(
                f"Product {slug!r} is in the shops {first[slug]} and {shop}. Import one of them with --shop."
            )


def _add_pictures(products: dict[tuple[str, str], ListedProduct], folder: Path) -> list[str]:
    """Give each product its pictures by position, and return those that are missing."""
    missing, found = [], []
    for line, row in _rows(folder / "images.csv", IMAGE_COLUMNS):
        if (product := products.get((row["shop"], row["product"]))) is None:
            continue
        path = (folder / row["image"]).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            missing.append(row["image"])
            continue
        if not row["position"].isdecimal():
            raise BadCatalogue(f"images.csv, line {line}: the position {row['position']!r} is no number.")
        article = product.articles.get(row["sku"])
        alt = ", ".join(part for part in (product.name, article.colour if article else "") if part)
        found.append((int(row["position"]), product, path, alt))
    for _position, product, path, alt in sorted(found, key=lambda picture: picture[0]):
        product.pictures.append((path, alt))
    return missing


def replace(listing: Listing, *, report: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Put the listing in place of the whole catalogue, in one transaction; return how many products were there.

    Calls `report(done, total)` after each product. Where it fails, rows and files are as before.
    """
    copied: list[str] = []
    try:
        with transaction.atomic():
            before = removal.remove_all()
            categories = _categories(listing)
            for done, listed in enumerate(listing.products, start=1):
                _save(listed, categories[listed.category], copied)
                report(done, len(listing.products))
    except BaseException:
        removal.remove_files(copied)
        raise
    return before


def _categories(listing: Listing) -> dict[str, Category]:
    """Save a category for each path of the csv, named by its last part."""
    categories: dict[str, Category] = {}
    taken: set[str] = set()
    for path in sorted({product.category for product in listing.products}):
        name = re.split(r"\s*-?>\s*", path)[-1] or path
        slug = slugify(name) or "category"
        if slug in taken:
            slug = slugify(re.sub(r"[>/]", " ", path)) or slug
        number = 2
        while slug in taken:
            slug, number = f"{slugify(name)}-{number}", number + 1
        taken.add(slug)
        categories[path] = Category.objects.create(name=name, slug=slug)
    return categories


def _save(listed: ListedProduct, category: Category, copied: list[str]) -> None:
    own = next(iter(listed.articles.values()))
    variants = [
        Variant(sku=article.sku, colour=article.colour, price=article.price, stock=believable_stock(article.sku))
        for article in listed.variants
    ]
    product = Product.objects.create(
        slug=listed.slug,
        name=listed.name,
        description=listed.description,
        category=category,
        brand=listed.brand,
        colour=own.colour,
        price=listed.price,
        stock=sum(variant.stock for variant in variants) if variants else believable_stock(own.sku),
    )
    for variant in variants:
        variant.product = product
    Variant.objects.bulk_create(variants)
    for position, (path, alt) in enumerate(listed.pictures):
        with path.open("rb") as file:
            picture = ProductImage(product=product, alt=alt, position=position)
            picture.image.save(path.name, File(file), save=False)
            copied.append(str(picture.image))
            picture.save()


def believable_stock(sku: str) -> int:
    """Return a stock of 0 to 40 for an article whose csv names none: the same each time, one in nine sold out."""
    number = zlib.crc32(sku.encode())
    return 0 if number % 9 == 0 else 1 + number // 9 % 40
