"""Tables of visual search."""

from __future__ import annotations

from visual_search.models.embeddings import ProductEmbedding
from visual_search.models.events import ResultEvent, SearchEvent
from visual_search.models.indexes import FitSample, IndexArrays, PhotoMean, SearchIndex
from visual_search.models.queue import ProductChange, QueuedProduct, Refill
from visual_search.models.texts import ProductText

__all__ = [
    "FitSample",
    "IndexArrays",
    "PhotoMean",
    "ProductChange",
    "ProductEmbedding",
    "ProductText",
    "QueuedProduct",
    "Refill",
    "ResultEvent",
    "SearchEvent",
    "SearchIndex",
]
