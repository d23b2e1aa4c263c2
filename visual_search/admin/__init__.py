"""Visual search in the admin: embeddings, indexes, and the pages for reindexing and analytics."""

from __future__ import annotations

from visual_search.admin import embeddings, indexes

__all__ = ["embeddings", "indexes"]
