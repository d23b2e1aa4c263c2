"""What a request may ask for: a product, a limit, and the filters that the catalog offers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import DataError, models
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from visual_search import catalog, conf
from visual_search.exceptions import InvalidQuery
from visual_search.retrieval.query import Term

LIMIT = "limit"
DEFAULT_LIMIT = 12

SHARES = ("colour", "diversity")
"""Parameters from 0 to 1, as `Query` has them; a filter of the catalog that has such a name keeps it."""

TEXT, WITHOUT = "text", "without"
"""Words that results should match, and words that none of them may; a filter of such a name keeps it too."""

REGION = "region"
MOST_REGIONS = 4
"""Parts of one photo: each costs the encoder as much as a photo."""

_TRUTH = {"true": True, "false": False}
_SHARE = re.compile(r"[0-9](\.[0-9]{0,9})?|\.[0-9]{1,9}")


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
            among = catalog.by_key(shown.using(conf.settings.DATABASE), models.Q(pk=parsed))
            found = next(iter(among[:1]), None)
    if found is None:
        raise InvalidQuery("There is no such product. Check its key.", code="product_not_found")
    return found


def names(*, of_photo: bool = False) -> list[str]:
    """Return the parameters that a search takes."""
    return list(
        dict.fromkeys([LIMIT, *SHARES, TEXT, WITHOUT, *([REGION] if of_photo else []), *catalog.current().filters])
    )


def only_known(
    *sources: QueryDict | MultiValueDict[str, str], of_photo: bool = False, also: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Return the parameters of all `sources` with their values; raise InvalidQuery (`unknown_parameter`).

    An empty value is none: a form sends its empty fields too.
    """
    allowed = names(of_photo=of_photo)
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


def nothing(*sources: QueryDict | MultiValueDict[str, str], but: tuple[str, ...] = ()) -> None:
    """Raise InvalidQuery (`unknown_parameter`) where there is any parameter, but those named."""
    for name in (name for source in sources for name in source if name not in but):
        raise InvalidQuery(
            f"There is no parameter {_short(name)}; nothing is asked for here.", code="unknown_parameter"
        )


def limit(parameters: Mapping[str, list[str]]) -> int:
    """Return how many results are asked for; raise InvalidQuery (`invalid_limit`)."""
    values = parameters.get(LIMIT) or [str(DEFAULT_LIMIT)]
    most = conf.settings.MAX_LIMIT
    value = values[0]
    # A number of a thousand digits is slow to read, and int() takes "1_0" and " 5 ".
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else 0
    if len(values) > 1 or not 1 <= number <= most:
        raise InvalidQuery(
            f"limit is {_short(', '.join(values))}; give one number from 1 to {most}.", code="invalid_limit"
        )
    return number


def share(parameters: Mapping[str, list[str]], name: str) -> float | None:
    """Return the share `name` that is asked for, 0 to 1, or None; raise InvalidQuery (`invalid_share`)."""
    values = parameters.get(name)
    if not values or name in catalog.current().filters:
        return None
    number = _number(values[0])
    if len(values) > 1 or number is None:
        raise InvalidQuery(f"{name} is {_short(', '.join(values))}; give one number from 0 to 1.", code="invalid_share")
    return number


def words(parameters: Mapping[str, list[str]]) -> list[Term]:
    """Return the words that are asked for, then those that are not wanted; raise InvalidQuery."""
    own = catalog.current().filters
    said, unwanted = ([] if name in own else parameters.get(name, []) for name in (TEXT, WITHOUT))
    if len(said) > 1:
        raise InvalidQuery("text is given twice; put all the words into one.", code="words_not_single")
    return [*(Term(words=each) for each in said), *(Term(words=each, weight=-1) for each in unwanted)]


def regions(parameters: Mapping[str, list[str]]) -> list[tuple[float, float, float, float]]:
    """Return the parts of the photo that count, each as (left, top, right, bottom); raise InvalidQuery."""
    if REGION in catalog.current().filters:
        return []
    values = parameters.get(REGION, [])
    if len(values) > MOST_REGIONS:
        raise InvalidQuery(f"There are {len(values)} regions; give {MOST_REGIONS} at most.", code="invalid_region")
    return [_region(value) for value in values]


def _region(value: str) -> tuple[float, float, float, float]:
    match [_number(part) for part in value.split(",")]:
        case [float(left), float(top), float(right), float(bottom)] if left < right and top < bottom:
            return left, top, right, bottom
    raise InvalidQuery(
        f"A region is {_short(value)}; give left,top,right,bottom from 0 to 1, in that order.", code="invalid_region"
    )


def _number(text: str) -> float | None:
    """Return the number from 0 to 1 that `text` is, or None."""
    if not _SHARE.fullmatch(text.strip()):
        return None
    number = float(text)
    return number if number <= 1 else None


def filters(request: HttpRequest, parameters: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the filters among `parameters` as ORM lookups with their values.

    Only the lookups that `Catalog.filters` names are used, and the ORM judges the values. Raises InvalidQuery
    (`invalid_filter`); a value that only the database can refuse raises DataError when the search runs.
    """
    shop = catalog.current()
    found: dict[str, Any] = {}
    for name, lookup in shop.filters.items():
        values = parameters.get(name)
        if not values:
            continue
        several = lookup.endswith("__in")
        if (len(values) > 1 and not several) or any("\0" in value for value in values) or lookup in found:
            raise _invalid_filter(name, values)
        # Its lookup may be of an annotation, which the catalog's queryset has and the plain model hasn't.
        found[lookup] = _value(shop.products(request), name, lookup, values if several else values[0])
    return found


def _invalid_filter(name: str, values: Any) -> InvalidQuery:
    return InvalidQuery(f"{name} can't be {_short(values)}; give one value of its type.", code="invalid_filter")


def _value(queryset: models.QuerySet[Any], name: str, lookup: str, value: str | list[str]) -> Any:
    """Return `value` in the form in which the lookup takes it."""
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
            return candidate
        except (ValidationError, ValueError, TypeError, OverflowError, DataError, ArithmeticError):
            continue
    raise _invalid_filter(name, value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
