"""Tables of visual search."""

from __future__ import annotations

from visual_search.models.embeddings import ProductEmbedding
from visual_search.models.events import ResultEvent, SearchEvent
from visual_search.models.indexes import FitSample, IndexArrays, SearchIndex
from visual_search.models.queue import ProductChange, QueuedProduct

__all__ = [
    "FitSample",
    "IndexArrays",
    "ProductChange",
    "ProductEmbedding",
    "QueuedProduct",
    "ResultEvent",
    "SearchEvent",
    "SearchIndex",
]
