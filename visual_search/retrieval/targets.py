"""What distances are measured to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pgvector import HalfVector
from pgvector import Vector as FullVector

from visual_search.encoders import colour as colours
from visual_search.encoders import parts
from visual_search.exceptions import InvalidQuery
from visual_search.indexing.generations import hnsw
from visual_search.indexing.vectors import arrays
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import photomean, photos
from visual_search.retrieval.query import Query, Term

KNOB = "knob_unavailable"

Vector = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A query vector in SQL, and a `score` of a row (higher is nearer) where distance times `scale` doesn't give it.

    Both are SQL over the columns of an embedding; `compared` is SQL for the vector that a row's parts are compared
    with, all parts at the same weight, where that is one thing. `without` are keys of products that are never results,
    and `photos` the raw features of the photos that are asked with. `askew`: its shares are not the index's own.
    """

    vector: str
    parameters: tuple[Any, ...] = field(repr=False)
    scale: float = 1.0
    score: str = ""
    score_parameters: tuple[Any, ...] = field(default=(), repr=False)
    compared: str = ""
    compared_parameters: tuple[Any, ...] = field(default=(), repr=False)
    without: tuple[Any, ...] = ()
    photos: tuple[Vector, ...] = field(default=(), repr=False)
    askew: bool = False


def of(index: SearchIndex, query: Query) -> Target:
    """Return the target of `query` in `index`.

    Raises BadImage and EncoderError for a photo that can't be used, InvalidQuery for a knob that the index hasn't.
    """
    shares = _shares(index, query.colour)
    return replace(_of(index, query, shares), askew=shares != _shares(index, None))


def _of(index: SearchIndex, query: Query, shares: Sequence[float]) -> Target:
    seen, without = terms(index, query), query.without
    euclidean = index.metric == SearchIndex.Metric.EUCLIDEAN
    # Words may be what is looked for, and the one picture what is looked away from.
    if len(seen) > 1 or seen[0].weight < 0:
        return _mean(index, seen, without) if euclidean else _several(index, seen, shares, without)
    (term,) = seen
    if euclidean:
        vector, parameters, _ = _vector(index, term)
        return Target(
            vector=vector, parameters=parameters, compared=vector, compared_parameters=parameters, without=without
        )
    if term.photo is not None:
        return _photo(index, photos.features(index, term.photo, region=term.region), shares, without)
    if term.words is not None:
        # The mean of words isn't known, and the parts that know no words are zero.
        return _uncentred(index, photos.features_of_words(index, term.words), shares, without)
    return _product(index, _stored, (term.product,), shares, without)


def of_picture(index: SearchIndex, product: Any, image_key: str) -> Target:
    """Return the target of one stored picture, with the index's own shares; it is a result itself unless excluded."""
    return _product(index, _picture, (product, image_key), _shares(index, None), ())


def _product(
    index: SearchIndex,
    stored: Callable[..., str],
    key: tuple[Any, ...],
    shares: Sequence[float],
    without: tuple[Any, ...],
) -> Target:
    """Return the target of the vector that `stored` finds by `key`."""
    plain = stored(index)
    if len(set(shares)) == 1:
        return Target(vector=plain, parameters=key, compared=plain, compared_parameters=key, without=without)
    return Target(
        vector=stored(index, shares=shares),
        parameters=key,
        scale=_scale(shares),
        compared=plain,
        compared_parameters=key,
        without=without,
    )


def share_of_colours(index: SearchIndex) -> float | None:
    """Return the share of colour that queries of `index` have by themselves, None where they can't set it."""
    found = [float(part["share"]) for part in index.parts if part["name"] == colours.NAME]
    able = index.metric != SearchIndex.Metric.EUCLIDEAN and len(found) == 1 and len(index.parts) > 1
    return found[0] if able else None


def terms(index: SearchIndex, query: Query) -> list[Term]:
    """Return the terms of `query` that have a vector in `index`: words only where one of its encoders knows them.

    Never in a Euclidean one: words lie far from all pictures, and have no place in the parts that know none.
    """
    knows_words = index.metric != SearchIndex.Metric.EUCLIDEAN and any(part.get("text") for part in index.parts)
    return [term for term in query.terms if term.words is None or knows_words]


def _shares(index: SearchIndex, colour: float | None) -> list[float]:
    """Return the share of each part in the query: the index's own, or `colour` for the colour part."""
    shares = [float(part["share"]) for part in index.parts]
    if colour is None:
        return shares
    if index.metric == SearchIndex.Metric.EUCLIDEAN:
        raise InvalidQuery(
            f"Index {index} is Euclidean: its vectors hold the share of each part, so colour=... does nothing.",
            code=KNOB,
        )
    if share_of_colours(index) is None:
        raise InvalidQuery(f"Index {index} has no colour part beside another, so colour=... does nothing.", code=KNOB)
    return parts.shares([part["name"] for part in index.parts], colour=colour)


def _scale(shares: Sequence[float]) -> float:
    """Return what turns the cosine to `[s a | t b | ...]` into `s cos(a, a') + t cos(b, b') + ...`: 1 for the same."""
    return math.sqrt(len(shares) * sum(share * share for share in shares))


def _spread(index: SearchIndex, shares: Sequence[float]) -> Vector:
    """Return the shares as weights of the dimensions, float32 [d]."""
    return np.repeat(np.asarray(shares, np.float32), [part["dimensions"] for part in index.parts])


def _stored(index: SearchIndex, *, shares: Sequence[float] | None = None) -> str:
    """Return SQL for the vector of a product's first picture, which never leaves the server, its parts by `shares`."""
    return _source(index, shares, "") + " ORDER BY source.position, source.image_key, source.region LIMIT 1)"


def _picture(index: SearchIndex, *, shares: Sequence[float] | None = None) -> str:
    """Return SQL for the vector of the picture of a product that has a key, its parts by `shares`."""
    return _source(index, shares, " AND source.image_key = %s AND source.region = '{}'") + ")"


def _source(index: SearchIndex, shares: Sequence[float] | None, condition: str) -> str:
    vector = "source.embedding"
    found = f"{vector}::halfvec({index.dimensions})" if shares is None else hnsw.weighted(index, vector, shares)
    return (
        f"(SELECT {found} FROM {ProductEmbedding._meta.db_table} source"
        f" WHERE source.index_id = {index.pk} AND source.product_id = %s AND source.state = 'ready'{condition}"
    )


def _several(index: SearchIndex, terms: Sequence[Term], shares: Sequence[float], without: tuple[Any, ...]) -> Target:
    """Return `S sum(w v)`, v the stored vector of each term, w its weight, S the shares of the parts.

    A cosine doesn't ask for its length: it is made 1, since what a halfvec can hold ends at 65,504 and at 6e-8. Until
    the photos' mean is known, photos are centred on the catalogue's here, so that products and photos can be added;
    words are not centred. A product without a vector yet adds nothing.
    """
    size, weights = index.dimensions, _spread(index, shares)
    rows: list[str] = []
    values: list[Any] = []
    seen: list[Vector] = []
    for term in terms:
        vector, parameters, features = _vector(index, term)
        seen += features
        rows.append(f"SELECT {vector}::vector({size}) * %s::vector({size})")
        values += [*parameters, FullVector(weights * np.float32(term.weight))]
    added = " UNION ALL ".join(rows)
    return Target(
        vector=f"(SELECT l2_normalize(sum(term.v))::halfvec({size}) FROM ({added}) term(v))",
        parameters=tuple(values),
        without=without,
        photos=tuple(seen),
    )


def _mean(index: SearchIndex, terms: Sequence[Term], without: tuple[Any, ...]) -> Target:
    """Return `p + sum(w / W (p - v))`: p the mean of the terms with a positive weight, W the sum of their weights.

    The sum goes over the others, each of which is looked away from, w its weight without the sign. A distance asks for
    the place and not for the direction alone, so the factors of all vectors add up to 1. Without a positive term it is
    `-sum(w v) / sum(w)`, away from the catalogue's mean, where the origin is. A product without a vector yet adds
    nothing.
    """
    size = index.dimensions
    rows: list[str] = []
    values: list[Any] = []
    for term in terms:
        vector, parameters, _ = _vector(index, term)
        rows.append(f"SELECT {vector}, %s::float8")
        values += [*parameters, float(term.weight)]
    factor = (
        "CASE WHEN positive = 0 THEN w / negative"
        " WHEN w > 0 THEN w / positive * (1 + negative / positive) ELSE w / positive END"
    )
    return Target(
        vector=f"""(
            SELECT sum(v * array_fill(({factor})::real, ARRAY[{size}])::vector({size}))::halfvec({size})
            FROM (
                SELECT v::vector({size}), w, sum(greatest(w, 0)) OVER () AS positive,
                    sum(greatest(-w, 0)) OVER () AS negative
                FROM ({" UNION ALL ".join(rows)}) term(v, w) WHERE v IS NOT NULL
            ) weighted)""",
        parameters=tuple(values),
        without=without,
    )


def _vector(index: SearchIndex, term: Term) -> tuple[str, tuple[Any, ...], list[Vector]]:
    """Return SQL and parameters for the vector of `term`, as the index would store it if it were a picture's.

    The third is what a photo's raw features are, a list of one.
    """
    if term.product is not None:
        return _stored(index), (term.product,), []
    sql = f"%s::halfvec({index.dimensions})"
    if term.words is not None:
        vector = _words(photos.features_of_words(index, term.words), arrays.transforms(index.pk))
        return sql, (HalfVector(vector),), []
    features = photos.features(index, term.photo, region=term.region)
    transforms = photomean.transforms(index) or arrays.transforms(index.pk)
    return sql, (HalfVector(parts.stored(features[None], transforms)[0][0]),), [features]


def _words(features: Vector, transforms: Sequence[parts.Transform]) -> Vector:
    """Return `[unit(P unit(x)) | ...] / sqrt(parts)` for raw `features` of words, float32 [d].

    They are not centred: words and pictures of one encoder lie apart, and from the pictures' mean all words lie in one
    direction (Liang et al. 2022 on the modality gap).
    """
    pieces = parts.split(features[None], [len(transform.mean) for transform in transforms])
    asked = [parts.unit(t.uncentred(piece))[0][0] for t, piece in zip(transforms, pieces, strict=True)]
    return np.hstack(asked) / np.sqrt(np.float32(len(transforms)))


def _photo(index: SearchIndex, features: Vector, shares: Sequence[float], without: tuple[Any, ...]) -> Target:
    """Return the target for a photo of raw `features`, float32 [sum(d)], centred once the mean of photos is known."""
    if (learnt := photomean.transforms(index)) is None:
        target = _uncentred(index, features, shares, without)
    else:
        vector = parts.stored(features[None], learnt)[0][0] * _spread(index, shares)
        target = Target(
            vector=f"%s::halfvec({index.dimensions})",
            parameters=(HalfVector(vector),),
            scale=_scale(shares),
            without=without,
        )
    # On the catalogue's mean, as the calibration has it: what later photos teach moves no tier.
    plain = parts.stored(features[None], arrays.transforms(index.pk))[0][0]
    return dataclasses.replace(
        target,
        compared=f"%s::halfvec({index.dimensions})",
        compared_parameters=(HalfVector(plain),),
        photos=(features,),
    )


def _uncentred(index: SearchIndex, features: Vector, shares: Sequence[float], without: tuple[Any, ...]) -> Target:
    """Return the target for raw `features`, float32 [sum(d)], of a kind whose mean isn't known.

    They aren't centred, and the rows are. With q a part of them and c a row's picture, `q . c = q . m + n (q . part)`,
    n the length of the centred part: so the uncentred cosine can be had exactly, and the nearest few hundred are put
    into its order. The same holds for Pearson's correlation, which is a cosine of features less their own mean. A
    Euclidean distance doesn't change with the mean: it needs none of this.
    """
    transforms = arrays.transforms(index.pk)
    pieces = parts.split(features[None], [len(transform.mean) for transform in transforms])
    asked = [t.uncentred(piece)[0] for t, piece in zip(transforms, pieces, strict=True)]
    scale, offset, start = math.sqrt(len(transforms)), 0.0, 1
    terms: list[str] = []
    for number, (transform, part, share) in enumerate(zip(transforms, asked, shares, strict=True), start=1):
        offset += share * float(part @ transform.project(transform.mean[None])[0])
        # One part is the whole vector: no copy of it has to be cut out.
        piece = f"embedding::halfvec({index.dimensions})"
        if len(transforms) > 1:
            piece = f"subvector({piece}, {start}, {len(part)})"
        terms.append(f"{share * scale!r} * part_lengths[{number}] * -({piece} <#> %s::halfvec({len(part)}))")
        start += len(part)
    whole = np.hstack([part * np.float32(share) for part, share in zip(asked, shares, strict=True)])
    return Target(
        vector=f"%s::halfvec({index.dimensions})",
        parameters=(HalfVector(whole),),
        score=f"{offset!r} + " + " + ".join(terms),
        score_parameters=tuple(HalfVector(part) for part in asked),
        without=without,
    )
