"""The shop's side of the contract: which products there are, and which pictures they have."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from django.apps import apps
from django.core.files.base import File
from django.db import Error, models
from django.db.models.expressions import Case, RowRange, When, Window
from django.db.models.functions import FirstValue
from django.db.models.manager import BaseManager
from django.utils.module_loading import import_string

from visual_search import conf
from visual_search.exceptions import ConfigurationError

logger = logging.getLogger("visual_search.catalog")

Said = TypeVar("Said")

TEXT_FIELDS = ("name", "title", "description", "brand", "brand_id", "category", "category_id")
"""What the default catalog's `title` and `text` read, whichever of them the product has."""


@dataclass(frozen=True, slots=True)
class ProductImage:
    """One picture of a product.

    `key` names the picture within its product and never changes (any value; it is kept as text). `file` opens as
    bytes and has a `url`.
    """

    key: Any
    file: File | models.fields.files.FieldFile
    alt: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", str(self.key))

    @property
    def url(self) -> str:
        """Return the address of the picture, or "" where its storage has none, or fails (logged)."""
        try:
            return self.file.url  # type: ignore[union-attr]
        except (AttributeError, ValueError, NotImplementedError):
            return ""
        except Exception:
            logger.exception("The storage could not say the address of picture %s.", self.key)
            return ""


class Catalog:
    """What visual search has to know about a shop.

    The default serves a product model with one image field or more. Subclass it, name the class in
    `VISUAL_SEARCH["CATALOG"]`, and override what differs.
    """

    image_models: ClassVar[Mapping[str, str]] = {}
    """Models other than the product whose rows are its pictures: {"app.Model": attribute holding the product's key}."""

    image_fields: ClassVar[Iterable[str] | None] = None
    """Fields of the product model that hold pictures; None finds every ImageField."""

    text_fields: ClassVar[Iterable[str] | None] = None
    """Fields of the product model that `title` and `text` read; None are those of the usual names."""

    filters: ClassVar[Mapping[str, str]] = {}
    """Filters that the API offers: {query parameter: ORM lookup}, as {"category": "category__slug"}."""

    def products(self, request: Any = None) -> models.QuerySet[Any]:
        """Return the products that may be shown: the one gate that every result passes, in SQL."""
        model = product_model()
        names = {field.name for field in model._meta.fields if field.is_relation}
        # What a card says of a product may be in another table.
        joined = names & {"brand", "category"}
        # Without a name it would join whatever it can.
        return model._default_manager.select_related(*joined) if joined else model._default_manager.all()

    def images(self, product: Any) -> Iterator[ProductImage]:
        """Yield the product's pictures, the best one first. Yield nothing where there are none."""
        for name in self.image_field_names():
            if file := getattr(product, name):
                yield ProductImage(key=name, file=file, alt=self.title(product))

    def concerns(self, instance: models.Model) -> Iterable[Any]:
        """Return the keys of the products whose pictures a save or delete of `instance` may change."""
        if isinstance(instance, product_model()):
            return [instance.pk]
        for label, attribute in self.image_models.items():
            if isinstance(instance, apps.get_model(label)):
                key: Any = instance
                for step in attribute.split("__"):
                    key = getattr(key, step, None)
                key = key.pk if isinstance(key, models.Model) else key
                return [] if key is None else [key]
        return []

    def title(self, product: Any) -> str:
        """Return the name of the product as a customer reads it."""
        return str(product)

    def url(self, product: Any) -> str:
        """Return the address of the product's page, or ""."""
        find = getattr(product, "get_absolute_url", None)
        return find() if find else ""

    def price(self, product: Any) -> Decimal | str | None:
        """Return the price that holds now, or None."""
        return getattr(product, "price", None)

    def brand(self, product: Any) -> str:
        """Return the brand's name, or ""."""
        return _name(product, "brand")

    def category(self, product: Any) -> str:
        """Return the category's name, or the names of several, or ""."""
        return _name(product, "category")

    def text(self, product: Any) -> str:
        """Return what a search by words looks at beside the title, which counts more."""
        description = str(getattr(product, "description", "") or "")
        return "\n".join([self.brand(product), self.category(product), description])

    def group(self, product: Any) -> Any:
        """Return what variants of one article have in common (a parent's key), or None: only the nearest is shown."""
        return None

    def seller(self, product: Any) -> Any:
        """Return the key of the seller on a marketplace, or None: a query may bound the results of each."""
        return None

    def thumbnail(self, product: Any) -> str:
        """Return the address of a small picture of the product, or ""."""
        first = next(iter(self.images(product)), None)
        return first.url if first else ""

    def serialize(self, product: Any) -> dict[str, Any]:
        """Return what the API says about the product, as JSON can hold it."""
        price = self.price(product)
        return {
            "id": product.pk if isinstance(product.pk, int) else str(product.pk),
            "title": self.title(product),
            "url": self.url(product),
            "price": None if price is None else str(price),
            "brand": self.brand(product),
            "category": self.category(product),
            "thumbnail": self.thumbnail(product),
        }

    def image_field_names(self) -> list[str]:
        """Return the product's own image fields: a save that touches neither these nor `text_fields` queues nothing."""
        if self.image_fields is not None:
            return list(self.image_fields)
        fields = product_model()._meta.get_fields()
        return [field.name for field in fields if isinstance(field, models.ImageField)]


def _name(product: Any, attribute: str) -> str:
    value = getattr(product, attribute, None)
    if isinstance(value, BaseManager):
        return ", ".join(str(each) for each in value.all())
    return str(value or "")


def said(ask: Callable[[Any], Said], product: Any, *, otherwise: Said) -> Said:
    """Return what `ask`, a method of the catalog, says of `product`; `otherwise` where it fails, which is logged.

    One product that can't be described must not take a page of others with it. Errors of the database are raised: they
    are no product's own, and nothing can be asked after one.
    """
    try:
        return ask(product)
    except Error:
        raise
    except Exception:
        name = getattr(ask, "__name__", ask)
        logger.exception("The catalog's %s() failed for product %s.", name, getattr(product, "pk", None))
        return otherwise


def narrows(products: models.QuerySet[Any]) -> bool:
    """Return whether `filter()` only ever takes away from `products`, whatever it asks for.

    Its condition goes inside: what it joins is counted by an aggregate, and a window or DISTINCT ON compares what it
    leaves alone. Either way there may come what `products` hide.
    """
    return products.query.group_by is None and not _compares(products)


def by_key(products: models.QuerySet[Any], condition: models.Q) -> models.QuerySet[Any]:
    """Return those of `products` that meet `condition`, which is on their key alone, as they are among all of them.

    Where a window or DISTINCT ON compares them, it is asked after that, as one more window over the product itself: at
    the cost of comparing all again.
    """
    if not _compares(products):
        return products.filter(condition)
    met = Window(FirstValue(Case(When(condition, then=True), default=False)), frame=RowRange(start=0, end=0))
    return products.alias(visual_search_met=met).filter(visual_search_met=True)


def unordered(products: models.QuerySet[Any]) -> models.QuerySet[Any]:
    """Return `products` without the sort that nobody sees; DISTINCT ON keeps its own, which it picks by."""
    return products if products.query.distinct_fields else products.order_by()


def after(products: models.QuerySet[Any], key: Any, *, most: int) -> list[Any]:
    """Return the `most` first of `products` by their key, of those after `key` unless it is None."""
    beyond = models.Q() if key is None else models.Q(pk__gt=product_model()._meta.pk.to_python(key))
    if narrows(products):
        return list(products.filter(beyond).order_by("pk")[:most])
    shown = product_model()._base_manager.using(products.db).filter(beyond, pk__in=unordered(products).values("pk"))
    keys = list(shown.order_by("pk").values_list("pk", flat=True)[:most])
    found = {product.pk: product for product in by_key(products, models.Q(pk__in=keys))}
    return [found[key] for key in keys if key in found]


def _compares(products: models.QuerySet[Any]) -> bool:
    """Return whether it depends on the others which products are there, or what they are annotated with."""
    query = products.query
    windows = (getattr(each, "contains_over_clause", False) for each in (*query.annotations.values(), query.where))
    return bool(query.distinct_fields) or any(windows)


def product_model() -> type[models.Model]:
    """Return the shop's product model; raise ConfigurationError where the setting doesn't name one."""
    label = conf.settings.PRODUCT_MODEL
    try:
        return apps.get_model(conf.product_label(), require_ready=False)
    except (LookupError, ValueError) as error:
        raise ConfigurationError(
            f"VISUAL_SEARCH['PRODUCT_MODEL'] is {label!r}, which is no installed model: "
            'write it as "app_label.Model".'
        ) from error


def key_field(model: type[models.Model]) -> models.Field[Any, Any]:
    """Return the field that the keys of `model` are values of: of a child with a table of its own, its parent's."""
    field: Any = model._meta.pk
    while field.remote_field:
        field = field.target_field
    return field


def current() -> Catalog:
    """Return the catalog that VISUAL_SEARCH["CATALOG"] names; raise ConfigurationError where it names none."""
    path = conf.settings.CATALOG
    try:
        kind = import_string(path if isinstance(path, str) else "")
    except ImportError as error:
        raise ConfigurationError(f"VISUAL_SEARCH['CATALOG'] is {path!r}, which can't be imported: {error}") from error
    shop = kind() if callable(kind) else None
    if not isinstance(shop, Catalog):
        raise ConfigurationError(f"VISUAL_SEARCH['CATALOG'] is {path!r}, which is no visual_search.Catalog.")
    return shop
