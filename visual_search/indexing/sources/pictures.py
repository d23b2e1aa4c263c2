"""From products to the bytes of their pictures."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from visual_search import catalog, conf
from visual_search.exceptions import BadImage, VisualSearchError
from visual_search.images import limits, source
from visual_search.indexing.sources import readers

logger = logging.getLogger("visual_search.indexing")

AHEAD = 32
"""Pictures read before the encoder asks for them."""

LONGEST_KEY = 255
LONGEST_NAME = 500

_readers = readers.Readers(threads=8, seconds=10)


@dataclass(slots=True, kw_only=True)
class Picture:
    """One picture of a product as the worker met it: its bytes, or why there are none."""

    product: Any
    key: str
    position: int
    name: str = ""
    file: Any = field(default=None, repr=False)
    data: bytes = field(default=b"", repr=False)
    sha256: str = ""
    size: int | None = None
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
    shown = catalog.by_key(catalog.current().products().using(database), models.Q(pk__in=keys))
    found = {product.pk: product for product in shown}
    missing = [key for key in keys if key not in found]
    if missing:
        found |= catalog.product_model()._base_manager.using(database).in_bulk(missing)
    return found


def of(product: Any) -> list[Picture]:
    """Return the pictures that the catalog lists for `product`, unread; where it fails, one that says so."""
    listed: dict[str, Picture] = {}
    try:
        for position, image in enumerate(catalog.current().images(product)):
            if len(image.key) > LONGEST_KEY:
                raise CatalogFailed(f"Image key {image.key[:40]!r}... is longer than {LONGEST_KEY} characters.")
            if image.key != _storable(image.key):
                raise CatalogFailed(f"Image key {image.key[:40]!r} has characters that Postgres can't hold.")
            name = _storable(str(getattr(image.file, "name", "") or "")[:LONGEST_NAME])
            picture = Picture(product=product.pk, key=image.key, position=position, name=name, file=image.file)
            listed.setdefault(image.key, picture)
    except Exception as error:
        logger.exception("The catalog could not list the pictures of product %s.", product.pk)
        failure = error if isinstance(error, VisualSearchError) else CatalogFailed(f"{type(error).__name__}: {error}")
        return [Picture(product=product.pk, key="", position=0, error=failure)]
    return list(listed.values())


def read(pictures: Iterable[Picture], *, ahead: int = AHEAD) -> Iterator[Picture]:
    """Yield `pictures` in order with their bytes and SHA-256; up to `ahead` of them are read before they are asked for.

    A picture that can't be read has `error`: `BadImage` where trying again won't help, `StorageFailed` where it may.
    """
    passed: deque[Picture] = deque()

    def noted() -> Iterator[Picture]:
        for picture in pictures:
            passed.append(picture)
            yield picture

    for outcome in _readers.map(_read, noted(), ahead=ahead):
        picture = passed.popleft()
        if isinstance(outcome, BadImage):
            picture.error = outcome
        elif isinstance(outcome, Exception):
            logger.warning("Reading %s failed: %s", picture.name, outcome)
            picture.error = StorageFailed(f"{type(outcome).__name__}: {outcome}")
        elif outcome is not None:
            picture.data, picture.sha256 = outcome
            picture.size = len(picture.data)
        yield picture


def _storable(text: str) -> str:
    """Return `text` without NUL and halves of characters, which Postgres can't hold."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _read(picture: Picture) -> tuple[bytes, str] | None:
    if picture.error is not None:
        return None
    data = source.read(picture.file, limits=limits.CATALOGUE)
    return data, source.sha256(data)
