"""What the benchmark of quality asks, the plain baseline beside it, and how the answers are scored."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DEPTH = 10
Ranked = list[list[str]]


def nothing_good(photo: bytes) -> bool:
    """Return whether a customer with `photo` reads that nothing is similar enough."""
    from visual_search.retrieval import answers
    from visual_search.retrieval.query import Query

    return answers.answer(Query(photo=photo, limit=DEPTH)).nothing_good


def ask(photo: bytes, *, learn: bool = False, among: Iterable[str] | None = None) -> list[str]:
    from example_shop.catalogue.models import Product
    from visual_search.retrieval import answers
    from visual_search.retrieval.query import Query

    narrowed = None if among is None else Product.objects.filter(slug__in=among)
    return [p.slug for p in answers.answer(Query(photo=photo, limit=DEPTH, queryset=narrowed), learn=learn).products]


def similar(slug: str, *, colour: float | None = None) -> list[str]:
    from example_shop.catalogue.models import Product
    from visual_search.retrieval import answers
    from visual_search.retrieval.query import Query

    found = answers.answer(Query(product=Product.objects.get(slug=slug), limit=DEPTH, colour=colour))
    return [product.slug for product in found.products]


def forget_photos() -> None:
    from visual_search.models import PhotoMean

    for row in PhotoMean.objects.all():
        PhotoMean.objects.filter(pk=row.pk).update(count=0, sums=np.zeros(len(row.sums)))


def catalogue() -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the baseline's encoder, the directions of the shop's pictures [n, 1280], and their products' slugs [n]."""
    from example_shop.catalogue.models import ProductImage
    from visual_search import encoders
    from visual_search.encoders import parts
    from visual_search.indexing.vectors import encoding

    encoder = encoders.load("efficientnet_lite0")
    images = list(ProductImage.objects.select_related("product"))
    features = np.stack(list(encoding.encode(encoder, (image.image.read() for image in images))))
    return encoder, parts.unit(features)[0], np.array([image.product.slug for image in images])


def baseline(files: Sequence[bytes], among: Sequence[set[str]] | None = None) -> Ranked:
    """Return the nearest products of each photo by the cosine of raw features, the best picture of each."""
    from visual_search.encoders import parts
    from visual_search.indexing.vectors import encoding

    encoder, pictures, slugs = catalogue()
    ranked = []
    for number, data in enumerate(files):
        photo = encoder.encode([encoding.decoder().decode(data, min_size=encoder.input_size)])
        order = np.argsort(-(pictures @ parts.unit(photo)[0][0]))
        found = dict.fromkeys(slugs[order].tolist())
        ranked.append([slug for slug in found if among is None or slug in among[number]][:DEPTH])
    return ranked


def similar_baseline() -> dict[str, list[str]]:
    _, pictures, found = catalogue()
    order = np.argsort(-(pictures @ pictures.T), axis=1)
    ranked = zip(found.tolist(), found[order].tolist(), strict=True)
    return {slug: [other for other in row if other != slug][:DEPTH] for slug, row in ranked}


def write_catalogue(folder: Path, pictures: Iterable[tuple[Any, ...]]) -> None:
    """Write a catalogue of (slug, picture's file, category, colour), each a product, into `folder`."""
    from example_shop.catalogue import importing

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "products.csv").open("w") as products, (folder / "images.csv").open("w") as images:
        listed, shown = csv.writer(products), csv.writer(images)
        listed.writerow([*importing.PRODUCT_COLUMNS, "tags"])
        shown.writerow(importing.IMAGE_COLUMNS)
        for slug, picture, category, colour in pictures:
            listed.writerow(["made", slug, slug, slug, "", "1.00", category, "", colour, ""])
            # An import reads nothing outside its folder.
            shutil.copy(picture, folder / (name := f"{slug}{picture.suffix}"))
            shown.writerow(["made", slug, slug, name, 0])


def scores(ranked: Sequence[Sequence[str]], wanted: Sequence[str]) -> dict[str, float]:
    """Return R@1, R@5, R@10 and mAP@10; with one right product a photo the last is the mean reciprocal rank."""
    ranks = [list(row).index(right) + 1 if right in row else None for row, right in zip(ranked, wanted, strict=True)]
    recall = {f"R@{k}": float(np.mean([rank is not None and rank <= k for rank in ranks])) for k in (1, 5, 10)}
    return recall | {"mAP@10": float(np.mean([1 / rank if rank else 0 for rank in ranks]))}


def labels(ranked: dict[str, list[str]], label: dict[str, str]) -> dict[str, float]:
    """Return how often the first result has the label of the one that asks, and the share of the ten that have it."""
    same = [[label[other] == label[slug] for other in row] for slug, row in ranked.items()]
    return {"R@1": float(np.mean([row[0] for row in same])), "P@10": float(np.mean([np.mean(row) for row in same]))}
