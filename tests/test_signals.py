from __future__ import annotations

from typing import Any

import pytest
from django.core import serializers
from django.db import connection, transaction

from tests import factories
from visual_search import catalog, models, signals
from visual_search.indexing.intake import nudge

pytestmark = pytest.mark.django_db


@pytest.fixture
def product() -> Any:
    product = factories.product()
    models.ProductChange.objects.all().delete()
    return product


def changed() -> list[Any]:
    return list(models.ProductChange.objects.order_by("id").values_list("product_id", flat=True))


def test_save__of_a_product_is_recorded(product: Any) -> None:
    product.save()
    assert changed() == [product.pk]


def test_save__of_fields_that_are_neither_pictures_nor_words_is_not(product: Any) -> None:
    product.save(update_fields=["stock", "price"])
    assert changed() == []


def test_save__of_fields_that_words_come_from_is_recorded(product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    product.save(update_fields=["name"])
    product.save(update_fields=["colour"])
    assert changed() == [product.pk, product.pk]

    monkeypatch.setattr(type(catalog.current()), "text_fields", ())
    product.save(update_fields=["name"])
    monkeypatch.setattr(type(catalog.current()), "text_fields", None)
    product.save(update_fields=["colour"])
    assert changed() == [product.pk, product.pk]


def test_save_and_delete__of_an_image_concern_its_product(product: Any) -> None:
    image = factories.add_picture(product, factories.picture("teal"), position=1)
    image.delete()
    # FieldFile.save saves its row, so the picture counts once.
    assert changed() == [product.pk, product.pk]


def test_fixtures__are_not_recorded(product: Any) -> None:
    for loaded in serializers.deserialize("json", serializers.serialize("json", [product])):
        loaded.save()
    assert changed() == []


def test_save__that_is_rolled_back_leaves_nothing(product: Any) -> None:
    with transaction.atomic():
        product.save()
        transaction.set_rollback(True)
    assert changed() == []


def test_transaction__sends_one_nudge_whatever_it_saves(product: Any) -> None:
    for _ in range(5):
        product.save()
    with transaction.atomic():
        factories.add_picture(product, factories.picture("teal"))

    assert [callback for _, callback, _ in connection.run_on_commit].count(nudge.send) == 1


def test_picture__that_moves_concerns_both_products(product: Any) -> None:
    other = factories.product(pictures=[])
    models.ProductChange.objects.all().delete()
    picture = product.images.get()

    picture.product = other
    picture.save()
    assert changed() == [other.pk, product.pk]

    picture.save(update_fields=["alt"])
    assert changed() == [other.pk, product.pk, other.pk]


def test_save__to_another_database_is_none_of_ours(product: Any) -> None:
    for receiver in (signals._product_saved, signals._picture_changed):
        receiver(instance=product, raw=False, using="archive", update_fields=None)
    signals._product_deleted(instance=product, using="archive")
    assert changed() == []
