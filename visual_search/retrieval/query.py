"""A question, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models

from visual_search.exceptions import InvalidQuery

MOST_RESULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for, among what, and how many.

    Exactly one of `product` (a key) and `photo` (bytes, a binary file, or a PIL image) is given. `queryset` narrows the
    products that the catalog shows to `request`; it never widens them. Raises InvalidQuery.
    """

    product: Any = None
    photo: Any = None
    queryset: models.QuerySet[Any] | None = None
    request: Any = None
    limit: int = 12

    def __post_init__(self) -> None:
        if (self.product is None) == (self.photo is None):
            raise InvalidQuery("Ask with a product or with a photo, and with one of them only.")
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or not 1 <= self.limit <= MOST_RESULTS:
            raise InvalidQuery(f"limit is {self.limit!r}; give a number from 1 to {MOST_RESULTS}.")
        if self.queryset is not None and (self.queryset.query.is_sliced or self.queryset.query.combinator):
            raise InvalidQuery("The queryset is sliced or combined; give a plain filtered one, and limit=... instead.")

    @property
    def kind(self) -> str:
        """Return what kind of search this is, as the analytics count it."""
        return "similar" if self.photo is None else "photo"
