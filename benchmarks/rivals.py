"""Other engines over the same vectors, in this process: what a search costs where it need not be transactional.

Each takes the vectors (float32 [n, d]) and returns a function from a row number to the numbers of the nearest rows, the
row's own among them. One that is not installed is left out: `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Vectors = np.ndarray[Any, Any]
Search = Callable[[int], list[int]]

M, EF_CONSTRUCTION, EF = 16, 64, 100
LOADED_AT_ONCE = 1_000


def installed(*, servers: bool) -> Iterator[tuple[str, Callable[[Vectors, int, Path], Search]]]:
    """Yield the name and the builder of each engine that is here; those that keep a store of their own on request."""
    engines = {"faiss": ("faiss HNSW", faiss_hnsw), "hnswlib": ("hnswlib", hnswlib_hnsw)}
    if servers:
        engines |= {"qdrant_client": ("qdrant-client, local", qdrant), "milvus_lite": ("milvus-lite", milvus)}
    for module, engine in engines.items():
        if importlib.util.find_spec(module) is None:
            print(f"{engine[0]}: not installed, left out")
        else:
            yield engine


def faiss_hnsw(vectors: Vectors, neighbours: int, folder: Path) -> Search:
    import faiss

    graph = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = EF_CONSTRUCTION, EF
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    graph.add(vectors)
    faiss.omp_set_num_threads(1)
    return lambda row: graph.search(vectors[row : row + 1], neighbours + 1)[1][0].tolist()


def hnswlib_hnsw(vectors: Vectors, neighbours: int, folder: Path) -> Search:
    import hnswlib

    space = hnswlib.Index(space="ip", dim=vectors.shape[1])
    space.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION)
    space.add_items(vectors)
    space.set_ef(EF)
    space.set_num_threads(1)
    return lambda row: space.knn_query(vectors[row], neighbours + 1)[0][0].tolist()


def qdrant(vectors: Vectors, neighbours: int, folder: Path) -> Search:
    """Its local mode, which computes every distance."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection(
        "pictures", vectors_config=models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
    )
    client.upload_collection("pictures", vectors=vectors, ids=range(len(vectors)), batch_size=LOADED_AT_ONCE)

    def search(row: int) -> list[int]:
        found = client.query_points("pictures", query=vectors[row], limit=neighbours + 1).points
        return [int(point.id) for point in found]

    return search


def milvus(vectors: Vectors, neighbours: int, folder: Path) -> Search:
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(str(folder / "milvus.db"))
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": M, "efConstruction": EF_CONSTRUCTION})
    client.create_collection("pictures", schema=schema, index_params=indexes)
    for start in range(0, len(vectors), LOADED_AT_ONCE):
        batch = vectors[start : start + LOADED_AT_ONCE]
        client.insert("pictures", [{"id": start + i, "vector": row.tolist()} for i, row in enumerate(batch)])
    client.flush("pictures")
    client.load_collection("pictures")

    def search(row: int) -> list[int]:
        (found,) = client.search(
            "pictures", [vectors[row].tolist()], limit=neighbours + 1, search_params={"params": {"ef": EF}}
        )
        return [int(hit["id"]) for hit in found]

    return search
