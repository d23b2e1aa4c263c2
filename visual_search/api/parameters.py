"""What a request may ask for: a product, a limit, and the filters that the catalog offers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import DataError, models
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from visual_search import catalog, conf
from visual_search.exceptions import InvalidQuery
from visual_search.retrieval import query

LIMIT = "limit"
DEFAULT_LIMIT = 12
_TRUTH = {"true": True, "false": False}


def product(request: HttpRequest, key: str) -> Any:
    """Return the product with `key` if `request` may see it.

    Raises InvalidQuery (`product_not_found`), and says the same of a key that is unknown, hidden or malformed.
    """
    return _first(catalog.current().products(request), key)


def product_key(request: HttpRequest, key: str) -> Any:
    """Return `key` as the product model has it, and load nothing of the product; raise what `product` raises."""
    return _first(catalog.current().products(request).values_list("pk", flat=True), key)


def _first(shown: models.QuerySet[Any], key: str) -> Any:
    found = None
    with contextlib.suppress(ValidationError, ValueError, OverflowError):
        parsed = catalog.product_model()._meta.pk.to_python(key)
        if "\0" not in key:
            found = shown.using(conf.settings.DATABASE).filter(pk=parsed).first()
    if found is None:
        raise InvalidQuery("There is no such product. Check its key.", code="product_not_found")
    return found


def only_known(*sources: QueryDict | MultiValueDict[str, str], also: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return the parameters of all `sources` with their values; raise InvalidQuery (`unknown_parameter`).

    An empty value is none: a form sends its empty fields too.
    """
    filters = catalog.current().filters
    allowed = [LIMIT, *filters]
    found: dict[str, list[str]] = {}
    for source in sources:
        for name, values in source.lists():
            if name in also:
                continue
            if name not in allowed:
                raise InvalidQuery(
                    f"There is no parameter {_short(name)}; known are {', '.join(allowed)}.", code="unknown_parameter"
                )
            found.setdefault(name, []).extend(value for value in values if value != "")
    return found


def limit(parameters: Mapping[str, list[str]]) -> int:
    """Return how many results are asked for; raise InvalidQuery (`invalid_limit`)."""
    values = parameters.get(LIMIT) or [str(DEFAULT_LIMIT)]
    most = min(conf.settings.MAX_LIMIT, query.MOST_RESULTS)
    value = values[0]
    # A number of a thousand digits is slow to read, and int() takes "1_0" and " 5 ".
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else 0
    if len(values) > 1 or not 1 <= number <= most:
        raise InvalidQuery(
            f"limit is {_short(', '.join(values))}; give one number from 1 to {most}.", code="invalid_limit"
        )
    return number


def narrowed(request: HttpRequest, parameters: Mapping[str, list[str]]) -> models.QuerySet[Any] | None:
    """Return the catalog's products that pass the filters among `parameters`, or None where there is no filter.

    Only the lookups that `Catalog.filters` names are used, and the ORM judges the values. Raises InvalidQuery
    (`invalid_filter`); a value that only the database can refuse raises DataError when the queryset runs.
    """
    shop = catalog.current()
    filtered = None
    for name, lookup in shop.filters.items():
        values = parameters.get(name)
        if not values:
            continue
        if filtered is None:
            filtered = shop.products(request)
        several = lookup.endswith("__in")
        if (len(values) > 1 and not several) or any("\0" in value for value in values):
            raise invalid_filter(name, values)
        filtered = _filter(filtered, name, lookup, values if several else values[0])
    return filtered


def invalid_filter(name: str, values: Any) -> InvalidQuery:
    """Return the error for a filter's value that means nothing."""
    return InvalidQuery(f"{name} can't be {_short(values)}; give one value of its type.", code="invalid_filter")


def _filter(queryset: models.QuerySet[Any], name: str, lookup: str, value: str | list[str]) -> models.QuerySet[Any]:
    candidates: list[Any] = [value]
    if isinstance(value, str) and value.lower() in _TRUTH:
        # What a boolean field and `__isnull` understand; a field of text takes the word as it is.
        candidates.append(_TRUTH[value.lower()])
    for candidate in candidates:
        try:
            filtered = queryset.filter(**{lookup: candidate})
            # Some lookups look at their value only when SQL is made of it.
            with contextlib.suppress(EmptyResultSet):
                filtered.order_by().query.get_compiler(conf.settings.DATABASE).as_sql()
            return filtered
        except (ValidationError, ValueError, TypeError, OverflowError, DataError, ArithmeticError):
            continue
    raise invalid_filter(name, value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
