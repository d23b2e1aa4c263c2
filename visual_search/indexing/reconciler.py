"""Find what signals never saw: `update()`, `bulk_create()`, raw SQL, a restore, a file replaced under its name."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import Error

from visual_search import catalog, conf
from visual_search.exceptions import BadImage
from visual_search.images import limits, source
from visual_search.indexing.intake import changes
from visual_search.indexing.sources import pictures, texts
from visual_search.indexing.vectors import meanings
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

PRODUCTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How many products were compared and how many of them queued, and the key to go on after, or None."""

    checked: int
    queued: int
    after: Any


@dataclass(frozen=True, slots=True)
class _Known:
    state: str
    error_code: str
    source_name: str
    source_size: int | None
    source_sha256: str
    updated_at: dt.datetime


def reconcile(*, after: Any = None, deep: bool = False, deadline: float = float("inf")) -> Reconciled:
    """Compare the products after the key `after` with their rows, until `deadline`, and queue those that differ.

    For every index that is kept: a picture without a row, a row without a picture, another file name or size, or a file
    newer than its vector whose bytes have changed; for words: other ones than are stored, or another encoder of texts.
    `deep` reads and compares the bytes of every file.
    """
    model = catalog.product_model()
    checked = queued = 0
    while True:
        listed = catalog.current().products().using(conf.settings.DATABASE).order_by("pk")
        if after is not None:
            listed = listed.filter(pk__gt=model._meta.pk.to_python(after))
        page = list(listed[:PRODUCTS_AT_ONCE])
        if not page:
            return Reconciled(checked=checked, queued=queued, after=None)
        differing = _differing(page, deep=deep)
        changes.record(differing)
        checked, queued, after = checked + len(page), queued + len(differing), page[-1].pk
        if time.monotonic() >= deadline:
            return Reconciled(checked=checked, queued=queued, after=after)


def _differing(products: Sequence[Any], *, deep: bool) -> list[Any]:
    database = conf.settings.DATABASE
    indexes = list(SearchIndex.objects.using(database).kept().filter(fitted_on__isnull=False))
    known = _known(indexes, [product.pk for product in products])
    reworded = texts.stale(texts.of(products), fingerprint=meanings.fingerprint()) if indexes else set()
    return [
        product.pk
        for product in products
        if product.pk in reworded
        or any(_differs(pictures.of(product), known[index.pk, product.pk], deep=deep) for index in indexes)
    ]


def _known(indexes: Iterable[SearchIndex], keys: Sequence[Any]) -> dict[tuple[int, Any], dict[str, _Known]]:
    rows = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(
        index__in=indexes, product_id__in=keys, region=[]
    )
    found: dict[tuple[int, Any], dict[str, _Known]] = defaultdict(dict)
    fields = ("index_id", "product_id", "image_key", *(field.name for field in dataclasses.fields(_Known)))
    for row in rows.values_list(*fields):
        found[row[0], row[1]][row[2]] = _Known(*row[3:])
    return found


def _differs(listed: Sequence[pictures.Picture], known: dict[str, _Known], *, deep: bool) -> bool:
    if {picture.key for picture in listed} != set(known):
        return True
    return any(picture.error is None and _replaced(picture, known[picture.key], deep=deep) for picture in listed)


def _replaced(picture: pictures.Picture, known: _Known, *, deep: bool) -> bool:
    """Return whether the file is another than the row says; False where its storage won't say."""
    if picture.name != known.source_name:
        return True
    try:
        return _altered(picture, known, deep=deep)
    except NotImplementedError:
        # A storage that knows no times: only --deep sees bytes that changed and kept their number.
        return False
    except (FileNotFoundError, BadImage):
        # Gone, or too large now: the worker will say so in the row.
        return known.state == ProductEmbedding.State.READY
    except Error:
        raise
    except Exception as error:
        # It may fail for this file alone, each night: those after it are compared all the same.
        logger.warning("The storage did not say whether %s was replaced: %s", picture.name, error)
        return False


def _altered(picture: pictures.Picture, known: _Known, *, deep: bool) -> bool:
    storage = getattr(picture.file, "storage", None)
    if storage is None:
        # Nobody can be asked about it: what could not be read is worth another try.
        return known.error_code == pictures.StorageFailed.code
    if known.error_code in (pictures.StorageFailed.code, "image_missing"):
        return bool(picture.file) and storage.exists(picture.name)
    if known.source_size is not None and storage.size(picture.name) != known.source_size:
        return True
    suspicious = deep or storage.get_modified_time(picture.name) > known.updated_at
    return suspicious and source.sha256(source.read(picture.file, limits=limits.CATALOGUE)) != known.source_sha256
