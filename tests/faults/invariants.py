"""What holds whenever nothing is queued: the invariants of the fault model, read from the rows and the files."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from django.db.models.functions import Now

from visual_search import catalog
from visual_search.indexing.generations import progress
from visual_search.indexing.intake import queue
from visual_search.models import FitSample, ProductChange, ProductEmbedding, QueuedProduct, Refill, SearchIndex


def check(*, waiting: bool = False) -> None:
    """Assert that nothing is lost, stale, doubled or left over; with `waiting`, some may be queued still."""
    listed = _pictures()
    indexes = list(SearchIndex.objects.kept())
    # In the order that a product goes through them: what a worker finishes meanwhile is among those left, or its rows
    # are read after that.
    changed = set(ProductChange.objects.values_list("product_id", flat=True))
    queued = set(QueuedProduct.objects.values_list("index_id", "product_id"))
    rows = list(ProductEmbedding.objects.defer(None))
    if not waiting:
        assert (queued, changed) == (set(), set()), "something is queued"
        assert not Refill.objects.exists(), "something is to be queued"
    for index in indexes:
        mine = [row for row in rows if row.index_id == index.pk]
        left = changed | {product for number, product in queued if number == index.pk}
        _check_pictures(mine, listed, left)
        _check_vectors(index, [row for row in mine if row.state == "ready"])
        state = progress.of(index)
        assert state.ready + state.failed == len(mine), "the counts do not add up"
    _check_left_overs(rows, indexes)


def _pictures() -> dict[tuple[Any, str], str]:
    """Return the SHA-256 of the bytes of each listed picture now, "" where there are none."""
    shop = catalog.current()
    found = {}
    for product in shop.products():
        for image in shop.images(product):
            # Past the storage, which may misbehave.
            file = Path(image.file.storage.path(image.file.name))
            found[product.pk, image.key] = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
    return found


def _check_pictures(rows: list[ProductEmbedding], listed: dict[tuple[Any, str], str], left: set[Any]) -> None:
    """Each listed picture has one row that was computed from its present bytes, or that says why there is none (I1)."""
    times = Counter((row.product_id, row.image_key, tuple(row.region)) for row in rows)
    assert set(times.values()) <= {1}, "a picture has several rows"
    of_picture = {(row.product_id, row.image_key): row for row in rows if not row.region}
    for row in rows:
        whole = of_picture.get((row.product_id, row.image_key))
        assert whole is not None, "a thing on a picture that has no row"
        assert whole.source_sha256 == row.source_sha256, "a thing on a former picture"
    for picture, sha256 in listed.items():
        if picture[0] in left:
            continue
        row = of_picture.get(picture)
        assert row is not None, f"the picture {picture} is lost"
        if row.state == "ready":
            assert row.source_sha256 == sha256, f"the vector of {picture} is stale"
        else:
            assert row.error_code, f"the picture {picture} failed for no reason"
    shown = {product for product, _ in listed}
    extra = {key for key in of_picture if key[0] in shown and key not in listed and key[0] not in left}
    assert extra == set(), "rows of pictures that are gone"


def _check_vectors(index: SearchIndex, rows: list[ProductEmbedding]) -> None:
    """Vectors are finite, of length 1 and of the index's dimensions (I8)."""
    for row in rows:
        vector = np.asarray(row.embedding, np.float32)
        assert vector.shape == (index.dimensions,)
        assert np.isfinite(vector).all()
        assert abs(np.linalg.norm(vector) - 1) < 0.01


def _check_left_overs(rows: list[ProductEmbedding], indexes: list[SearchIndex]) -> None:
    """Nothing is left of deleted products (I2), no lease outlives its time (I5), attempts are bounded (I6).

    Rows belong to indexes that exist (I4), at most one of which is live.
    """
    products = set(catalog.product_model()._base_manager.values_list("pk", flat=True))
    assert {row.product_id for row in rows} <= products, "rows of deleted products"
    assert set(QueuedProduct.objects.values_list("product_id", flat=True)) <= products
    assert not QueuedProduct.objects.filter(lease_until__lt=Now()).exists(), "a lease outlived its time"
    # One more than the attempts that may fail: the last one only writes down that they have.
    assert not QueuedProduct.objects.filter(attempts__gt=queue.MOST_ATTEMPTS + 1).exists()
    assert {row.index_id for row in rows} <= set(SearchIndex.objects.values_list("pk", flat=True))
    assert sum(index.state == SearchIndex.State.LIVE for index in indexes) <= 1
    filled = [index.pk for index in indexes if index.state != SearchIndex.State.BUILDING]
    assert not FitSample.objects.filter(index__in=filled).exists(), "samples of an index that is filled"
