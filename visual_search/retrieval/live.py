"""The index that answers, kept in the process and checked by every search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist

from visual_search import conf
from visual_search.exceptions import VisualSearchError
from visual_search.models import SearchIndex

Result = TypeVar("Result")

_kept: SearchIndex | None = None


class Changed(Exception):
    """Another index is live now."""


def answering(search: Callable[[SearchIndex], Result]) -> Result | None:
    """Call `search` with the live index, or return None where there is none.

    The index is not asked for each time: `search` compares it with what is live in its own round trip, raises `Changed`
    where that differs, and is called again. So an answer is of one index, and of one that was live when it was asked.
    """
    global _kept
    for _ in range(3):
        kept = _kept
        index = kept or _load()
        if index is None:
            return None
        try:
            return search(index)
        except Changed:
            _kept = None
        except (ObjectDoesNotExist, VisualSearchError):
            # A query meets the index's parts, arrays and encoder before any round trip: they may be a former one's.
            if kept is None:
                raise
            current = _load()
            if current is not None and current.pk == kept.pk:
                raise
    index = _load()
    return None if index is None else search(index)


def _load() -> SearchIndex | None:
    global _kept
    _kept = SearchIndex.objects.using(conf.settings.DATABASE).live()
    return _kept
