"""A catalogue of clustered unit vectors from a fixed seed, in the tables of the example shop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

Vectors = np.ndarray[Any, Any]

CATEGORIES = 50
PRODUCTS_A_CLUSTER = 100
NOISE = 0.7
STOCKS = 1_000
LOADED_AT_ONCE = 20_000
PARTS = ("encoder", "colour")


def load(rows: int, dimensions: Sequence[int]) -> Any:
    """Fill the shop's tables, in place of what was there, and return the live index; each product has one picture.

    Every part of every vector has length 1, weighed equally, as stored ones do. Stock is 0 to 999 at random, and a
    category holds whole clusters, so that a filter by stock is random to the query and one by category is not.
    """
    from django.db import connection

    from visual_search.indexing.generations import graphs, hnsw
    from visual_search.models import SearchIndex

    random = np.random.default_rng(0)
    clusters = max(rows // PRODUCTS_A_CLUSTER, 1)
    cluster = random.integers(clusters, size=rows)
    stock = random.permutation(rows) % STOCKS
    for old in SearchIndex.objects.all():
        hnsw.drop(old.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE visual_search_searchindex, catalogue_product, catalogue_category RESTART IDENTITY CASCADE"
        )
        cursor.execute(
            "INSERT INTO catalogue_category (name, slug)"
            " SELECT 'Category ' || n, 'c' || n FROM generate_series(1, %s) n",
            [CATEGORIES],
        )
    names = PARTS[: len(dimensions)]
    shares = [0.8, 0.2] if len(names) == 2 else [1.0]
    index = SearchIndex.objects.create(
        encoders=["tiny"],
        state="live",
        fitted_on=rows,
        dimensions=sum(dimensions),
        parts=[
            {"name": name, "dimensions": size, "share": share}
            for name, size, share in zip(names, dimensions, shares, strict=True)
        ],
    )
    _copy_products(cluster % CATEGORIES, stock)
    centres = [random.normal(size=(clusters, size)).astype(np.float32) for size in dimensions]
    for start in range(0, rows, LOADED_AT_ONCE):
        _copy_vectors(index, start, _vectors(random, centres, cluster[start : start + LOADED_AT_ONCE]))
    with connection.cursor() as cursor:
        # A shop that filters by stock has an index on it.
        cursor.execute("CREATE INDEX IF NOT EXISTS benchmark_stock ON catalogue_product (stock)")
        cursor.execute("ANALYZE catalogue_product")
    started = time.perf_counter()
    graphs.build(index)
    print(f"HNSW of {rows:,} vectors built in {time.perf_counter() - started:.0f} s", flush=True)
    return index


def stored(index: Any) -> tuple[list[Any], Vectors]:
    """Return the products of `index` and their vectors, float32 [n, d], in the order of the products."""
    from django.db import connection
    from pgvector.psycopg import register_vector

    connection.ensure_connection()
    raw = connection.connection
    register_vector(raw)
    keys: list[Any] = []
    pieces: list[Vectors] = []
    with raw.transaction(), raw.cursor("vectors", binary=True) as cursor:
        cursor.execute(
            "SELECT product_id, embedding::halfvec FROM visual_search_productembedding"
            " WHERE index_id = %s AND state = 'ready' ORDER BY product_id",
            [index.pk],
        )
        while batch := cursor.fetchmany(LOADED_AT_ONCE):
            keys += [row[0] for row in batch]
            pieces.append(np.array([row[1].to_numpy() for row in batch], np.float32))
    return keys, np.vstack(pieces)


def _vectors(random: np.random.Generator, centres: Sequence[Vectors], cluster: Vectors) -> Vectors:
    parts = []
    for each in centres:
        part = each[cluster] + NOISE * random.normal(size=(len(cluster), each.shape[1])).astype(np.float32)
        parts.append(part / np.linalg.norm(part, axis=1, keepdims=True))
    return np.hstack(parts) / np.float32(np.sqrt(len(parts)))


def _copy_products(category: Vectors, stock: Vectors) -> None:
    from django.db import connection

    with connection.cursor().cursor.copy(
        "COPY catalogue_product (id, slug, name, description, category_id, brand, colour, price, stock, is_public,"
        " created_at) FROM STDIN"
    ) as copy:
        for number, (kind, pieces) in enumerate(zip(category.tolist(), stock.tolist(), strict=True), start=1):
            row = (f"p{number}", f"Product {number}", "", kind + 1, "b", "", 1, pieces, True, "2026-01-01")
            copy.write_row((number, *row))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO catalogue_productimage (product_id, image, alt, position)"
            " SELECT id, 'products/' || id || '.jpg', '', 0 FROM catalogue_product"
        )
        cursor.execute("SELECT setval(pg_get_serial_sequence('catalogue_product', 'id'), %s)", [len(stock)])


def _copy_vectors(index: Any, start: int, vectors: Vectors) -> None:
    from django.db import connection
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    connection.ensure_connection()
    register_vector(connection.connection)
    lengths = [1.0] * len(index.parts)
    with connection.connection.cursor().copy(
        "COPY visual_search_productembedding (index_id, product_id, image_key, region, position, state,"
        " error_code, error_message, source_name, source_sha256, part_lengths, embedding) FROM STDIN (FORMAT BINARY)"
    ) as copy:
        texts = ["varchar", "varchar", "text", "varchar", "varchar"]
        copy.set_types(["int8", "int8", "varchar", "float8[]", "int2", *texts, "float8[]", "halfvec"])
        for number, vector in enumerate(vectors, start=start + 1):
            row = ("ready", "", "", "", "", lengths, HalfVector(vector))
            copy.write_row((index.pk, number, str(number), [], 0, *row))
