"""The mean of customers' photos, which is what they have in common: phones, kitchens, evenings.

A photo is centred on it in place of the catalogue's mean, so that it is compared by what differs. Of the photos, only
sums and a count are kept, and no more than 10,000 of them count: older ones fade, and sums stay small enough for single
precision. A search never waits for them, nor fails with them.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from django.db import DatabaseError, InterfaceError, connections, transaction
from pgvector import Vector

from visual_search import conf
from visual_search.encoders import parts
from visual_search.indexing.vectors import arrays
from visual_search.models import PhotoMean, SearchIndex

logger = logging.getLogger("visual_search.retrieval")

LEAST = 10
"""Photos below which their mean says more about these photos than about the next one."""

PRIOR = 30
"""Photos that the catalogue's mean counts for."""

MOST = 0.7
"""Largest weight of the photos' mean: it also holds what is asked for, and without the rest R@10 fell by 3 points."""

KEPT = 10_000
"""Photos that are counted at most: with more, each new one takes the place of as much of the former mean."""


def transforms(index: SearchIndex) -> tuple[parts.Transform, ...] | None:
    """Return the transforms of `index` for a photo, or None while too few photos were seen.

    Their mean is `w p + (1 - w) m`: p the mean of n photos, m the catalogue's, w = n / (n + 30), at most 0.7.
    """
    if not _learns(index):
        return None
    rows = PhotoMean.objects.using(conf.settings.DATABASE).filter(index=index, count__gte=LEAST)
    if (learnt := rows.values_list("count", "sums").first()) is None:
        return None
    count, sums = learnt
    frozen = arrays.transforms(index.pk)
    weight = np.float32(min(count / (count + PRIOR), MOST))
    means = parts.split(np.asarray(sums, np.float32)[None] / np.float32(count), [len(each.mean) for each in frozen])
    return tuple(
        dataclasses.replace(each, mean=weight * mean[0] + (1 - weight) * each.mean)
        for each, mean in zip(frozen, means, strict=True)
    )


def learn(index: SearchIndex, photos: Sequence[parts.Floats]) -> None:
    """Add the raw features of `photos`, float32 [sum(d)] each, to the sums of `index`.

    Where another process adds its own just now, or nothing can be written, they are left out.
    """
    if not photos or not _learns(index):
        return
    dimensions = [len(each.mean) for each in arrays.transforms(index.pk)]
    pieces = parts.split(np.stack(photos), dimensions)
    seen = np.hstack([parts.compared(piece, index.metric)[0] for piece in pieces]).sum(axis=0)
    table, database = PhotoMean._meta.db_table, conf.settings.DATABASE
    try:
        with transaction.atomic(database), connections[database].cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET count = least(count + %(new)s, %(kept)s), sums = %(seen)s::vector + CASE "
                "WHEN count + %(new)s <= %(kept)s THEN sums ELSE sums * array_fill("
                "greatest(%(kept)s - %(new)s, 0)::float8 / count, ARRAY[vector_dims(sums)])::vector END "
                f"WHERE index_id = (SELECT index_id FROM {table} WHERE index_id = %(index)s FOR UPDATE SKIP LOCKED)",
                {"new": len(photos), "kept": KEPT, "seen": Vector(seen).to_text(), "index": index.pk},
            )
    except (DatabaseError, InterfaceError) as error:
        logger.debug("The mean of photos was not updated: %s", error)


def _learns(index: SearchIndex) -> bool:
    # A Euclidean distance holds the features as they are: a photo is as far away as it is.
    return bool(conf.settings.LEARN_PHOTO_MEAN) and index.metric != SearchIndex.Metric.EUCLIDEAN
