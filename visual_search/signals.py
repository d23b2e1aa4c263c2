"""A save or delete of a product, or of one of its pictures, queues the product."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models
from django.db.models.signals import post_delete, post_save

from visual_search import catalog
from visual_search.exceptions import ConfigurationError
from visual_search.indexing import changes


def connect() -> None:
    """Listen to the product model and to the catalog's image models, and to nothing else."""
    try:
        product = catalog.product_model()
        shop = catalog.current()
    except ConfigurationError:
        return  # the checks say so
    post_save.connect(_product_saved, sender=product, dispatch_uid="visual_search.product.saved")
    post_delete.connect(_product_deleted, sender=product, dispatch_uid="visual_search.product.deleted")
    for label in shop.image_models:
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):
            continue  # check E005 says so
        for signal, name in ((post_save, "saved"), (post_delete, "deleted")):
            signal.connect(_picture_changed, sender=model, dispatch_uid=f"visual_search.{label}.{name}")


def _product_saved(
    instance: models.Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    if raw:
        return
    shop = catalog.current()
    if update_fields is not None and update_fields.isdisjoint(shop.image_field_names()):
        return
    changes.record(shop.concerns(instance), using=using)


def _product_deleted(instance: models.Model, using: str, **kwargs: Any) -> None:
    # Its own rows cascade in the database; a catalog may have counted its pictures as a parent's.
    others = [key for key in catalog.current().concerns(instance) if key != instance.pk]
    changes.record(others, using=using)


def _picture_changed(instance: models.Model, using: str, raw: bool = False, **kwargs: Any) -> None:
    if not raw:
        changes.record(catalog.current().concerns(instance), using=using)
