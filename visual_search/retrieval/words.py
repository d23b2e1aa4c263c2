"""Products by what is said of them: its words, and what they mean, through the same gate as everything else."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from django.db import connections
from pgvector import HalfVector

from visual_search import conf
from visual_search.exceptions import InvalidQuery
from visual_search.indexing.sources import texts
from visual_search.indexing.vectors import meanings
from visual_search.models import ProductText, SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, statement
from visual_search.retrieval.query import Query

logger = logging.getLogger("visual_search.retrieval")

_SETTINGS = {"jit": "off"}
"""Compiling a statement of some milliseconds takes longer than it."""

LEAST_ALIKE = 0.3
"""Cosine below which a text has nothing to do with the words. Of 361 real products, none came to it (0.29) in 15
searches for what these shops don't sell; with the name of a category, which is part of these texts, nine products in
ten of it did, in 55 of 56 categories."""

_SPELT_OUT = re.compile(r'"|(?:^|[\s!&|()])-')
"""A quoted phrase, or a word that must not be there: what means about the same would break that promise."""

MOST_COMPARED, MOST_WITH_SOME = 50_000, 10_000
"""Products with all of the words that are ranked, and with some of them: common words may be in most of the shop.

Of 1,000,000 products 820,000 with a word took 1.1 s to rank.
"""

_EVERY = """
    websearch_to_tsquery(%s::regconfig, %s) every,
    LATERAL (SELECT regexp_replace(querytree(every), ' (&|<->|<[0-9]+>) ', ' | ', 'g')::tsquery AS any_word) relaxed"""
"""What has all of the words matches `every`, what has one of them `any_word`; what must not be there is in neither."""

_SOME = f"""{_EVERY},
    LATERAL (SELECT regexp_split_to_array(regexp_replace(querytree(every), '[(] | [)]', '', 'g'), ' [&|] ') AS parts)
        apart"""
"""`parts` are the words by themselves, as text; those that a hyphen joins stay together."""

_BY_LENGTH = 1
"""Normalisation of `ts_rank`: divided by 1 + log(length), so that a long description doesn't win by its length."""


def expect_searchable(query: Query) -> None:
    """Raise InvalidQuery (`words_unsearchable`) for words of which Postgres keeps none to look for."""
    asked = [term.words for term in query.terms if term.words is not None]
    if not asked:
        return
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT words FROM unnest(%s::text[]) words"
            " WHERE querytree(websearch_to_tsquery(%s::regconfig, words)) IN ('', 'T') LIMIT 1",
            [asked, texts.config()],
        )
        found = cursor.fetchone()
    if found is not None:
        raise InvalidQuery(
            f"There is nothing to look for in {found[0]!r:.60}: name a thing or how it is, as in 'red dress'. What "
            "must not be there goes into words of its own with a negative weight.",
            code="words_unsearchable",
        )


def alike(index: SearchIndex | None, words: str, *, gate: gates.Gate, without: Sequence[Any], limit: int) -> list[Any]:
    """Return the keys of up to `limit` products that pass `gate` and mean about what `words` do, the nearest first.

    Nothing without TEXT_ENCODER, where it fails (logged), and for words that spell out what has to be there. Raises
    `live.Changed` where `index` isn't the live one.
    """
    if gate.empty or _SPELT_OUT.search(words):
        return []
    try:
        encoder = meanings.encoder()
        vector = HalfVector(encoder.encode_text([words])[0]) if encoder else None
    except Exception:
        logger.warning(meanings.FAILED, exc_info=True)
        return []
    if encoder is None:
        return []
    sql = f"""
        WITH alike AS MATERIALIZED (
            SELECT said.product_id, said.embedding <=> %s AS distance
            FROM {ProductText._meta.db_table} said
            WHERE said.fingerprint = %s AND said.product_id <> ALL(%s) AND {gate.on("said.product_id")}
            ORDER BY said.embedding <=> %s LIMIT {limit:d}
        )
        SELECT {statement.LIVE}, product_id FROM alike
        WHERE distance <= {1 - LEAST_ALIKE} ORDER BY distance, md5(product_id::text)
    """
    parameters = [vector, encoder.fingerprint, list(without), vector]
    settings = nearest.settings_for(limit) | _SETTINGS
    return [product for _, product in statement.of_live(index, sql, parameters, settings=settings)]


def products(
    index: SearchIndex | None, words: str, *, gate: gates.Gate, without: Sequence[Any], limit: int
) -> list[Any]:
    """Return the keys of up to `limit` products that pass `gate` and match `words`, the best first.

    Each of the words has to be there, a "quoted phrase" as it stands, a word after - not (`websearch_to_tsquery`). A
    match is worth the sum over the words of how often and where it has them (`ts_rank` of any of them): one in the
    title counts ten times as much as one in the text. By nearness to each other (`ts_rank_cd`) boots "dressed up in
    red" were a better "red dress" than a dress that is said to be red. Of more than MOST_COMPARED any of them are
    compared. Raises `live.Changed` where `index` isn't the live one.
    """
    if gate.empty:
        return []
    sql = f"""
        WITH found AS MATERIALIZED (
            SELECT said.product_id, said.vector, any_word
            FROM {ProductText._meta.db_table} said, {_EVERY}
            WHERE said.vector @@ every AND said.product_id <> ALL(%s) AND {gate.on("said.product_id")}
            LIMIT {MOST_COMPARED:d}
        )
        SELECT {statement.LIVE}, product_id FROM found
        ORDER BY ts_rank(vector, any_word, {_BY_LENGTH}) DESC, md5(product_id::text) LIMIT {limit:d}
    """
    parameters = [texts.config(), words, list(without)]
    return [product for _, product in statement.of_live(index, sql, parameters, settings=_SETTINGS)]


def some(index: SearchIndex | None, words: str, *, gate: gates.Gate, without: Sequence[Any], limit: int) -> list[Any]:
    """Return the keys of up to `limit` products that pass `gate` and have one of `words` at least, the best first.

    Those with more of the words come first, then the order of `products`; of more than MOST_WITH_SOME any of them are
    compared. Nothing for words that spell out what has to be there, and for a single one. Raises
    `live.Changed` where `index` isn't the live one.
    """
    if gate.empty or _SPELT_OUT.search(words):
        return []
    sql = f"""
        WITH found AS MATERIALIZED (
            SELECT said.product_id, said.vector, parts::tsquery[], any_word
            FROM {ProductText._meta.db_table} said, {_SOME}
            WHERE said.vector @@ array_to_string(parts, ' | ')::tsquery AND cardinality(parts) > 1
                AND said.product_id <> ALL(%s) AND {gate.on("said.product_id")}
            LIMIT {MOST_WITH_SOME:d}
        )
        SELECT {statement.LIVE}, product_id FROM found
        ORDER BY (SELECT count(*) FROM unnest(parts) part WHERE vector @@ part) DESC,
            ts_rank(vector, any_word, {_BY_LENGTH}) DESC, md5(product_id::text) LIMIT {limit:d}
    """
    parameters = [texts.config(), words, list(without)]
    return [product for _, product in statement.of_live(index, sql, parameters, settings=_SETTINGS)]
