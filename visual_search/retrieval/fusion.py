"""One page from several rankings: what looks like it, and what is called so."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visual_search.models import SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, statement, targets, words
from visual_search.retrieval.query import Query

CONSTANT = 60
"""k of reciprocal rank fusion, as its authors chose it."""

FUSED = 100
"""Least products of each ranking that are fused: the page's order must not depend on its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Products in rank order, how relevant each is (at most 1), and how the nearest ones were found, or None.

    `some_words` says that nothing has all of the words that were asked with alone, and these have some of them.
    `photos` are the raw features of the photos that were asked with.
    """

    matches: list[nearest.Match]
    relevance: Mapping[Any, float]
    plan: nearest.Plan | None
    some_words: bool = False
    photos: tuple[targets.Vector, ...] = field(default=(), repr=False)


def target(index: SearchIndex | None, query: Query) -> targets.Target | None:
    """Return the target of what `query` asks with that has a vector in `index`, or None; raise as `targets.of` does."""
    return None if index is None or not targets.terms(index, query) else targets.of(index, query)


def products(
    index: SearchIndex | None,
    query: Query,
    *,
    gate: gates.Gate,
    target: targets.Target | None,
    limit: int,
    explain: bool = False,
) -> Found:
    """Return up to `limit` products for `query`: the nearest ones, fused with those that match its words or mean them.

    Where it asks with nothing but words and finds nothing, products that have some of them come. Without an `index`
    there are words only. `target` is that of `query`, which costs the encoder a photo each time that it is made. Raises
    `live.Changed`.
    """
    seen = [] if index is None or target is None else targets.terms(index, query)
    said = [term for term in query.terms if term.words is not None and term.weight > 0]
    plan: nearest.Plan | None = None
    if index is not None and target is not None and not said:
        matches, plan = nearest.products(index, target, gate=gate, limit=limit, explain=explain)
        relevance = {match.product: match.similarity or 0.0 for match in matches}
        return Found(matches=matches, relevance=relevance, plan=plan, photos=target.photos)
    depth = max(limit, FUSED)

    def ranked(find: Callable[..., list[Any]]) -> list[tuple[float, list[Any]]]:
        return [(term.weight, find(index, term.words, gate=gate, without=query.without, limit=depth)) for term in said]

    rankings = ranked(words.products) + [(weight, keys) for weight, keys in ranked(words.alike) if keys]
    some_words = not seen and not any(keys for _, keys in rankings)
    if some_words:
        rankings = ranked(words.some)
    near: dict[Any, nearest.Match] = {}
    photos: tuple[targets.Vector, ...] = ()
    if index is not None and target is not None:
        photos = target.photos
        if any(term.weight > 0 for term in seen):
            matches, plan = nearest.products(index, target, gate=gate, limit=depth, explain=explain)
            near = {match.product: match for match in matches}
        others = list(dict.fromkeys(key for _, keys in rankings for key in keys if key not in near))
        measured = _measured(index, target, gate, others)
        if not near:
            # It only looks away: that orders what the words found, and finds nothing by itself.
            near = measured
        rankings.append((max(abs(term.weight) for term in seen), list(near)))
        near = measured | near
    scores = reciprocal_ranks(rankings)
    best = sum(weight for weight, _ in rankings) / (CONSTANT + 1)
    return Found(
        matches=[near.get(key) or nearest.Match(product=key) for key in in_order(scores)[:limit]],
        relevance={key: score / best for key, score in scores.items()},
        plan=plan,
        some_words=some_words,
        photos=photos,
    )


def reciprocal_ranks(rankings: Sequence[tuple[float, Sequence[Any]]]) -> dict[Any, float]:
    """Return the score of each key in `rankings`, (weight, keys in rank order): `sum weight / (60 + rank)`.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): ranks can be added where scores mean different things.
    In [a, b] and [b, c], both of weight 1, b has 1/62 + 1/61, a 1/61 and c 1/62.
    """
    scores: dict[Any, float] = defaultdict(float)
    for weight, keys in rankings:
        for rank, key in enumerate(keys, start=1):
            scores[key] += weight / (CONSTANT + rank)
    return dict(scores)


def in_order(scores: Mapping[Any, float]) -> list[Any]:
    """Return the keys of `scores`, the highest first; a tie is broken by a hash, so that no key is always first."""
    return sorted(scores, key=lambda key: (-scores[key], hashlib.md5(str(key).encode()).hexdigest()))


def _measured(
    index: SearchIndex, target: targets.Target, gate: gates.Gate, keys: Sequence[Any]
) -> dict[Any, nearest.Match]:
    """Return how near the products `keys` are, those that have a vector, the nearest first."""
    if not keys:
        return {}
    among = statement.literal(f"{gate.sql} AND embedding.product_id = ANY(%s)", [list(keys)])
    narrowed = dataclasses.replace(gate, sql=among)
    found, _ = nearest.ask(index, target, gate=narrowed, limit=len(keys), exact=True, width=nearest.MOST_EXACT)
    return {match.product: match for match in found}
