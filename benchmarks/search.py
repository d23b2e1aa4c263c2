"""How long a search takes and what it misses, from Python and from bare SQL, with filters, beside in-process libraries.

    python benchmarks/search.py [--rows 100000 1000000] [--quick] [--check]

Vectors are clustered unit parts of 256 and 245 dimensions from a fixed seed, one a product; truth is the same SQL in
its exact form. In one run, on one machine: (a) our Python API, for keys and for hydrated products; (b) the same SQL by
bare psycopg; (c) faiss and hnswlib, in process, where they are installed. `--quick` is 20,000 vectors of 256
dimensions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DEMO_DIR", str(ROOT / ".bench"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")

CATEGORIES = 50
NEIGHBOURS = 10
LOADED_AT_ONCE = 20_000
WARM_UP = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Latencies in ms, the share of the 10 nearest that were found, and the share of pages that were full."""

    p50: float
    p99: float
    recall: float
    full: float


def main() -> int:
    options = arguments()
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    missed: list[str] = []
    try:
        call_command("migrate", verbosity=0)
        for rows in [20_000] if options.quick else options.rows:
            missed += measure(rows, dimensions=(256,) if options.quick else (256, 245), queries=options.queries)
    finally:
        if "DATABASE_URL" not in os.environ:
            from example_shop import embedded_postgres

            embedded_postgres.stop(settings.DATA_DIR / "postgres")
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed and options.check else 0


def measure(rows: int, *, dimensions: Sequence[int], queries: int) -> list[str]:
    from example_shop.catalogue.models import Product

    started = time.perf_counter()
    index, vectors, categories = load(rows, dimensions)
    print(f"\n{rows:,} vectors of {' + '.join(map(str, dimensions))}, loaded and indexed in {clock(started)}")
    keys = np.random.default_rng(1).choice(np.arange(1, rows + 1), size=queries, replace=False).tolist()
    filters: dict[str, Callable[[int], Any]] = {
        "no filter": lambda key: None,
        "10 %": lambda key: Product.objects.filter(stock__lt=100),
        "1 %": lambda key: Product.objects.filter(stock__lt=10),
        "0.1 %": lambda key: Product.objects.filter(stock__lt=1),
        "own category": lambda key: Product.objects.filter(category_id=categories[key - 1] + 1),
    }
    missed = []
    print(f"{'':24}{'p50 ms':>9}{'p99 ms':>9}{'recall':>9}{'full':>7}{'exact':>7}{'(a)/(b)':>9}")
    for name, narrowed in filters.items():
        missed += compare(rows, name, index, keys, narrowed)
    for name, library in libraries(vectors):
        times, _ = timed(library, [key - 1 for key in keys])
        print(f"{name:24}{statistics.median(times):9.2f}{percentile(times):9.2f}")
    return missed


def compare(rows: int, name: str, index: Any, keys: Sequence[int], narrowed: Callable[[int], Any]) -> list[str]:
    """Print the row of one filter, and return the goals that it misses."""
    from visual_search.retrieval import gate, nearest, targets
    from visual_search.retrieval.public import similar_to
    from visual_search.retrieval.query import Query

    queries = {key: Query(product=key, limit=NEIGHBOURS, queryset=narrowed(key)) for key in keys}

    def matched(key: int) -> Any:
        query = queries[key]
        return nearest.products(index, targets.of(index, query), gate=gate.of(query), limit=NEIGHBOURS)

    for key in keys[:WARM_UP]:
        matched(key)
    times, answers = timed(matched, keys)
    found = {key: [match.product for match in answer[0]] for key, answer in zip(keys, answers, strict=True)}
    exact = all(answer[1].attempts[-1].exact for answer in answers)
    bare_times = bare(index, queries, {key: answer[1] for key, answer in zip(keys, answers, strict=True)})
    hydrated, _ = timed(lambda key: similar_to(key, NEIGHBOURS, narrowed(key)), keys)
    right = truth(index, queries)
    recall = np.mean([len(set(found[key]) & set(right[key])) / max(len(right[key]), 1) for key in keys])
    full = np.mean([len(found[key]) == len(right[key]) for key in keys])
    way = "yes" if exact else "no"
    ours, theirs, products = statistics.median(times), statistics.median(bare_times), statistics.median(hydrated)
    print(f"{name:24}{ours:9.2f}{percentile(times):9.2f}{recall:9.3f}{full:7.0%}{way:>7}{ours / theirs:9.2f}")
    print(f"{'  with products':24}{products:9.2f}{percentile(hydrated):9.2f}{'':23}{products / theirs:9.2f}")
    goals = {
        f"{name}: (a)/(b) for keys <= 1.5": ours / theirs <= 1.5,
        f"{name}: (a)/(b) for products <= 3": products / theirs <= 3,
        f"{name}: recall@10 >= 0.98": recall >= 0.98,
        f"{name}: full pages": full == 1,
    }
    limits = {"10 %": 25, "0.1 %": 25, "1 %": 60}
    if rows >= 1_000_000 and name in limits:
        goals[f"{name}: p50 <= {limits[name]} ms at {rows:,}"] = ours <= limits[name]
    return [goal for goal, reached in goals.items() if not reached]


def bare(index: Any, queries: dict[int, Any], plans: dict[int, Any]) -> list[float]:
    """Return the times of the same statements on a plain psycopg connection with the settings made once."""
    import psycopg
    from django.db import connection
    from pgvector.psycopg import register_vector

    from visual_search.retrieval import gate, nearest, targets

    database = connection.settings_dict
    with psycopg.connect(
        host=database["HOST"], port=database["PORT"], user=database["USER"], dbname=database["NAME"], autocommit=True
    ) as plain:
        register_vector(plain)
        cursor = plain.cursor(binary=True)
        for name, value in nearest.settings_for(NEIGHBOURS * nearest.OVERSAMPLE).items():
            cursor.execute(f"SET {name} = '{value}'")
        statements = []
        for key, query in queries.items():
            last = plans[key].attempts[-1]
            way = {"limit": NEIGHBOURS, "exact": last.exact, "width": last.width}
            statements.append(nearest.statement_for(index, targets.of(index, query), gate=gate.of(query), **way))
        for sql, parameters in statements[:WARM_UP]:
            cursor.execute(sql, parameters).fetchall()
        return timed(lambda statement: cursor.execute(*statement).fetchall(), statements)[0]


def truth(index: Any, queries: dict[int, Any]) -> dict[int, list[int]]:
    from visual_search.retrieval import gate, nearest, targets

    right = {}
    width = NEIGHBOURS * nearest.OVERSAMPLE
    for key, query in queries.items():
        target = targets.of(index, query)
        found, _ = nearest.ask(index, target, gate=gate.of(query), limit=NEIGHBOURS, exact=True, width=width)
        right[key] = [match.product for match in found]
    return right


def libraries(vectors: np.ndarray[Any, Any]) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Yield in-process indexes over the same vectors, m = 16, ef_construction = 64, ef = 100, where installed."""
    full = vectors.astype(np.float32)
    try:
        import faiss

        faiss.omp_set_num_threads(1)
        graph = faiss.IndexHNSWFlat(full.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 64, 100
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        graph.add(full)
        faiss.omp_set_num_threads(1)
        yield "faiss HNSW, in process", lambda row: graph.search(full[row : row + 1], NEIGHBOURS + 1)
    except ImportError:
        print("faiss is not installed (pip install faiss-cpu): left out")
    try:
        import hnswlib

        space = hnswlib.Index(space="ip", dim=full.shape[1])
        space.init_index(max_elements=len(full), M=16, ef_construction=64)
        space.add_items(full)
        space.set_ef(100)
        space.set_num_threads(1)
        yield "hnswlib, in process", lambda row: space.knn_query(full[row], NEIGHBOURS + 1)
    except ImportError:
        print("hnswlib is not installed (pip install hnswlib): left out")


def load(rows: int, dimensions: Sequence[int]) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Fill the shop's tables, in place of what was there, and return the live index, the vectors and the categories."""
    from django.db import connection
    from pgvector import HalfVector
    from pgvector.psycopg import register_vector

    from visual_search.indexing import hnsw
    from visual_search.models import SearchIndex

    random = np.random.default_rng(0)
    clusters = rows // 100
    cluster = random.integers(clusters, size=rows)
    categories = cluster % CATEGORIES
    vectors = np.hstack([unit_part(random, cluster, clusters, size) for size in dimensions])
    vectors /= np.float16(np.sqrt(len(dimensions)))
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
        raw = connection.connection
        register_vector(raw)
        names = ["encoder", "colour"][: len(dimensions)]
        index = SearchIndex.objects.create(
            encoders=["tiny"], state="live", fitted_on=rows, dimensions=sum(dimensions),
            parts=[
                {"name": n, "dimensions": d, "share": 1 / len(names)} for n, d in zip(names, dimensions, strict=True)
            ],
        )  # fmt: skip
        stock = random.permutation(rows) % 1000
        with raw.cursor().copy(
            "COPY catalogue_product (id, slug, name, description, category_id, brand, colour, price, stock, is_public,"
            " created_at) FROM STDIN"
        ) as copy:
            for number in range(rows):
                copy.write_row(
                    (
                        number + 1,
                        f"p{number}",
                        f"Product {number}",
                        "",
                        int(categories[number]) + 1,
                        "b",
                        "",
                        1,
                        int(stock[number]),
                        True,
                        "2026-01-01",
                    )
                )
        with raw.cursor().copy(
            "COPY visual_search_productembedding (index_id, product_id, image_key, position, state, error_code,"
            " error_message, source_name, source_sha256, part_lengths, embedding) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(
                [
                    "int8",
                    "int8",
                    "varchar",
                    "int2",
                    "varchar",
                    "varchar",
                    "text",
                    "varchar",
                    "varchar",
                    "float8[]",
                    "halfvec",
                ]
            )
            lengths = [1.0] * len(dimensions)
            for number in range(rows):
                copy.write_row(
                    (index.pk, number + 1, "a", 0, "ready", "", "", "", "", lengths, HalfVector(vectors[number]))
                )
        cursor.execute("ANALYZE catalogue_product")
    hnsw.build(index)
    return index, vectors, categories


def unit_part(
    random: np.random.Generator, cluster: np.ndarray[Any, Any], clusters: int, size: int
) -> np.ndarray[Any, Any]:
    centres = random.normal(size=(clusters, size)).astype(np.float32)
    part = np.empty((len(cluster), size), np.float16)
    for start in range(0, len(cluster), LOADED_AT_ONCE):
        chosen = centres[cluster[start : start + LOADED_AT_ONCE]]
        noisy = chosen + 0.7 * random.normal(size=chosen.shape).astype(np.float32)
        part[start : start + LOADED_AT_ONCE] = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    return part


def timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[float], list[Any]]:
    times, results = [], []
    for item in items:
        started = time.perf_counter()
        results.append(call(item))
        times.append((time.perf_counter() - started) * 1000)
    return times, results


def percentile(times: Sequence[float]) -> float:
    return float(np.percentile(times, 99))


def clock(started: float) -> str:
    return f"{time.perf_counter() - started:.0f} s"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="20,000 vectors of 256 dimensions, under a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
