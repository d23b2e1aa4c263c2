"""A question, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from visual_search.exceptions import InvalidQuery

MOST_RESULTS = 100
MOST_TERMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing to look for, or with a negative `weight` to look away from.

    Exactly one of `product` (a key) and `photo` (bytes, a binary file, or a PIL image) is given. `region` is the part
    of the photo that counts: (left, top, right, bottom) as shares of its width and height, 0 to 1.
    """

    product: Any = None
    photo: Any = None
    region: tuple[float, float, float, float] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if (self.product is None) == (self.photo is None):
            raise InvalidQuery("Ask with a product or with a photo, and with one of them only.")
        if not -10 <= self.weight <= 10 or self.weight == 0:
            raise InvalidQuery(f"A weight is {self.weight!r}; give a number from -10 to 10 other than 0.")
        if self.region is not None:
            if self.photo is None:
                raise InvalidQuery("A region is part of a photo; this term has none.")
            left, top, right, bottom = self.region
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise InvalidQuery(
                    f"The region is {self.region!r}; give left, top, right and bottom from 0 to 1, in that order."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for, among what, and how many.

    `product` or `photo` asks with that one thing; `terms` with several, weighted. `queryset` narrows the products that
    the catalog shows to `request`; it never widens them. `exclude` are keys of products that must not come back; those
    that are asked with never do. `colour` is the share of colour in what counts as near, 0 to 1 (default: the index's).
    `diversity` (0 to 1) trades nearness for difference among the results, `per_seller`
    bounds the results of one seller. Raises InvalidQuery.
    """

    product: Any = None
    photo: Any = None
    terms: tuple[Term, ...] = ()
    queryset: models.QuerySet[Any] | None = None
    request: Any = None
    limit: int = 12
    exclude: Sequence[Any] = ()
    colour: float | None = None
    diversity: float = 0.0
    per_seller: int | None = None

    def __post_init__(self) -> None:
        if self.terms and (self.product is not None or self.photo is not None):
            raise InvalidQuery("Ask with terms, or with one product or photo; not with both.")
        if not self.terms:
            object.__setattr__(self, "terms", (Term(product=self.product, photo=self.photo),))
        if len(self.terms) > MOST_TERMS or all(term.weight < 0 for term in self.terms):
            raise InvalidQuery(f"Give 1 to {MOST_TERMS} terms, and a positive weight to one of them at least.")
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or not 1 <= self.limit <= MOST_RESULTS:
            raise InvalidQuery(f"limit is {self.limit!r}; give a number from 1 to {MOST_RESULTS}.")
        if self.colour is not None and not 0 <= self.colour <= 1:
            raise InvalidQuery(f"colour is {self.colour!r}; give a number from 0 to 1.")
        if not 0 <= self.diversity <= 1:
            raise InvalidQuery(f"diversity is {self.diversity!r}; give a number from 0 to 1.")
        if self.per_seller is not None and self.per_seller < 1:
            raise InvalidQuery(f"per_seller is {self.per_seller!r}; give 1 or more.")
        if self.queryset is not None and (self.queryset.query.is_sliced or self.queryset.query.combinator):
            raise InvalidQuery("The queryset is sliced or combined; give a plain filtered one, and limit=... instead.")

    @property
    def kind(self) -> str:
        """Return what kind of search this is, as the analytics count it."""
        return "similar" if all(term.photo is None for term in self.terms) else "photo"

    @property
    def products(self) -> list[Any]:
        """Return the keys of the products that are asked with."""
        return [term.product for term in self.terms if term.product is not None]
