"""The nearest pictures to a query, in one SQL statement, and the best picture of each product."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connections, transaction

from visual_search import conf
from visual_search.encoders import parts
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import gate as gates

EXACT_CANDIDATES = 10_000
"""Candidates up to which sorting all of them beats HNSW (about 4 us each), and is never wrong."""

MOST_EXACT = 100_000
"""Candidates up to which a page that HNSW left short is filled by sorting all of them."""

OVERSAMPLE = 4
"""Pictures fetched a result: several of them may belong to one product."""

RERANKED = 400
"""Nearest pictures that a photo query puts into the uncentred order."""

MOST_EF_SEARCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A product, the picture of it that is nearest, and how similar that is: a cosine, at most 1."""

    product: Any
    image_key: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What distances are measured to, in SQL: `vector` orders, `score` (higher is nearer) re-ranks where it differs."""

    vector: str
    parameters: tuple[Any, ...]
    score: str = ""
    score_parameters: tuple[Any, ...] = ()
    without: Any = None


def product(index: SearchIndex, key: Any) -> Target:
    """Return the target for what is similar to the product `key`: its first picture, which never leaves the server."""
    return Target(
        vector=f"(SELECT source.embedding::halfvec({index.dimensions}) FROM {ProductEmbedding._meta.db_table} source"
        f" WHERE source.index_id = {index.pk} AND source.product_id = %s AND source.state = 'ready'"
        " ORDER BY source.position, source.image_key LIMIT 1)",
        parameters=(key,),
        without=key,
    )


def photo(index: SearchIndex, features: np.ndarray[Any, Any], transforms: Sequence[parts.Transform]) -> Target:
    """Return the target for what is similar to a photo of raw `features`, float32 [sum(d)].

    The photo isn't centred, since nobody knows the mean of photos yet, and the rows are. With q the photo's part and c
    a row's picture, `q . c = q . m + n (q . part)`, n the length of the centred part: so the uncentred cosine can be
    had exactly, and the nearest few hundred are put into its order.
    """
    pieces = parts.split(features[None], [len(transform.mean) for transform in transforms])
    asked = [t.uncentred(piece)[0] for t, piece in zip(transforms, pieces, strict=True)]
    scale, offset, start = math.sqrt(len(transforms)), 0.0, 1
    terms: list[str] = []
    values: list[str] = []
    for number, (transform, part, described) in enumerate(zip(transforms, asked, index.parts, strict=True), start=1):
        share, size = described["share"], len(part)
        offset += share * float(part @ transform.project(transform.mean[None])[0])
        piece = f"subvector(embedding::halfvec({index.dimensions}), {start}, {size})"
        terms.append(f"{share * scale!r} * part_lengths[{number}] * -({piece} <#> %s::halfvec({size}))")
        values.append(_text(part))
        start += size
    whole = np.hstack([part * described["share"] for part, described in zip(asked, index.parts, strict=True)])
    return Target(
        vector=f"%s::halfvec({index.dimensions})",
        parameters=(_text(whole),),
        score=f"{offset!r} + " + " + ".join(terms),
        score_parameters=tuple(values),
    )


def products(index: SearchIndex, target: Target, *, gate: gates.Gate, limit: int) -> list[Match]:
    """Return up to `limit` products that pass `gate`, nearest first, each with its best picture.

    A page is full wherever there are candidates enough: one that is left short is asked for again, four times wider,
    then exactly.
    """
    if gate.empty:
        return []
    matches: list[Match] = []
    for exact, width in _plans(gates.estimate(index.pk, gate), limit, reranked=bool(target.score)):
        matches, scanned = _run(index, target, gate=gate, limit=limit, exact=exact, width=width)
        if len(matches) == limit or (exact and scanned < width):
            break
    return matches


def _plans(candidates: int, limit: int, *, reranked: bool) -> Iterator[tuple[bool, int]]:
    width = max(limit * OVERSAMPLE, RERANKED if reranked else 0)
    if candidates <= EXACT_CANDIDATES:
        yield True, width
        yield True, MOST_EXACT
        return
    yield False, width
    yield False, width * 4
    yield True, MOST_EXACT


def _run(
    index: SearchIndex, target: Target, *, gate: gates.Gate, limit: int, exact: bool, width: int
) -> tuple[list[Match], int]:
    distance = f"(embedding.embedding::halfvec({index.dimensions}) <=> {target.vector})"
    without = "" if target.without is None else "AND embedding.product_id <> %s "
    # The tie-break and all grouping stay outside: a second key inside would turn the HNSW index off (immich#31299).
    sql = f"""
        WITH nearest AS MATERIALIZED (
            SELECT embedding.product_id, embedding.image_key, embedding.embedding, embedding.part_lengths,
                {distance} AS distance
            FROM {ProductEmbedding._meta.db_table} embedding
            WHERE embedding.index_id = {index.pk:d} AND embedding.state = 'ready' {without}AND {gate.sql}
            ORDER BY {distance}{" + 0" if exact else ""} LIMIT {width:d}
        ), scored AS (
            SELECT product_id, image_key, {target.score or "1 - distance"} AS similarity FROM nearest
        ), best AS (
            SELECT DISTINCT ON (product_id) * FROM scored ORDER BY product_id, similarity DESC, image_key
        )
        SELECT product_id, image_key, similarity, (SELECT count(*) FROM nearest) FROM best
        ORDER BY similarity DESC, md5(product_id::text) LIMIT {limit:d}
    """
    parameters = [
        *target.parameters,
        *(() if target.without is None else (target.without,)),
        *gate.parameters,
        *target.parameters,
        *target.score_parameters,
    ]
    rows = _read(sql, parameters, ef_search=min(max(conf.settings.EF_SEARCH, width), MOST_EF_SEARCH))
    # A product without a vector has no distance to anything.
    matches = [Match(product=row[0], image_key=row[1], similarity=row[2]) for row in rows if row[2] is not None]
    return matches, rows[0][3] if rows else 0


def _read(sql: str, parameters: Sequence[Any], *, ef_search: int) -> list[tuple[Any, ...]]:
    """Run a query under settings of its own.

    It runs in a transaction, or a savepoint of the shop's, that is rolled back: nothing was written, and a rollback is
    the one way in which the settings can't leak into what the shop does next.
    """
    alias = conf.settings.DATABASE
    with transaction.atomic(alias), connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true)",
            [str(ef_search)],
        )
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
        transaction.set_rollback(True, using=alias)
    return rows


def _text(vector: np.ndarray[Any, Any]) -> str:
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"
