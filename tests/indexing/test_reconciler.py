from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from tests import factories
from visual_search import catalog
from visual_search.indexing import reconciler
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import queue
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct

pytestmark = pytest.mark.django_db


@pytest.fixture
def products() -> list[Any]:
    """Return products that are embedded."""
    saved = [factories.product() for _ in range(4)]
    factories.embed()
    return saved


def model() -> Any:
    return catalog.product_model()._default_manager


def file(product: Any) -> Path:
    image = next(iter(catalog.current().images(product)))
    return Path(image.file.storage.path(image.file.name))


def stored_name(product: Any) -> str:
    return str(next(iter(catalog.current().images(product))).file.name)


def found(**options: Any) -> set[Any]:
    """Return the products that the reconciler queues."""
    reconciled = reconciler.reconcile(**options)
    assert reconciled.after is None
    keys = set(ProductChange.objects.values_list("product_id", flat=True))
    assert reconciled.queued == len(keys)
    ProductChange.objects.all().delete()
    return keys


def rows() -> Any:
    """Return where the shop keeps its pictures, and the name of the field."""
    product = model().first()
    return (product.images.model.objects, "image") if hasattr(product, "images") else (model(), "picture")


def test_reconcile__finds_nothing_where_nothing_changed(products: list[Any]) -> None:
    assert reconciler.reconcile() == reconciler.Reconciled(checked=4, queued=0, after=None)
    assert found(deep=True) == set()


def test_reconcile__finds_an_update_of_the_file_name(products: list[Any]) -> None:
    manager, field = rows()
    source, target = products[:2]
    owner = {"product": target} if field == "image" else {"pk": target.pk}
    stored = next(iter(catalog.current().images(source))).file.name

    manager.filter(**owner).update(**{field: stored})

    assert found() == {target.pk}


def test_reconcile__finds_what_bulk_create_added(products: list[Any]) -> None:
    copied = model().get(pk=products[0].pk)
    copied.pk, copied._state.adding = None, True
    copied.slug = "copy"
    if hasattr(copied, "picture"):
        copied.pk = type(copied)._meta.pk.get_default()
    model().bulk_create([copied])
    if hasattr(copied, "images"):
        image = products[0].images.get()
        image.pk, image.product = None, copied
        type(image).objects.bulk_create([image])

    assert found() == {copied.pk}


def test_reconcile__finds_rows_that_raw_sql_deleted(products: list[Any]) -> None:
    ProductEmbedding.objects.filter(product=products[2])._raw_delete("default")

    assert found() == {products[2].pk}


def test_reconcile__finds_a_file_of_another_size_under_its_name(products: list[Any]) -> None:
    file(products[1]).write_bytes(factories.picture("teal", "bar", size=111))

    assert found() == {products[1].pk}


def test_reconcile__finds_a_file_of_the_same_size_by_its_time_and_bytes(products: list[Any]) -> None:
    path = file(products[1])
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    later = timezone.now() + timedelta(minutes=1)
    os.utime(path, (later.timestamp(), later.timestamp()))
    # Touched, but the same bytes.
    os.utime(file(products[0]), (later.timestamp(), later.timestamp()))

    assert found() == {products[1].pk}


def test_reconcile__deep_finds_bytes_whose_time_and_size_are_those_of_before(products: list[Any]) -> None:
    path = file(products[3])
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, (before.st_atime, before.st_mtime))

    assert found() == set()
    assert found(deep=True) == {products[3].pk}


def test_reconcile__finds_a_file_that_is_gone_once(products: list[Any]) -> None:
    file(products[0]).unlink()
    reconciler.reconcile()
    assert set(ProductChange.objects.values_list("product_id", flat=True)) == {products[0].pk}
    factories.embed()
    assert ProductEmbedding.objects.get(product=products[0]).error_code == "image_missing"

    assert found() == set()


def test_reconcile__finds_a_file_that_is_back(products: list[Any]) -> None:
    path = file(products[0])
    data = path.read_bytes()
    path.unlink()
    reconciler.reconcile()
    factories.embed()
    path.write_bytes(data)

    assert found() == {products[0].pk}


class Refusing(FileSystemStorage):
    """Says nothing of one file, as S3 does of one that the shop may not read: no error of the system's."""

    refused = ""

    def size(self, name: str) -> int:
        if name == self.refused:
            raise RuntimeError("An error occurred (403) when calling the HeadObject operation: Forbidden")
        return super().size(name)


def give_up() -> None:
    """Run the worker until what it can't read has failed."""
    for _ in range(queue.MOST_ATTEMPTS):
        QueuedProduct.objects.update(not_before=None)
        factories.embed()
    assert not QueuedProduct.objects.exists()


def test_reconcile__goes_on_after_a_file_that_its_storage_refuses(
    products: list[Any], settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.Refusing"}}
    first, *_, last = sorted(products, key=lambda product: product.pk)
    monkeypatch.setattr(Refusing, "refused", stored_name(first))
    file(last).write_bytes(factories.picture("teal", "bar", size=111))

    assert found() == {last.pk}
    assert f"{stored_name(first)} was replaced: An error occurred (403)" in caplog.text


def test_reconcile__goes_on_after_a_name_that_leads_out_of_the_storage(products: list[Any]) -> None:
    manager, field = rows()
    first, *_, last = sorted(products, key=lambda product: product.pk)
    manager.filter(**{"product" if field == "image" else "pk": first.pk}).update(**{field: "../outside.png"})
    reconciler.reconcile()
    give_up()
    assert ProductEmbedding.objects.get(product=first).error_code == "storage_failed"
    file(last).write_bytes(factories.picture("teal", "bar", size=111))

    assert found() == {last.pk}


class Locked(File):
    """A picture that is in no storage, and can't be read."""

    def __init__(self) -> None:
        super().__init__(None, "locked.png")

    def seek(self, *position: int) -> int:
        raise PermissionError("locked.png")


def test_reconcile__tries_a_file_again_that_is_in_no_storage_and_could_not_be_read(
    products: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def images(shop: Any, product: Any) -> Iterator[catalog.ProductImage]:
        yield catalog.ProductImage(key="1", file=Locked())

    monkeypatch.setattr(type(catalog.current()), "images", images)
    everything = {product.pk for product in products}
    assert reconciler.reconcile().queued == 4
    give_up()
    assert set(ProductEmbedding.objects.values_list("error_code", flat=True)) == {"storage_failed"}

    assert found() == everything


def test_reconcile__compares_every_index_that_is_kept(products: list[Any]) -> None:
    second = lifecycle.create()
    factories.embed()
    ProductEmbedding.objects.filter(index=second, product=products[1]).delete()

    assert found() == {products[1].pk}
    lifecycle.retire(second)
    assert found() == set()


def test_reconcile__goes_on_after_a_key(products: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "PRODUCTS_AT_ONCE", 3)
    keys = sorted(product.pk for product in products)
    for product in products:
        file(product).write_bytes(factories.picture("teal", "bar", size=111))

    first = reconciler.reconcile(deadline=0)
    second = reconciler.reconcile(after=str(first.after))

    assert first == reconciler.Reconciled(checked=3, queued=3, after=keys[2])
    assert second == reconciler.Reconciled(checked=1, queued=1, after=None)
    assert sorted(ProductChange.objects.values_list("product_id", flat=True)) == keys


def test_reconcile__what_it_queues_is_embedded(products: list[Any]) -> None:
    file(products[1]).write_bytes(factories.picture("teal", "bar", size=111))
    before = ProductEmbedding.objects.get(product=products[1]).source_sha256
    reconciler.reconcile()

    factories.embed()

    assert ProductEmbedding.objects.get(product=products[1]).source_sha256 != before
    assert not QueuedProduct.objects.exists()
    assert queue.claim(5) == []
    assert found(deep=True) == set()
