"""Visual search for any Django shop, inside its own Postgres.

Nothing is imported until it is asked for (PEP 562): `visual_search.images` and `visual_search.encoders` run
without Django, and a web process that never encodes never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visual_search.catalog import Catalog, ProductImage
    from visual_search.exceptions import VisualSearchError
    from visual_search.indexing.intake.changes import refresh
    from visual_search.retrieval.public import search, similar_to

__version__ = "0.1.0.dev0"

_HOMES = {
    "Catalog": "visual_search.catalog",
    "ProductImage": "visual_search.catalog",
    "VisualSearchError": "visual_search.exceptions",
    "refresh": "visual_search.indexing.intake.changes",
    "search": "visual_search.retrieval.public",
    "similar_to": "visual_search.retrieval.public",
}

__all__ = ["Catalog", "ProductImage", "VisualSearchError", "refresh", "search", "similar_to"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
