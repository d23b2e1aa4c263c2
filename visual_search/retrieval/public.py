"""The two functions that most shops need."""

from __future__ import annotations

from typing import Any

from django.db import models

from visual_search.retrieval import answers
from visual_search.retrieval.query import Query, Term


def similar_to(product: Any, limit: int = 12, queryset: models.QuerySet[Any] | None = None) -> list[Any]:
    """Return up to `limit` products that look like `product` (an instance or a key), nearest first.

    Each is the shop's own object, with `similarity` (a cosine, at most 1, unless METRIC says otherwise) and
    `matched_image`. `queryset` narrows what may be returned (a category, what is in stock); the catalog's own gate
    holds all the same. Never contains `product`; empty while it has no vector yet. Raises InvalidQuery.
    """
    return answers.answer(Query(product=product, limit=limit, queryset=queryset)).products


def search(
    *, photo: Any = None, words: str | None = None, limit: int = 12, queryset: models.QuerySet[Any] | None = None
) -> list[Any]:
    """Return up to `limit` products that look like what is on `photo`, match `words`, or both, as `similar_to` does.

    `photo` is bytes, a binary file or a PIL image. Where only words have found a product, its `similarity` may be None.
    Raises BadImage (see its `code`), EncoderError, InvalidQuery.
    """
    if photo is None or words is None:
        return answers.answer(Query(photo=photo, words=words, limit=limit, queryset=queryset)).products
    terms = (Term(photo=photo), Term(words=words))
    return answers.answer(Query(terms=terms, limit=limit, queryset=queryset)).products
