"""From products to the bytes of their pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from visual_search import catalog, conf
from visual_search.exceptions import BadImage, VisualSearchError
from visual_search.images import limits, source

logger = logging.getLogger("visual_search.indexing")

READERS = 4
"""Threads that wait for the storage."""

LONGEST_KEY = 255


@dataclass(slots=True, kw_only=True)
class Picture:
    """One picture of a product as the worker met it: its bytes, or why there are none."""

    product: Any
    key: str
    position: int
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    sha256: str = ""
    error: VisualSearchError | None = None


class StorageFailed(VisualSearchError):
    """The picture's storage did not answer."""

    code = "storage_failed"


class CatalogFailed(VisualSearchError):
    """The catalog raised an error for the product."""

    code = "catalog_failed"


def load(keys: Sequence[Any]) -> dict[Any, Any]:
    """Return the products with these `keys`, by key, with what the catalog's queryset brings along.

    Products that the catalog hides just now are loaded too: they may be shown again without a save.
    """
    database = conf.settings.DATABASE
    found = {product.pk: product for product in catalog.current().products().using(database).filter(pk__in=keys)}
    missing = [key for key in keys if key not in found]
    if missing:
        found |= catalog.product_model()._base_manager.using(database).in_bulk(missing)
    return found


def read(products: Iterable[Any]) -> Iterator[Picture]:
    """Yield every picture of `products` with its bytes and their SHA-256, read by several threads, in order.

    A picture that can't be read has `error`: `BadImage` where trying again won't help, `StorageFailed` where it may.
    """
    listed = [item for product in products for item in _listed(product)]
    with ThreadPoolExecutor(READERS) as readers:
        yield from readers.map(_read, listed)


def _listed(product: Any) -> list[tuple[Picture, Any]]:
    pictures: dict[str, tuple[Picture, Any]] = {}
    try:
        for position, image in enumerate(catalog.current().images(product)):
            if len(image.key) > LONGEST_KEY:
                raise CatalogFailed(f"Image key {image.key[:40]!r}... is longer than {LONGEST_KEY} characters.")
            picture = Picture(product=product.pk, key=image.key, position=position)
            picture.name = str(getattr(image.file, "name", "") or "")[:500].replace("\0", "")
            pictures.setdefault(image.key, (picture, image.file))
    except Exception as error:
        logger.exception("The catalog could not list the pictures of product %s.", product.pk)
        failure = error if isinstance(error, VisualSearchError) else CatalogFailed(f"{type(error).__name__}: {error}")
        return [(Picture(product=product.pk, key="", position=0, error=failure), None)]
    return list(pictures.values())


def _read(item: tuple[Picture, Any]) -> Picture:
    picture, file = item
    if picture.error is None:
        try:
            picture.data = source.read(file, limits=limits.CATALOGUE)
            picture.sha256 = source.sha256(picture.data)
        except BadImage as error:
            picture.error = error
        except Exception as error:
            logger.warning("Reading %s failed: %s", picture.name, error)
            picture.error = StorageFailed(f"{type(error).__name__}: {error}")
    return picture
