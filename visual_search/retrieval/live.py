"""The index that answers, kept in the process and checked by every search."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import Error

from visual_search import conf
from visual_search.models import SearchIndex

Result = TypeVar("Result")

SECONDS = 60.0
"""How long the index is kept without being read again: what else its row says, its calibration, may be new by then."""

_kept: SearchIndex | None = None
_until = 0.0


class Changed(Exception):
    """Another index is live now."""


def answering(search: Callable[[SearchIndex], Result]) -> Result | None:
    """Call `search` with the live index, or return None where there is none.

    The index is not asked for each time: `search` compares it with what is live in its own round trip, raises `Changed`
    where that differs, and is called again. So an answer is of one index, and of one that was live when it was asked.
    """
    for _ in range(3):
        kept = _kept if time.monotonic() < _until else None
        index = kept or _load()
        if index is None:
            return None
        try:
            return search(index)
        except Changed:
            keep(None)
        except Exception as error:
            # A query meets the index's parts, arrays and encoder before any round trip: they may be a former one's, and
            # an encoder of the shop's own fails with what it likes. After a database's error nothing can be asked.
            if kept is None or isinstance(error, Error):
                raise
            current = _load()
            if current is not None and current.pk == kept.pk:
                raise
    index = _load()
    return None if index is None else search(index)


def keep(index: SearchIndex | None) -> SearchIndex | None:
    """Have this process take `index` for the live one until a search finds out better; return it."""
    global _kept, _until
    _kept, _until = index, time.monotonic() + SECONDS
    return index


def _load() -> SearchIndex | None:
    return keep(SearchIndex.objects.using(conf.settings.DATABASE).live())
