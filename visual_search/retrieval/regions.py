"""Propose parts of a customer's photo to search with."""

from __future__ import annotations

from typing import Any

from django.views.decorators.debug import sensitive_variables

from visual_search import conf
from visual_search.encoders import regions
from visual_search.models import SearchIndex
from visual_search.retrieval import photos

MOST_PROPOSED = 4


@sensitive_variables()
def propose(photo: Any, *, limit: int = MOST_PROPOSED) -> list[regions.Region]:
    """Return up to `limit` parts of `photo` (bytes, a binary file, or a PIL image), the most prominent first.

    Each has a `box` for `Term(region=...)`. The first of the live index's encoders that has a feature map looks for
    them; empty where there is none, or nothing stands out. Raises BadImage and EncoderError.
    """
    index = SearchIndex.objects.using(conf.settings.DATABASE).live()
    for spec in index.encoders if index else ():
        encoder = regions.finder(spec, **conf.machine())
        if encoder is not None:
            return regions.find(encoder, photos.picture(photo, encoder.input_size), limit=limit)
    return []
