"""A question, as a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query import ModelIterable

from visual_search import catalog
from visual_search.exceptions import InvalidQuery
from visual_search.indexing.sources import texts

MOST_RESULTS = 100
MOST_TERMS = 20

_DASHES = re.compile(r"-(?:[\s!&|()]*-)+")
"""Each would negate anew what follows, and Postgres refuses to go that deep."""

LONGEST_WORDS = 200
"""Characters of the words of one term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One thing to look for, or with a negative `weight` to look away from.

    Exactly one of `product` (a key), `photo` (bytes, a binary file, or a PIL image) and `words` is given. `region` is
    the part of the photo that counts: (left, top, right, bottom) as shares of its width and height, 0 to 1. Products
    that match words with a negative weight are no results.
    """

    product: Any = None
    photo: Any = field(default=None, repr=False)
    words: str | None = None
    region: tuple[float, float, float, float] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if [self.product is None, self.photo is None, self.words is None].count(False) != 1:
            raise InvalidQuery("Ask with a product, with a photo or with words, and with one of them only.")
        if not (_within(self.weight, 1e-3, 10) or _within(self.weight, -10, -1e-3)):
            raise InvalidQuery(f"A weight is {self.weight!r}; give a number from 0.001 to 10, or from -10 to -0.001.")
        object.__setattr__(self, "weight", float(self.weight))
        if self.product is not None:
            object.__setattr__(self, "product", _key(self.product))
        if self.words is not None:
            object.__setattr__(self, "words", _words(self.words))
        if self.region is not None:
            if self.photo is None:
                raise InvalidQuery("A region is part of a photo; this term has none.")
            if not _is_box(self.region):
                raise InvalidQuery(
                    f"The region is {self.region!r:.80}; give left, top, right and bottom from 0 to 1, in that order."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for, among what, and how many.

    `product`, `photo` or `words` asks with that one thing; `terms` with several, weighted. `filters` ({ORM lookup:
    value}) and `queryset` narrow the products that the catalog shows to `request`; they never widen them. Results are
    objects of `queryset` where there is one, else of the catalog. `exclude` are keys of products that must not come
    back; those that are asked with never do. `colour` is the share of colour in what counts as near, 0 to 1 (default:
    the index's). `diversity` (0 to 1) trades nearness for difference among the results, `per_seller` bounds the
    results of one seller. Raises InvalidQuery.
    """

    product: Any = None
    photo: Any = field(default=None, repr=False)
    words: str | None = None
    terms: tuple[Term, ...] = ()
    filters: Mapping[str, Any] = field(default_factory=dict)
    queryset: models.QuerySet[Any] | None = field(default=None, repr=False)
    request: Any = field(default=None, repr=False)
    limit: int = 12
    exclude: Sequence[Any] = ()
    colour: float | None = None
    diversity: float = 0.0
    per_seller: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", _terms(self.terms))
        if self.terms and any(each is not None for each in (self.product, self.photo, self.words)):
            raise InvalidQuery("Ask with terms, or with one product, photo or words; not with both.")
        if not self.terms:
            object.__setattr__(self, "terms", (Term(product=self.product, photo=self.photo, words=self.words),))
        if len(self.terms) > MOST_TERMS or all(term.weight < 0 for term in self.terms):
            raise InvalidQuery(f"Give 1 to {MOST_TERMS} terms, and a positive weight to one of them at least.")
        if isinstance(self.limit, bool) or not isinstance(self.limit, int) or not 1 <= self.limit <= MOST_RESULTS:
            raise InvalidQuery(f"limit is {self.limit!r}; give a number from 1 to {MOST_RESULTS}.")
        for name, value in (("colour", self.colour), ("diversity", self.diversity)):
            if (value is not None or name == "diversity") and not _within(value, 0, 1):
                raise InvalidQuery(f"{name} is {value!r}; give a number from 0 to 1.")
            # What is less than a millionth changes no page, and underflows in SQL.
            object.__setattr__(self, name, None if value is None else round(float(value), 6))
        if self.per_seller is not None and not (type(self.per_seller) is int and self.per_seller >= 1):
            raise InvalidQuery(f"per_seller is {self.per_seller!r}; give a number, 1 or more.")
        if not isinstance(self.filters, Mapping):
            raise InvalidQuery(f"filters is {self.filters!r:.80}; give a dict of ORM lookups with their values.")
        object.__setattr__(self, "exclude", _keys(self.exclude))
        if self.queryset is not None:
            _expect_plain(self.queryset)

    @property
    def kind(self) -> str:
        """Return what kind of search this is, as the analytics count it."""
        if any(term.photo is not None for term in self.terms):
            return "photo"
        return "similar" if self.products else "text"

    @property
    def products(self) -> list[Any]:
        """Return the keys of the products that are asked with."""
        return [term.product for term in self.terms if term.product is not None]

    @property
    def without(self) -> tuple[Any, ...]:
        """Return the keys of the products that are no results: those asked with, and those to exclude."""
        return tuple(dict.fromkeys([*self.products, *self.exclude]))


def _within(value: Any, least: float, most: float) -> bool:
    """Return whether `value` is a number, of any kind, from `least` to `most`."""
    try:
        return bool(least <= value <= most)
    except (TypeError, ValueError, ArithmeticError):
        return False


def _is_box(region: Any) -> bool:
    try:
        left, top, right, bottom = region
    except (TypeError, ValueError):
        return False
    ordered = all(_within(first, 0, 1) and _within(last, first, 1) for first, last in ((left, right), (top, bottom)))
    return ordered and left != right and top != bottom


def _terms(values: Any) -> tuple[Term, ...]:
    if not isinstance(values, Iterable):
        raise InvalidQuery(f"terms is {values!r:.80}; give a list of Term.")
    terms = tuple(values)
    if others := [each for each in terms if not isinstance(each, Term)]:
        raise InvalidQuery(f"terms has {others[0]!r:.80}; give Term(product=...), Term(photo=...) or Term(words=...).")
    return terms


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidQuery(f"The words are {type(value).__name__}; give a string.")
    words = _DASHES.sub("-", texts.clean(value))
    if not words:
        raise InvalidQuery("There are no words: say what to look for.", code="words_unsearchable")
    if len(words) > LONGEST_WORDS:
        raise InvalidQuery(
            f"The words have {len(words)} characters; give {LONGEST_WORDS} at most.", code="words_too_long"
        )
    return words


def _key(value: Any) -> Any:
    if isinstance(value, models.Model):
        value = value.pk
    try:
        key = catalog.product_model()._meta.pk.to_python(value)
    except (ValidationError, TypeError, ValueError, OverflowError):
        flat = " A values_list() of keys needs flat=True." if isinstance(value, tuple) else ""
        raise InvalidQuery(f"{value!r:.80} is no key of a product: give a product, or its primary key.{flat}") from None
    if key is None:
        raise InvalidQuery("The product has no key yet: save it first.")
    return key


def _keys(values: Any) -> tuple[Any, ...]:
    """Return the keys of `values`, without None: what isn't saved is no result anyway."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidQuery(f"exclude is {values!r:.80}; give a list of products, or of their primary keys.")
    return tuple(_key(value) for value in values if getattr(value, "pk", value) is not None)


def _expect_plain(queryset: Any) -> None:
    """Refuse what can't stand in `IN (...)`, or doesn't return products."""
    model = catalog.product_model()
    if not isinstance(queryset, models.QuerySet):
        raise InvalidQuery(f"The queryset is {type(queryset).__name__}; give a QuerySet of {model.__name__}.")
    if not issubclass(queryset.model, model):
        raise InvalidQuery(f"The queryset is of {queryset.model.__name__}; give one of {model.__name__}.")
    if catalog.key_field(queryset.model) != catalog.key_field(model):
        raise InvalidQuery(
            f"The queryset is of {queryset.model.__name__}, which has a key of its own; give one of {model.__name__}."
        )
    if queryset.query.is_sliced or queryset.query.combinator:
        raise InvalidQuery("The queryset is sliced or combined; give a plain filtered one, and limit=... instead.")
    if queryset._iterable_class is not ModelIterable:
        raise InvalidQuery("The queryset returns values; give one that returns products, without values().")
