"""The nearest pictures to a target, in one SQL statement, and the best picture of each product."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visual_search import conf
from visual_search.indexing.generations import hnsw
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import statement
from visual_search.retrieval.targets import Target

EXACT_CANDIDATES = 10_000
"""Candidates up to which sorting all of them beats HNSW (about 4 us each), and is never wrong."""

SORTABLE = 30_000
"""Candidates up to which all are sorted where HNSW doesn't meet them on its way, as long as they are a SMALL share.

So it is with what has nothing to do with the target: of 20,000 products of another category among a million HNSW found
43 % of the nearest, in 53 ms.
"""

SMALL = 0.05

ON_ITS_WAY = 0.5
"""Share of the tuples that a random filter would let HNSW visit, within which it has to find them."""

MOST_EXACT = 100_000
"""Candidates up to which a page that HNSW left short is filled by sorting all of them."""

OVERSAMPLE = 4
"""Pictures fetched a result: several of them may belong to one product."""

RERANKED = 400
"""Nearest pictures that a photo query puts into the uncentred order."""

MOST_EF_SEARCH = 1_000

LARGE = 100_000
"""Vectors above which a target that is `askew` gets a wider beam."""

ASKEW = 3
"""How many times wider. Of 130 among 1,000,000 products that were asked for by shape alone, 5 found none of the ten
nearest with `ef_search` at 100, 1 at 200, none at 300; of another 110 it was 5 and 1 at 100 and 300. The way through a
graph of shape and colour had led elsewhere. Among 100,000 all were found at 100.
"""

FILTERED = 1.25
"""How many times as many pictures HNSW brings under a filter from more than LARGE vectors, where the graph's links lead
past most of what passes: of the ten nearest among a tenth of 1,000,000 it found 97.8 % without, 98.15 % with it.
"""

SCATTERED = 0.5
"""Share of all vectors below which those that pass a filter are so scattered."""

SCANNED = 20_000
"""Least tuples that one HNSW scan may visit (pgvector's default); more where the index is large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A product, the picture (or `region` of it) that is nearest, and how similar in the index's metric: at most 1.

    Both are None for a product that only its words have found, where it can't be compared. `cosines` are those of the
    parts, which no weight moves; none where the target doesn't say what to compare with.
    """

    product: Any
    image_key: str | None = None
    region: tuple[float, ...] = ()
    similarity: float | None = None
    cosines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way in which the page was asked for: sorting all candidates or HNSW, and how many pictures it brought."""

    exact: bool
    width: int
    pictures: int
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a page was found: about how many pictures pass the filter, and what was tried.

    Where asked for, `explained` is Postgres's plan of the last attempt, as EXPLAIN (ANALYZE, FORMAT JSON) gives it, and
    `scanned` how many rows of pictures it read for that, those that the filter then refused among them. Postgres 18
    prints rows a loop with two decimals (older ones with none), so `scanned` is right to 0.005 rows for each loop.
    """

    candidates: int
    attempts: tuple[Attempt, ...]
    explained: Any = None
    scanned: int | None = None


def products(
    index: SearchIndex,
    target: Target,
    *,
    gate: gates.Gate,
    limit: int,
    explain: bool = False,
    live_only: bool = True,
) -> tuple[list[Match], Plan]:
    """Return up to `limit` products that pass `gate`, nearest first, each with its best picture, and how.

    A page is full wherever there are candidates enough: one that is left short is asked for again, exactly where they
    can be sorted, else four times wider and then exactly. Raises `live.Changed` where `index` isn't the live one,
    unless not `live_only`.
    """
    if gate.empty:
        return [], Plan(candidates=0, attempts=())
    matches: list[Match] = []
    attempts: list[Attempt] = []
    candidates = gates.estimate(index.pk, gate)
    for exact, width, most in _ways(index, candidates, limit, reranked=bool(target.score)):
        matches, attempt = ask(
            index, target, gate=gate, limit=limit, exact=exact, width=width, most_scanned=most, live_only=live_only
        )
        attempts.append(attempt)
        short = attempt.pictures < width
        if (exact and short) or (len(matches) == limit and not (most and short)):
            break
    explained = None
    if explain:
        sql, parameters, settings = _asked(
            index, target, gate=gate, limit=limit, exact=exact, width=width, most_scanned=most
        )
        found = statement.run(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters, settings=settings)
        explained = json.loads(found[0][0]) if isinstance(found[0][0], str | bytes) else found[0][0]
    scanned = None if explained is None else _scanned(explained[0]["Plan"])
    return matches, Plan(candidates=candidates, attempts=tuple(attempts), explained=explained, scanned=scanned)


def ask(
    index: SearchIndex,
    target: Target,
    *,
    gate: gates.Gate,
    limit: int,
    exact: bool,
    width: int,
    most_scanned: int | None = None,
    live_only: bool = True,
) -> tuple[list[Match], Attempt]:
    """Return up to `limit` products among the `width` nearest pictures, found in the one way or the other.

    HNSW visits about `most_scanned` tuples, by default what `settings_for` says.
    """
    started = time.perf_counter()
    sql, parameters, settings = _asked(
        index, target, gate=gate, limit=limit, exact=exact, width=width, most_scanned=most_scanned
    )
    rows = statement.of_live(index, sql, parameters, settings=settings, live_only=live_only)
    # A product without a vector has no distance to anything, and terms that add up to nothing no direction.
    matches = [
        Match(
            product=product,
            image_key=image_key,
            similarity=min(similarity, 1.0),
            cosines=tuple(cosines),
            region=tuple(region),
        )
        for _, _, product, image_key, region, similarity, cosines in rows
        if similarity is not None and not math.isnan(similarity)
    ]
    milliseconds = (time.perf_counter() - started) * 1000
    return matches, Attempt(exact=exact, width=width, pictures=rows[0][1] if rows else 0, milliseconds=milliseconds)


def _asked(
    index: SearchIndex,
    target: Target,
    *,
    gate: gates.Gate,
    limit: int,
    exact: bool,
    width: int,
    most_scanned: int | None,
) -> tuple[str, list[Any], dict[str, str]]:
    """Return a statement with its parameters, and the settings that it doesn't make itself."""
    within, around = {}, settings_for(width, beam=1 if exact else beam(index, target))
    if most_scanned:
        around["hnsw.max_scan_tuples"] = str(min(int(around["hnsw.max_scan_tuples"]), most_scanned))
    if statement.alone():
        # Sorting all of them asks nothing of HNSW.
        within, around = {} if exact else around, {}
    sql, parameters = statement_for(index, target, gate=gate, limit=limit, exact=exact, width=width, settings=within)
    return sql, parameters, around


def _scanned(node: Mapping[str, Any]) -> int:
    """Return how many rows of pictures the scans at and below `node` of Postgres's plan read."""
    rows = sum(_scanned(child) for child in node.get("Plans", ()))
    if (node.get("Relation Name"), node.get("Alias")) == (ProductEmbedding._meta.db_table, "embedding"):
        # Both figures are the average of the node's loops, rounded.
        rows += round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
    return rows


def _ways(index: SearchIndex, candidates: int, limit: int, *, reranked: bool) -> Iterator[tuple[bool, int, int | None]]:
    """Yield ways to ask, the cheapest first: exactly or not, for how many pictures, and how far HNSW may go at most."""
    # A picture comes with the things on it.
    width = max(limit * OVERSAMPLE, RERANKED if reranked else 0) * (1 + index.regions)
    share = 1.0 if candidates <= EXACT_CANDIDATES else candidates / max(gates.estimate(index.pk), candidates)
    if candidates <= EXACT_CANDIDATES:
        yield True, width, None
    elif candidates <= SORTABLE and share <= SMALL:
        # Twice as many, since it goes on through what it has visited when it may visit no more.
        yield False, 2 * width, math.ceil(ON_ITS_WAY * width / share)
        yield True, 2 * width, None
    else:
        scattered = share < SCATTERED and candidates / share > LARGE
        yield False, math.ceil(width * FILTERED) if scattered else width, None
        yield False, width * 4, None
    yield True, MOST_EXACT, None


def beam(index: SearchIndex, target: Target) -> int:
    """Return how many times wider than EF_SEARCH says HNSW has to look for `target`."""
    return ASKEW if target.askew and gates.estimate(index.pk) > LARGE else 1


def settings_for(width: int, *, beam: int = 1) -> dict[str, str]:
    """Return the settings of a search that is to bring `width` pictures, with a `beam` that many times as wide."""
    return {
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.ef_search": str(min(max(conf.settings.EF_SEARCH * beam, width), MOST_EF_SEARCH)),
        "hnsw.max_scan_tuples": str(max(SCANNED, 20 * width)),
    }


def statement_for(
    index: SearchIndex,
    target: Target,
    *,
    gate: gates.Gate,
    limit: int,
    exact: bool,
    width: int,
    settings: Mapping[str, str] | None = None,
) -> tuple[str, list[Any]]:
    """Return the statement that finds the page, and its parameters; it makes `settings` where it stands alone."""
    asked = statement.configured(target.vector, settings or {})
    distance = f"(embedding.embedding::halfvec({index.dimensions}) {hnsw.operator(index)} {asked})"
    similarity = target.score or f"({hnsw.similarity(index, 'distance')}) * {target.scale!r}"
    # The tie-break and all grouping stay outside: a second key inside would turn the HNSW index off (immich#31299).
    sql = f"""
        WITH nearest AS MATERIALIZED (
            SELECT embedding.product_id, embedding.image_key, embedding.region, embedding.embedding,
                embedding.part_lengths,
                {distance}{" + 0" if exact else ""} AS distance
            FROM {ProductEmbedding._meta.db_table} embedding
            WHERE embedding.index_id = {index.pk:d} AND embedding.state = 'ready'
                AND embedding.product_id <> ALL(%s) AND {gate.sql}
            ORDER BY distance LIMIT {width:d}
        ), scored AS (
            SELECT product_id, image_key, region, embedding, nullif({similarity}, 'NaN') AS similarity FROM nearest
        ), best AS (
            SELECT DISTINCT ON (product_id) * FROM scored
            ORDER BY product_id, similarity DESC NULLS LAST, image_key, region
        ), page AS (
            SELECT * FROM best ORDER BY similarity DESC NULLS LAST, md5(product_id::text) LIMIT {limit:d}
        ), asked AS MATERIALIZED (SELECT {target.compared or "NULL"} AS embedding)
        SELECT {statement.LIVE}, (SELECT count(*) FROM nearest), product_id, image_key, region, similarity,
            {_cosines(index, target)}
        FROM page, asked ORDER BY similarity DESC NULLS LAST, md5(product_id::text)
    """
    values = [*target.parameters, list(target.without), *target.score_parameters]
    return sql, [*values, *target.compared_parameters]


def _cosines(index: SearchIndex, target: Target) -> str:
    """Return SQL for the cosines of the parts between `page` and `asked`, computed for what is shown alone."""
    found, start = [], 1
    for part in index.parts if target.compared else ():
        pair = [f"{name}.embedding::halfvec({index.dimensions})" for name in ("page", "asked")]
        if len(index.parts) > 1:
            pair = [f"subvector({vector}, {start:d}, {part['dimensions']:d})" for vector in pair]
        found.append(f"1 - ({pair[0]} <=> {pair[1]})")
        start += part["dimensions"]
    return f"ARRAY[{', '.join(found)}]::float8[]"
