"""The loop that embeds: fold, claim, read, encode, write, again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from django.db import transaction

from visual_search import conf
from visual_search.encoders import joined, parts
from visual_search.exceptions import BadImage, EncoderError, VisualSearchError
from visual_search.indexing import arrays, changes, encoding, fit, lifecycle, pictures, queue, rows
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

CLAIMED_AT_ONCE = 32
"""Products under one lease: enough for a full batch, little enough to finish long before it ends."""

FINISH_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds to wait before each try to finish products that the shop has locked."""


class GaveUp(VisualSearchError):
    """Each attempt to embed the product ended its worker process."""

    code = "worker_died"


def run(*, seconds: float) -> bool:
    """Embed what is queued for at most `seconds` and a batch; return whether more is to be done now."""
    deadline = time.monotonic() + seconds
    while step(deadline):
        if time.monotonic() >= deadline:
            return True
    return False


def step(deadline: float = float("inf")) -> bool:
    """Do one piece of work: a fit, a batch, or an index that is complete; return whether there was one."""
    if not lifecycle.ensure_first():
        return False
    folded = changes.fold()
    if fit.run(deadline):
        return True
    claims = queue.claim(CLAIMED_AT_ONCE)
    for key, group in groupby(sorted(claims, key=lambda claim: claim.index), lambda claim: claim.index):
        index = SearchIndex.objects.using(conf.settings.DATABASE).get(pk=key)
        for batch in _batches(list(group)):
            _attempt(index, batch)
    return bool(claims) or bool(folded) or lifecycle.advance()


def _batches(claims: Sequence[queue.Claim]) -> list[list[queue.Claim]]:
    """Return one batch of the first attempts, and each suspect alone: one of them may have killed a worker."""
    first = [claim for claim in claims if claim.attempts == 1]
    return [batch for batch in [first, *([claim] for claim in claims if claim.attempts > 1)] if batch]


def _attempt(index: SearchIndex, claims: list[queue.Claim]) -> None:
    try:
        embed(index, claims)
    except Exception:
        # The encoder or the database failed, not these products.
        queue.release(claims, counted=False)
        raise


def embed(index: SearchIndex, claims: Sequence[queue.Claim]) -> None:
    """Embed every picture of the claimed products for `index`, and finish them.

    A bad picture fails its own row. A storage that does not answer puts its product off, and no other.
    """
    encoder = joined.load(index.encoders, device=conf.settings.DEVICE)
    if encoder.fingerprint != index.fingerprint:
        raise EncoderError(
            f"The encoder {encoder.name} is not the one that index {index.pk} was built with: its weights or its "
            "preprocessing changed. Create a new index for it, or put the former version back.",
            code="encoder_changed",
        )
    found = pictures.load([claim.product for claim in claims])
    taken = list(pictures.read(found.values()))
    hopeless = {claim.product for claim in claims if claim.attempts > queue.MOST_ATTEMPTS}
    for picture in taken:
        if picture.product in hopeless:
            picture.error = GaveUp()
    retried = {picture.product for picture in taken if isinstance(picture.error, pictures.StorageFailed)} & {
        claim.product for claim in claims if claim.attempts < queue.MOST_ATTEMPTS
    }
    done = list(_rows(index, encoder, [picture for picture in taken if picture.product not in retried]))
    queue.release([claim for claim in claims if claim.product in retried])
    _finish(index, [claim for claim in claims if claim.product not in retried], done)


def _rows(index: SearchIndex, encoder: joined.Joined, taken: Sequence[pictures.Picture]) -> Iterator[rows.Row]:
    known = _known(index, {picture.product for picture in taken})
    sampled = fit.sampled(index, {picture.product for picture in taken})
    fresh = [
        picture
        for picture in taken
        if picture.error is None and known.get((picture.product, picture.key)) != picture.sha256
    ]
    waiting = [picture for picture in fresh if picture.sha256 not in sampled]
    outcomes = dict(zip(map(id, waiting), encoding.encode(encoder, [picture.data for picture in waiting]), strict=True))
    transforms = arrays.transforms(index.pk)
    for picture in taken:
        outcome: Any = picture.error
        if outcome is None and known.get((picture.product, picture.key)) == picture.sha256:
            yield _row(picture, rows.UNCHANGED)
            continue
        if outcome is None:
            outcome = outcomes.get(id(picture), sampled.get(picture.sha256))
        if not isinstance(outcome, VisualSearchError):
            vectors, lengths = parts.stored(outcome[None], transforms)
            if lengths.min() > parts.DEGENERATE:
                row = _row(picture, ProductEmbedding.State.READY)
                row.embedding, row.part_lengths = vectors[0], lengths[0].tolist()
                yield row
                continue
            outcome = BadImage("The picture shows nothing that the encoder can tell apart.", code="image_blank")
        row = _row(picture, ProductEmbedding.State.FAILED)
        row.error_code, row.error_message = outcome.code, str(outcome)
        yield row


def _row(picture: pictures.Picture, state: str) -> rows.Row:
    return rows.Row(
        product=picture.product,
        image_key=picture.key,
        position=picture.position,
        state=str(state),
        source_name=picture.name,
        source_sha256=picture.sha256,
    )


def _known(index: SearchIndex, products: set[Any]) -> dict[tuple[Any, str], str]:
    """Return the SHA-256 of the bytes that each ready row was computed from."""
    ready = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(
        index=index, product_id__in=products, state=ProductEmbedding.State.READY
    )
    return {(row[0], row[1]): row[2] for row in ready.values_list("product_id", "image_key", "source_sha256")}


def _finish(index: SearchIndex, claims: list[queue.Claim], done: Sequence[rows.Row]) -> None:
    for pause in FINISH_PAUSES:
        if not claims:
            return
        time.sleep(pause)
        with transaction.atomic(conf.settings.DATABASE):
            if won := queue.won(claims):
                rows.write(index.pk, list(won), [row for row in done if row.product in won])
                queue.remove(claims, won)
        claims = queue.held(claims)
    queue.release(claims, seconds=1)
