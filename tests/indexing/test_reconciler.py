from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from tests import factories, sessions
from visual_search import catalog
from visual_search.indexing import locks, reconciler
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import queue
from visual_search.indexing.sources import readers
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


def reconcile(**options: Any) -> reconciler.Reconciled:
    """Reconcile where nobody else does."""
    reconciled = reconciler.reconcile(**options)
    assert reconciled is not None
    return reconciled


def found(**options: Any) -> set[Any]:
    """Return the products that the reconciler queues."""
    reconciled = reconcile(**options)
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


def look_for_it() -> None:
    """Embed until a file that was there has been missing often enough."""
    for _ in range(queue.MOST_ATTEMPTS):
        QueuedProduct.objects.filter(not_before__isnull=False).update(not_before="2000-01-01T00:00Z")
        factories.embed()


def test_reconcile__finds_a_file_that_is_gone_once(products: list[Any]) -> None:
    file(products[0]).unlink()
    reconciler.reconcile()
    assert set(ProductChange.objects.values_list("product_id", flat=True)) == {products[0].pk}
    look_for_it()
    assert ProductEmbedding.objects.get(product=products[0]).error_code == "image_missing"

    assert found() == set()


def test_reconcile__finds_a_file_that_is_back(products: list[Any]) -> None:
    path = file(products[0])
    data = path.read_bytes()
    path.unlink()
    reconciler.reconcile()
    look_for_it()
    path.write_bytes(data)

    assert found() == {products[0].pk}


class Slow(FileSystemStorage):
    """Takes a while for each answer, and no end of it for some files."""

    SECONDS = 0.1
    release = threading.Event()
    hanging: frozenset[str] = frozenset()

    def size(self, name: str) -> int:
        time.sleep(self.SECONDS)
        if name in self.hanging:
            self.release.wait(20)
        return super().size(name)


@pytest.fixture
def slow(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Slow]]:
    """Yield the shop's storage, which answers slowly, and is given up after a second."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.Slow"}}
    monkeypatch.setattr(reconciler, "_readers", readers.Readers(threads=2, seconds=1))
    monkeypatch.setattr(Slow, "release", threading.Event())
    yield Slow
    Slow.release.set()


def test_reconcile__keeps_to_its_deadline_where_the_storage_is_slow(slow: type[Slow]) -> None:
    keys = sorted(factories.product().pk for _ in range(30))
    factories.embed()
    for image in map(file, model().all()):
        image.write_bytes(factories.picture("teal", "bar", size=111))
    started = time.monotonic()

    first = reconcile(deadline=started + 0.3)

    assert time.monotonic() - started < 1.2
    assert 0 < first.checked < 20
    assert first == reconciler.Reconciled(checked=first.checked, queued=first.checked, after=keys[first.checked - 1])
    rest = 30 - first.checked
    assert reconcile(after=first.after) == reconciler.Reconciled(checked=rest, queued=rest, after=None)


def test_reconcile__gives_a_file_up_that_the_storage_never_answers_for(
    products: list[Any], slow: type[Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_, last = sorted(products, key=lambda product: product.pk)
    monkeypatch.setattr(Slow, "hanging", frozenset({stored_name(first)}))
    file(last).write_bytes(factories.picture("teal", "bar", size=111))
    started = time.monotonic()

    assert found() == {last.pk}
    assert time.monotonic() - started < 10


def test_reconcile__ends_where_the_storage_is_away_and_goes_on_from_there(
    slow: type[Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    products = sorted((factories.product() for _ in range(12)), key=lambda product: product.pk)
    factories.embed()
    monkeypatch.setattr(Slow, "hanging", frozenset(map(stored_name, products)))

    first = reconcile()

    assert first == reconciler.Reconciled(
        checked=first.checked, queued=0, after=products[first.checked - 1].pk, away=True
    )
    assert first.checked < 12
    monkeypatch.setattr(Slow, "hanging", frozenset())
    assert reconcile(after=first.after).checked == 12 - first.checked


def test_reconcile__leaves_it_to_another_that_is_at_it(products: list[Any]) -> None:
    with sessions.within(locks.alone(reconciler.LOCK, 0)):
        assert reconciler.reconcile() is None
    assert reconcile().checked == 4


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
    assert reconcile().queued == 4
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

    first = reconcile(deadline=0)
    second = reconcile(after=str(first.after))

    assert first == reconciler.Reconciled(checked=1, queued=1, after=keys[0])
    assert second == reconciler.Reconciled(checked=3, queued=3, after=None)
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
