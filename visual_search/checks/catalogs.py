"""What is wrong with the shop's catalog."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.exceptions import FieldError
from django.db import models

from visual_search import catalog, conf
from visual_search.checks.messages import error
from visual_search.exceptions import ConfigurationError


def check_catalog(**kwargs: Any) -> list[checks.CheckMessage]:
    """E004-E006: the catalog can't be made, names unknown models, or finds no image field."""
    try:
        shop = catalog.current()
    except ConfigurationError as found:
        return [error(str(found), "Give the dotted path of a subclass of visual_search.Catalog.", "E004")]
    except Exception as found:
        message = f"{conf.settings.CATALOG} can't be made: {type(found).__name__}: {found}"
        return [error(message, "It is made without arguments, in every process.", "E004")]
    if not isinstance(shop.image_models, Mapping):
        message = f"{type(shop).__name__}.image_models is {shop.image_models!r}."
        return [error(message, 'Give a dict, as {"catalogue.ProductImage": "product_id"}.', "E005")]
    problems = []
    for label, attribute in shop.image_models.items():
        if hint := _image_model_hint(label, attribute):
            message = f"{type(shop).__name__}.image_models names {label!r}: {attribute!r}."
            problems.append(error(message, hint, "E005"))
    try:
        product = catalog.product_model()
    except ConfigurationError:
        return problems  # E003 says so
    if type(shop).images is catalog.Catalog.images and not shop.image_field_names():
        message = f"{product._meta.label} has no ImageField, and {conf.settings.CATALOG} does not say where images are."
        hint = "Write a visual_search.Catalog with image_models and images(), and name it in CATALOG."
        problems.append(error(message, hint, "E006"))
    return problems


def check_fields(**kwargs: Any) -> list[checks.CheckMessage]:
    """E014: image_fields or text_fields of the catalog name no field of the product."""
    if (found := _shop()) is None:
        return []
    shop, product = found
    known = sorted({name for field in product._meta.fields for name in (field.name, field.attname)})
    problems = []
    for setting in ("image_fields", "text_fields"):
        names: Iterable[str] | None = getattr(shop, setting)
        if isinstance(names, str):
            message = f"{type(shop).__name__}.{setting} is {names!r}."
            problems.append(error(message, f"Give a list, as [{names!r}].", "E014"))
            continue
        for name in names or ():
            # A text may be of a property too.
            if name not in known and not hasattr(product, name):
                message = f"{type(shop).__name__}.{setting} names {name!r}, which {product._meta.label} has not."
                problems.append(error(message, _meant(name, known), "E014"))
    return problems


def check_filters(**kwargs: Any) -> list[checks.CheckMessage]:
    """E015: a filter of the catalog is no lookup of its products."""
    if (found := _shop()) is None:
        return []
    shop, _ = found
    if not isinstance(shop.filters, Mapping):
        message = f"{type(shop).__name__}.filters is {shop.filters!r}."
        return [error(message, 'Give a dict, as {"price_max": "price__lte"}.', "E015")]
    problems = []
    for name, lookup in shop.filters.items():
        try:
            shop.products().filter(**{lookup: ["1"] if lookup.endswith("__in") else "1"})
        except FieldError as wrong:
            message = f"{type(shop).__name__}.filters has {name!r}: {lookup!r}, which is no lookup of its products."
            problems.append(error(message, str(wrong), "E015"))
        except Exception:
            # The value may not suit; what products() raises is another's to say.
            continue
    return problems


def _shop() -> tuple[catalog.Catalog, type[models.Model]] | None:
    """Return the catalog and the product's model; None where another check says what is wrong with them."""
    try:
        return catalog.current(), catalog.product_model()
    except Exception:
        return None


def _image_model_hint(label: str, path: str) -> str:
    """Return what is wrong with `path`, which leads from the model `label` to the product or its key, or ""."""
    try:
        model: Any = apps.get_model(label)
    except (LookupError, ValueError):
        return 'There is no such model: write it as "app_label.Model".'
    steps = path.split("__")
    for number, step in enumerate(steps, start=1):
        fields = {name: field for field in model._meta.get_fields() for name in (field.name, _attname(field))}
        if step not in fields:
            if hasattr(model, step):
                return ""  # a property: what it returns isn't known here
            return f"{model._meta.label} has no attribute {step!r}: name the one that holds the product's key."
        if number == len(steps):
            break
        model = fields[step].related_model
        if model is None or step != fields[step].name:
            return f"{step!r} is no relation: {path!r} can't go on from there."
    return ""


def _attname(field: Any) -> str:
    return str(getattr(field, "attname", field.name))


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Its fields are {', '.join(known)}."
