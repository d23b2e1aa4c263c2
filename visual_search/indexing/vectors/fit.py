"""Fit the means and projections of a new index on a sample of the catalogue, and freeze them."""

from __future__ import annotations

import io
import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import numpy as np
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.models import F, Sum

from visual_search import catalog, conf
from visual_search.encoders import base, joined, parts
from visual_search.exceptions import EncoderError
from visual_search.indexing import locks, memory
from visual_search.indexing.intake import queue
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import encoding, projection
from visual_search.models import (
    FitSample,
    IndexArrays,
    PhotoMean,
    ProductChange,
    ProductEmbedding,
    QueuedProduct,
    Refill,
    SearchIndex,
)

PICTURES = 5_000
"""Pictures that are enough: the mean and 256 axes of more don't differ measurably."""

SAMPLED_AT_ONCE = 16

MOST_DIMENSIONS = 4_000
"""Dimensions of a halfvec that pgvector can index."""

LOCK = "visual_search.fit"


def run(deadline: float) -> bool:
    """Carry on with the fit of an index that needs one, until `deadline`; return whether there was anything to do.

    Samples are rows, so a fit that is stopped goes on where it was. Only one process fits: the others find the lock
    taken, and have other work or none. An index whose fit fails stops no other: its error is raised once no other has
    anything to do.
    """
    failures: list[Exception] = []
    for index in _unfitted().order_by("id"):
        try:
            if _run(index, deadline):
                return True
        except (DatabaseError, InterfaceError):
            raise
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return False


def _run(index: SearchIndex, deadline: float) -> bool:
    encoder = joined.load(index.encoders, **conf.machine())
    for keys in _candidates(index):
        with locks.alone(LOCK, index.pk) as alone:
            if not alone:
                return False
            _sample_counted(index, encoder, keys)
        memory.trim()
        if _count(index) >= PICTURES:
            break
        if time.monotonic() >= deadline:
            return True
    if not _count(index) and (_candidates(index) or _changes_wait()):
        # The shop holds them all just now, or has only begun to list them.
        return False
    frozen = _freeze(index, encoder)
    memory.trim()
    return frozen


def _unfitted() -> Any:
    # Not before all products are queued: a sample of those that came first would be frozen.
    return _indexes().filter(state=SearchIndex.State.BUILDING, fitted_on=None, refill=None)


def outgrown(index: SearchIndex) -> bool:
    """Return whether `index` was fitted on too few pictures to know their mean, and has enough of them now."""
    if index.fitted_on is None or index.fitted_on >= parts.LEAST_FOR_MEAN:
        return False
    ready = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, state="ready", region=[])
    return len(ready.values("pk")[: parts.LEAST_FOR_MEAN]) == parts.LEAST_FOR_MEAN


def sampled(index: SearchIndex, products: Iterable[Any]) -> dict[str, base.Features]:
    """Return the raw features that the fit left of pictures of `products`, by the SHA-256 of their bytes."""
    features: dict[str, base.Features] = {}
    if index.state == SearchIndex.State.BUILDING:
        for sample in _samples(index).filter(product_id__in=list(products)):
            sums, rows = _unpack(sample.features)
            features |= dict(zip(sums, rows, strict=True))
    return features


def forget(index: SearchIndex) -> None:
    """Delete the samples of `index`: it is filled."""
    _samples(index).delete()


def _candidates(index: SearchIndex) -> list[list[Any]]:
    """Return queued products that are not sampled yet, in an order that has nothing to do with their age.

    They come in batches; those that a worker died of come last and alone, and not at all after the last attempt.
    """
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            f"""
            SELECT product_id, attempts FROM {QueuedProduct._meta.db_table} queue
            WHERE index_id = %s AND attempts < %s AND NOT EXISTS (
                SELECT 1 FROM {FitSample._meta.db_table} sample
                WHERE sample.index_id = queue.index_id AND sample.product_id = queue.product_id)
            -- It may have been given up, and resumed, while the encoder was loaded.
            AND EXISTS (SELECT 1 FROM {SearchIndex._meta.db_table} WHERE id = queue.index_id AND state = 'building')
            AND NOT EXISTS (SELECT 1 FROM {Refill._meta.db_table} WHERE index_id = queue.index_id)
            ORDER BY md5(product_id::text) LIMIT %s
            """,
            [index.pk, queue.MOST_ATTEMPTS, PICTURES],
        )
        rows = cursor.fetchall()
    first = [key for key, attempts in rows if not attempts]
    batches = [first[start : start + SAMPLED_AT_ONCE] for start in range(0, len(first), SAMPLED_AT_ONCE)]
    return batches + [[key] for key, attempts in rows if attempts]


def _changes_wait() -> bool:
    return ProductChange.objects.using(conf.settings.DATABASE).exists()


def _sample_counted(index: SearchIndex, encoder: joined.Joined, keys: Sequence[Any]) -> None:
    """Sample `keys` in an attempt that counts only where it ends the process; on an error, each of them alone."""
    _set_attempts(index, keys, F("attempts") + 1)
    try:
        _sample(index, encoder, keys)
    except Exception as error:
        if not encoding.picture_at_fault(error):
            raise
        _sample_each(index, encoder, keys)
    finally:
        _set_attempts(index, keys, 0)


def _set_attempts(index: SearchIndex, keys: Sequence[Any], attempts: Any) -> None:
    queued = QueuedProduct.objects.using(conf.settings.DATABASE).filter(index=index, product_id__in=keys)
    with transaction.atomic(conf.settings.DATABASE):
        # What the shop deletes just now is left: waiting for several of its rows could deadlock with it.
        queued.filter(pk__in=queued.select_for_update(skip_locked=True).values("pk")).update(attempts=attempts)


def _sample_each(index: SearchIndex, encoder: joined.Joined, keys: Sequence[Any]) -> None:
    """Sample `keys` one by one, and leave out those that the encoder fails for, unless it fails for any picture."""
    failure: Exception | None = None
    left_out = []
    for key in keys:
        try:
            _sample(index, encoder, [key])
        except Exception as error:
            if not encoding.picture_at_fault(error):
                raise
            failure = error
            left_out.append(_packed(index, key, []))
    if failure is not None and not _count(index) and not encoding.works(encoder):
        raise failure
    _store(left_out)


def _sample(index: SearchIndex, encoder: joined.Joined, keys: Sequence[Any]) -> None:
    listed = [picture for product in pictures.load(keys).values() for picture in pictures.of(product)]
    taken: list[pictures.Picture] = []
    outcomes = list(encoding.encode(encoder, _data(listed, taken)))
    good = [(p, o) for p, o in zip(taken, outcomes, strict=True) if isinstance(o, np.ndarray)]
    _store([_packed(index, key, [pair for pair in good if pair[0].product == key]) for key in keys])


def _store(samples: Sequence[FitSample]) -> None:
    """Store `samples` but for products that the shop has locked: waiting for several could deadlock with it."""
    connection = connections[conf.settings.DATABASE]
    product = catalog.product_model()._meta
    table, key = map(connection.ops.quote_name, (product.db_table, str(product.pk.column)))
    with transaction.atomic(conf.settings.DATABASE), connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key} FROM {table} WHERE {key} = ANY(%s) FOR KEY SHARE SKIP LOCKED",
            [[sample.product_id for sample in samples]],
        )
        free = {row[0] for row in cursor.fetchall()}
        FitSample.objects.using(conf.settings.DATABASE).bulk_create(
            [sample for sample in samples if sample.product_id in free], ignore_conflicts=True
        )


def _data(listed: Sequence[pictures.Picture], taken: list[pictures.Picture]) -> Generator[bytes]:
    """Yield the bytes of those of `listed` that can be read, and note them in `taken`."""
    for picture in pictures.read(listed):
        if picture.error is None:
            taken.append(picture)
            yield picture.data
            picture.data = b""


def _freeze(index: SearchIndex, encoder: joined.Joined) -> bool:
    with transaction.atomic(conf.settings.DATABASE):
        if not _locked(index):
            return False
        if not _unfitted().filter(pk=index.pk).exists():
            return True
        features = [_unpack(sample.features)[1] for sample in _samples(index).filter(pictures__gt=0).iterator(200)]
        every = np.vstack([*features, np.zeros((0, encoder.dimensions), np.float32)])
        products = np.repeat(np.arange(len(features)), [len(rows) for rows in features])
        names = [each.name for each in encoder.encoders]
        shares = parts.shares(names, colour=conf.settings.COLOUR_SHARE)
        transforms, measured = projection.fit(
            every, encoder.parts, metric=index.metric, shares=shares, products=products
        )
        if (dimensions := sum(transform.dimensions for transform in transforms)) > MOST_DIMENSIONS:
            raise EncoderError(
                f"The encoders of index {index.pk} give {dimensions:,} numbers a picture; pgvector's HNSW takes"
                f" {MOST_DIMENSIONS:,} at most. Leave one out; from {parts.LEAST_FOR_PROJECTION:,} pictures on, each is"
                " projected to fewer.",
                code="too_many_dimensions",
            )
        IndexArrays.objects.using(conf.settings.DATABASE).create(index=index, transforms=parts.save(transforms))
        PhotoMean.objects.using(conf.settings.DATABASE).create(index=index, **_photos(index, encoder))
        _indexes().filter(pk=index.pk).update(
            fitted_on=len(every),
            fingerprint=encoder.fingerprint,
            projection=measured,
            dimensions=dimensions,
            parts=[
                {"name": each.name, "dimensions": transform.dimensions, "share": share, **_knows_words(each)}
                for each, transform, share in zip(encoder.encoders, transforms, shares, strict=True)
            ],
        )
    return True


def _knows_words(encoder: base.Encoder) -> dict[str, bool]:
    # A web process asks this of the index: loading the encoder for it would cost seconds.
    return {"text": True} if isinstance(encoder, base.TextEncoder) else {}


def _photos(index: SearchIndex, encoder: joined.Joined) -> dict[str, Any]:
    """Return what an older index of the same encoder and metric has learnt of photos, or nothing yet."""
    alike = PhotoMean.objects.using(conf.settings.DATABASE).filter(
        index__fingerprint=encoder.fingerprint, index__metric=index.metric
    )
    newest = alike.order_by("-index_id").values("count", "sums").first()
    return {"sums": np.zeros(encoder.dimensions, np.float32)} if newest is None else dict(newest)


def _locked(index: SearchIndex) -> bool:
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s), %s)", [LOCK, index.pk])
        return cursor.fetchone()[0]


def _count(index: SearchIndex) -> int:
    return _samples(index).aggregate(total=Sum("pictures"))["total"] or 0


def _packed(index: SearchIndex, product: Any, pairs: Sequence[tuple[pictures.Picture, base.Features]]) -> FitSample:
    buffer = io.BytesIO()
    sums = np.array([picture.sha256 for picture, _ in pairs], dtype="U64")
    features = np.array([outcome for _, outcome in pairs], dtype=np.float32)
    np.savez(buffer, sums=sums, features=features)
    return FitSample(index=index, product_id=product, pictures=len(pairs), features=buffer.getvalue())


def _unpack(data: bytes) -> tuple[list[str], base.Features]:
    with np.load(io.BytesIO(bytes(data)), allow_pickle=False) as stored:
        return stored["sums"].tolist(), stored["features"]


def _indexes() -> Any:
    return SearchIndex.objects.using(conf.settings.DATABASE)


def _samples(index: SearchIndex) -> Any:
    return FitSample.objects.using(conf.settings.DATABASE).filter(index=index)
