"""What distances are measured to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pgvector import HalfVector

from visual_search.encoders import parts
from visual_search.exceptions import InvalidQuery
from visual_search.indexing import arrays
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import photos
from visual_search.retrieval.query import Query, Term

COLOUR = "colour"
"""Name of the part that holds colours."""

KNOB = "knob_unavailable"

Vector = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A query vector in SQL, and a `score` of a row (higher is nearer) where that differs from the cosine.

    Both are SQL over the columns of an embedding; `without` are keys of products that are never results. `compared` is
    SQL for the vector that a row's parts are compared with, all parts at the same weight, where that is one thing.
    """

    vector: str
    parameters: tuple[Any, ...] = field(repr=False)
    score: str = ""
    score_parameters: tuple[Any, ...] = field(default=(), repr=False)
    compared: str = ""
    compared_parameters: tuple[Any, ...] = field(default=(), repr=False)
    without: tuple[Any, ...] = ()


def of(index: SearchIndex, query: Query) -> Target:
    """Return the target of `query` in `index`.

    Raises BadImage and EncoderError for a photo that can't be used, InvalidQuery for a knob that the index hasn't.
    """
    shares = _shares(index, query.colour)
    seen, without = terms(index, query), query.without
    # Words may be what is looked for, and the one picture what is looked away from.
    if len(seen) > 1 or seen[0].weight < 0:
        return _several(index, seen, shares, without)
    (term,) = seen
    if term.photo is not None:
        return _photo(index, photos.features(index, term.photo, region=term.region), shares, without)
    if term.words is not None:
        # The mean of words isn't known either, and the parts that know no words are zero.
        return _photo(index, photos.features_of_words(index, term.words), shares, without)
    stored, key = _stored(index), (term.product,)
    if len(set(shares)) == 1:
        return Target(vector=stored, parameters=key, without=without, compared=stored, compared_parameters=key)
    weights = HalfVector(_spread(index, shares))
    vector = f"({stored} * %s::halfvec({index.dimensions}))"
    return Target(vector=vector, parameters=(*key, weights), without=without, compared=stored, compared_parameters=key)


def of_picture(index: SearchIndex, product: Any, image_key: str) -> Target:
    """Return the target of one stored picture, with the index's own shares; it is a result itself unless excluded."""
    stored = (
        f"(SELECT source.embedding::halfvec({index.dimensions}) FROM {ProductEmbedding._meta.db_table} source"
        f" WHERE source.index_id = {index.pk} AND source.product_id = %s AND source.image_key = %s"
        " AND source.state = 'ready')"
    )
    weights = HalfVector(_spread(index, _shares(index, None)))
    return Target(
        vector=f"({stored} * %s::halfvec({index.dimensions}))",
        parameters=(product, image_key, weights),
        compared=stored,
        compared_parameters=(product, image_key),
    )


def terms(index: SearchIndex, query: Query) -> list[Term]:
    """Return the terms of `query` that have a vector in `index`: words only where one of its encoders knows them."""
    knows_words = any(part.get("text") for part in index.parts)
    return [term for term in query.terms if term.words is None or knows_words]


def _shares(index: SearchIndex, colour: float | None) -> list[float]:
    """Return the share of each part in the query: the index's own, or `colour` for the colour part."""
    shares = [float(part["share"]) for part in index.parts]
    if colour is None:
        return shares
    coloured = [part["name"] == COLOUR for part in index.parts]
    if sum(coloured) != 1 or len(shares) == 1:
        raise InvalidQuery(f"Index {index} has no colour part beside another, so colour=... does nothing.", code=KNOB)
    rest = sum(share for share, is_colour in zip(shares, coloured, strict=True) if not is_colour)
    return [
        colour if is_colour else (1 - colour) * share / rest for share, is_colour in zip(shares, coloured, strict=True)
    ]


def _spread(index: SearchIndex, shares: Sequence[float]) -> Vector:
    """Return the shares as weights of the dimensions, float32 [d]."""
    return np.repeat(np.asarray(shares, np.float32), [part["dimensions"] for part in index.parts])


def _stored(index: SearchIndex) -> str:
    """Return SQL for the vector of a product's first picture, which never leaves the server."""
    return (
        f"(SELECT source.embedding::halfvec({index.dimensions}) FROM {ProductEmbedding._meta.db_table} source"
        f" WHERE source.index_id = {index.pk} AND source.product_id = %s AND source.state = 'ready'"
        " ORDER BY source.position, source.image_key LIMIT 1)"
    )


def _several(index: SearchIndex, terms: Sequence[Term], shares: Sequence[float], without: tuple[Any, ...]) -> Target:
    """Return `S sum(w v)`, v the centred unit vector of each term, w its weight, S the shares of the parts.

    A cosine doesn't ask for its length. Photos are centred on the catalogue's mean here, so that products and photos
    can be added; words are not centred. A product without a vector yet adds nothing.
    """
    transforms, weights = arrays.transforms(index.pk), _spread(index, shares)
    rows: list[str] = []
    values: list[Any] = []
    for term in terms:
        if term.product is not None:
            rows.append(f"SELECT {_stored(index)} * %s::halfvec({index.dimensions})")
            values += [term.product, HalfVector(weights * np.float32(term.weight))]
        else:
            if term.words is not None:
                vector = _words(photos.features_of_words(index, term.words), transforms)
            else:
                features = photos.features(index, term.photo, region=term.region)
                vector = parts.stored(features[None], transforms)[0][0]
            rows.append(f"SELECT %s::halfvec({index.dimensions})")
            values.append(HalfVector(vector * weights * np.float32(term.weight)))
    added = " UNION ALL ".join(rows)
    return Target(
        vector=f"(SELECT sum(term.v)::halfvec({index.dimensions}) FROM ({added}) term(v))",
        parameters=tuple(values),
        without=without,
    )


def _words(features: Vector, transforms: Sequence[parts.Transform]) -> Vector:
    """Return `[unit(P unit(x)) | ...] / sqrt(parts)` for raw `features` of words, float32 [d].

    They are not centred: words and pictures of one encoder lie apart, and from the pictures' mean all words lie in one
    direction (Liang et al. 2022 on the modality gap).
    """
    pieces = parts.split(features[None], [len(transform.mean) for transform in transforms])
    asked = [parts.unit(t.uncentred(piece))[0][0] for t, piece in zip(transforms, pieces, strict=True)]
    return np.hstack(asked) / np.sqrt(np.float32(len(transforms)))


def _photo(index: SearchIndex, features: Vector, shares: Sequence[float], without: tuple[Any, ...]) -> Target:
    """Return the target for a photo of raw `features`, float32 [sum(d)].

    The photo isn't centred, since nobody knows the mean of photos yet, and the rows are. With q the photo's part and c
    a row's picture, `q . c = q . m + n (q . part)`, n the length of the centred part: so the uncentred cosine can be
    had exactly, and the nearest few hundred are put into its order.
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
        # On the catalogue's mean, as the calibration has it: what later photos teach moves no tier.
        compared=f"%s::halfvec({index.dimensions})",
        compared_parameters=(HalfVector(parts.stored(features[None], transforms)[0][0]),),
    )
