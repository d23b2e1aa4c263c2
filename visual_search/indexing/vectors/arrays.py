"""The frozen arrays of an index, kept in the process that uses them."""

from __future__ import annotations

from functools import lru_cache

from visual_search import conf
from visual_search.encoders import parts
from visual_search.models import IndexArrays


@lru_cache(maxsize=8)
def transforms(index: int) -> tuple[parts.Transform, ...]:
    """Return the transforms of `index`, one a part. They are frozen by the fit, so they are read once."""
    stored = IndexArrays.objects.using(conf.settings.DATABASE).get(index_id=index)
    return tuple(parts.load(bytes(stored.transforms)))
