"""A save or delete of a product, or of one of its pictures, queues the product; a migration mends our foreign keys."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections, models
from django.db.models.signals import post_delete, post_migrate, post_save, pre_save

from visual_search import catalog, conf
from visual_search.exceptions import ConfigurationError
from visual_search.indexing.intake import changes
from visual_search.models import cascades

_FORMER = "_visual_search_former"


def connect() -> None:
    """Listen to the product model and the catalog's image models, to their subclasses, and to the product's parents."""
    try:
        product = catalog.product_model()
        shop = catalog.current()
    except ConfigurationError:
        return  # the checks say so
    post_migrate.connect(
        _migrated, sender=apps.get_app_config("visual_search"), dispatch_uid=f"visual_search.{_migrated.__name__}"
    )
    pictures = []
    for label in shop.image_models:
        try:
            pictures.append(apps.get_model(label))
        except (LookupError, ValueError):
            continue  # check E005 says so
    parents = product._meta.get_parent_list()
    for model in apps.get_models():
        # A signal's sender is the very class that was saved: a proxy, or a child with a table of its own.
        if issubclass(model, product):
            _listen(model, post_save, _product_saved)
            _listen(model, post_delete, _product_deleted)
        elif issubclass(model, tuple(pictures)):
            _listen(model, pre_save, _picture_moves)
            _listen(model, post_save, _picture_changed)
            _listen(model, post_delete, _picture_changed)
        elif model._meta.concrete_model in parents:
            # A delete of it deletes the product first.
            _listen(model, post_save, _parent_saved)


def _migrated(using: str, **kwargs: Any) -> None:
    if using == conf.settings.DATABASE and connections[using].vendor == "postgresql":
        cascades.restore()


def _listen(model: type[models.Model], signal: Any, receiver: Any) -> None:
    signal.connect(receiver, sender=model, dispatch_uid=f"visual_search.{receiver.__name__}.{model._meta.label}")


def _product_saved(
    instance: models.Model,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    if not (raw or using != conf.settings.DATABASE or _unread(update_fields)):
        changes.record(catalog.current().concerns(instance), using=using)


def _parent_saved(
    sender: type[models.Model],
    instance: models.Model,
    created: bool,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    """Take the save of a row in a parent's table as one of the product that it belongs to, where it does to one."""
    if raw or created or using != conf.settings.DATABASE or _unread(update_fields):
        return
    rows = catalog.product_model()._base_manager.using(using)
    product = rows.filter(**{sender._meta.pk.name: instance.pk}).first()
    if product is not None:
        _product_saved(product, raw=raw, using=using, update_fields=update_fields)


def _unread(update_fields: frozenset[str] | None) -> bool:
    """Return whether a save of these fields touches none that pictures and words are read from."""
    if update_fields is None:
        return False
    shop = catalog.current()
    named = catalog.TEXT_FIELDS if shop.text_fields is None else shop.text_fields
    return update_fields.isdisjoint({*shop.image_field_names(), *named})


def _product_deleted(instance: models.Model, using: str, **kwargs: Any) -> None:
    if using == conf.settings.DATABASE:
        # Its own rows cascade in the database; a catalog may have counted its pictures as a parent's.
        others = [key for key in catalog.current().concerns(instance) if key != instance.pk]
        changes.record(others, using=using)


def _picture_moves(
    sender: type[models.Model],
    instance: models.Model,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    """Note which product a picture belonged to, in case that it goes to another."""
    if raw or using != conf.settings.DATABASE or instance._state.adding:
        return
    relations = {field.name for field in sender._meta.concrete_fields if field.is_relation}
    if update_fields is None or not update_fields.isdisjoint(relations):
        former = sender._base_manager.using(using).filter(pk=instance.pk).first()
        setattr(instance, _FORMER, [] if former is None else list(catalog.current().concerns(former)))


def _picture_changed(instance: models.Model, using: str, raw: bool = False, **kwargs: Any) -> None:
    if not raw and using == conf.settings.DATABASE:
        former = instance.__dict__.pop(_FORMER, [])
        changes.record(dict.fromkeys([*catalog.current().concerns(instance), *former]), using=using)
