from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models.functions import Now

from tests import factories
from visual_search import catalog, conf, exceptions, models
from visual_search.catalog import ProductImage
from visual_search.encoders import registry
from visual_search.indexing import worker
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import changes, leases, queue

pytestmark = pytest.mark.django_db


def rows(index: models.SearchIndex | None = None) -> list[tuple[Any, ...]]:
    found = models.ProductEmbedding.objects.order_by("product_id", "position", "image_key")
    return list(found.values_list("product_id", "state", "error_code"))


def test_worker__makes_the_first_index_and_activates_it() -> None:
    products = [factories.product() for _ in range(3)]

    index = factories.embed()

    assert index is not None
    assert (index.state, index.fitted_on, index.dimensions) == ("live", 3, 64)
    assert index.parts == [{"name": "tiny", "dimensions": 64, "share": 1.0}]
    assert index.fingerprint != ""
    assert sorted(rows()) == sorted((product.pk, "ready", "") for product in products)
    assert not models.QueuedProduct.objects.exists()
    assert not models.ProductChange.objects.exists()
    assert not models.FitSample.objects.exists()


def test_worker__stores_centred_unit_vectors_and_their_lengths() -> None:
    pictures = {factories.product(pictures=[data]).pk: data for data in (
        factories.picture(colour, shape, size=96 + number)
        for number, (colour, shape) in enumerate((c, s) for c in factories.COLOURS for s in ("circle", "square", "bar"))
    )}  # fmt: skip
    factories.embed()

    stored = {row.product_id: row for row in models.ProductEmbedding.objects.defer(None)}
    encoder = registry.load("tiny", **conf.machine())
    from visual_search.images import decode

    raw = encoder.encode([decode.decode(data, min_size=encoder.input_size) for data in pictures.values()])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    centred = unit - unit.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1)
    for key, expected, length in zip(pictures, centred / lengths[:, None], lengths, strict=True):
        assert stored[key].part_lengths == pytest.approx([length], rel=1e-3)
        assert stored[key].embedding == pytest.approx(expected, abs=2e-3)


def test_worker__a_bad_picture_fails_alone() -> None:
    good = factories.product()
    bad = factories.product(pictures=[b"not a picture at all"])
    empty = factories.product(pictures=[b"x"])
    gone = factories.product()
    models_of = catalog.current().images(gone)
    for image in models_of:
        image.file.storage.delete(image.file.name)

    factories.embed()

    assert sorted(rows()) == sorted(
        [
            (good.pk, "ready", ""),
            (bad.pk, "failed", "image_format"),
            (empty.pk, "failed", "image_format"),
            (gone.pk, "failed", "image_missing"),
        ]
    )
    message = models.ProductEmbedding.objects.get(product=gone).error_message
    assert "missing from the storage" in message


def test_worker__a_product_without_pictures() -> None:
    factories.product(pictures=[])
    factories.product()

    factories.embed()

    assert len(rows()) == 1
    assert not models.QueuedProduct.objects.exists()


def test_worker__a_replaced_picture_gets_a_new_vector() -> None:
    product = factories.product(pictures=[factories.picture("crimson")])
    factories.product(pictures=[factories.picture("teal", "bar")])
    factories.embed()
    before = models.ProductEmbedding.objects.defer(None).get(product=product)

    image = next(iter(catalog.current().images(product)))
    image.file.storage.delete(image.file.name)
    image.file.storage.save(image.file.name, ContentFile(factories.picture("teal", "bar")))
    product.save()
    factories.embed()

    after = models.ProductEmbedding.objects.defer(None).get(product=product)
    assert after.pk == before.pk
    assert after.source_sha256 != before.source_sha256
    assert after.embedding != before.embedding


def test_worker__unchanged_bytes_are_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    product = factories.product()
    factories.embed()
    before = models.ProductEmbedding.objects.get(product=product).updated_at
    encoded: list[int] = []
    encoder = registry.load("tiny", **conf.machine())
    real = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda images: encoded.append(len(images)) or real(images))

    product.save()
    factories.embed()

    assert sum(encoded) == 0
    assert models.ProductEmbedding.objects.get(product=product).updated_at == before


def test_worker__a_deleted_product_takes_its_rows_along() -> None:
    product = factories.product()
    factories.product()
    factories.embed()
    product.save()
    changes.fold()
    key = product.pk

    table, column = product._meta.db_table, product._meta.pk.column
    with connection.cursor() as cursor:
        if hasattr(product, "images"):
            cursor.execute(f"DELETE FROM {product.images.model._meta.db_table} WHERE product_id = %s", [key])
        cursor.execute(f"DELETE FROM {table} WHERE {column} = %s", [key])

    assert not models.ProductEmbedding.objects.filter(product_id=key).exists()
    assert not models.QueuedProduct.objects.filter(product_id=key).exists()
    factories.embed()
    assert not models.ProductChange.objects.exists()


def test_worker__a_save_while_it_embeds_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    product = factories.product()
    factories.embed()
    encoder = registry.load("tiny", **conf.machine())
    real, saved = encoder.encode, []

    def encode(images: Any) -> Any:
        if images and not saved:
            saved.append(True)
            product.save()
            changes.fold()
        return real(images)

    image = next(iter(catalog.current().images(product)))
    image.file.storage.delete(image.file.name)
    image.file.storage.save(image.file.name, ContentFile(factories.picture("purple", "bar")))
    product.save()
    monkeypatch.setattr(encoder, "encode", encode)
    worker.step()

    assert models.QueuedProduct.objects.filter(product=product).exists()
    factories.embed()
    assert not models.QueuedProduct.objects.exists()
    assert len(rows()) == 1


def test_worker__an_index_for_other_weights_is_not_filled() -> None:
    product = factories.product()
    index = factories.embed()
    models.SearchIndex.objects.filter(pk=index.pk).update(fingerprint="0" * 64)
    product.save()

    with pytest.raises(exceptions.EncoderError) as caught:
        worker.step()

    assert caught.value.code == "encoder_changed"
    queued = models.QueuedProduct.objects.get()
    assert (queued.attempts, queued.lease_token) == (0, None)


def test_worker__fills_a_second_index_beside_the_live_one() -> None:
    products = [factories.product() for _ in range(3)]
    first = factories.embed()
    second = lifecycle.create()
    factories.product()

    factories.embed()

    second.refresh_from_db()
    assert (second.state, models.SearchIndex.objects.live()) == ("ready", first)
    assert models.ProductEmbedding.objects.filter(index=second).count() == len(products) + 1
    assert models.ProductEmbedding.objects.filter(index=first).count() == len(products) + 1
    assert lifecycle.activate(second) == first
    first.refresh_from_db()
    assert (models.SearchIndex.objects.live(), first.state) == (second, "previous")


def test_worker__an_index_whose_encoder_is_missing_stops_no_other() -> None:
    factories.product()
    live: Any = factories.embed()
    lifecycle.create(["tests.faults.encoders.Missing"])
    product = factories.product()

    with pytest.raises(exceptions.EncoderError, match="has no 'Missing'"):
        factories.embed()

    assert live.embeddings.filter(product=product, state="ready").exists()


def test_worker__a_former_index_with_other_weights_stops_no_other() -> None:
    factories.product()
    former: Any = factories.embed()
    live = lifecycle.create()
    factories.embed()
    lifecycle.activate(live)
    models.SearchIndex.objects.filter(pk=former.pk).update(fingerprint="0" * 64)
    product = factories.product()

    factories.embed()

    assert live.embeddings.filter(product=product, state="ready").exists()
    left = models.QueuedProduct.objects.get()
    assert (left.index_id, left.attempts, left.lease_token) == (former.pk, 0, None)


def test_worker__a_stop_ends_it_after_the_batch() -> None:
    for _ in range(3):
        factories.product()
    assert worker.run(seconds=60, stopped=lambda: True)
    assert not models.ProductEmbedding.objects.exists()


def test_worker__a_stop_in_a_batch_gives_the_lease_back(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()
    factories.embed()
    product = factories.product()

    def stop(*arguments: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(registry.load("tiny", **conf.machine()), "encode", stop)
        with pytest.raises(SystemExit):
            worker.step()

    left = models.QueuedProduct.objects.get(product=product)
    assert (left.attempts, left.lease_token) == (0, None)
    factories.embed()
    assert not models.QueuedProduct.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_worker__keeps_the_leases_of_all_while_it_looks_for_the_picture_at_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    products = [factories.product() for _ in range(8)]
    index = factories.embed()
    for product in products:
        factories.add_picture(product, factories.picture("teal"))
    lost: list[int] = []

    def fail(*_: Any, **__: Any) -> None:
        time.sleep(0.2)
        lost.append(models.QueuedProduct.objects.filter(index=index, lease_until__lt=Now()).count())
        raise ValueError

    monkeypatch.setattr(worker, "embed", fail)
    monkeypatch.setattr(leases, "RENEWED_EVERY", 0.3)
    monkeypatch.setattr(queue, "LEASE_SECONDS", 1)

    worker.step()

    assert lost == [0] * (1 + len(products)), "all together, then one after the other"


class Garbled(type(catalog.current())):  # type: ignore[misc]
    def images(self, product: Any) -> Any:
        raise ValueError("a\0b")


def test_worker__what_a_catalog_says_of_its_failure_can_be_stored(settings: Any) -> None:
    factories.product()
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG=f"{__name__}.Garbled")

    factories.embed()

    assert models.ProductEmbedding.objects.get().error_message == "ValueError: a b"
    assert not models.QueuedProduct.objects.exists()


class Unstorable(type(catalog.current())):  # type: ignore[misc]
    def images(self, product: Any) -> Any:
        yield ProductImage(key="a\0b", file=ContentFile(b"", name="a"))


def test_worker__a_key_that_cannot_be_stored_is_the_catalogs_failure(settings: Any) -> None:
    factories.product()
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG=f"{__name__}.Unstorable")

    factories.embed()

    assert rows()[0][1:] == ("failed", "catalog_failed")
