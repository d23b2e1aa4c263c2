from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from example_shop.catalogue.visual_search import ShopCatalog
from tests import factories, processes
from tests.faults import harness, invariants, storages
from visual_search.indexing.intake import queue
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import embedding
from visual_search.models import ProductEmbedding, QueuedProduct

BACKEND = "tests.faults.storages.Unreliable"


@pytest.fixture
def media(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a storage that misbehaves as the test orders; a second is long for it."""
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": BACKEND}}
    monkeypatch.setattr(pictures._readers, "seconds", 1.0)
    return Path(django_settings.MEDIA_ROOT)


def name(product: Any) -> str:
    return str(product.images.get().image.name)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("hangs", "storage_failed"),
        pytest.param("drips", "storage_failed", marks=pytest.mark.faults),
        ("forbidden", "storage_failed"),
        ("full", "storage_failed"),
        ("missing", "image_missing"),
        ("other", "image_format"),
    ],
)
def test_f26__storage_fails_for_one_picture(media: Path, wrong: str, code: str) -> None:
    good, bad = harness.products(5), harness.products(1)[0]
    storages.order(media, **{name(bad): wrong})

    factories.embed()
    index = QueuedProduct.objects.values_list("index_id", flat=True).first()
    tried = ProductEmbedding.objects.filter(product=bad).values_list("error_code", flat=True)
    if code == "storage_failed":
        assert (list(tried), index is None) == ([], False), "it is tried again before it fails"
    harness.settle()

    assert harness.outcomes() == {**{product.pk: "" for product in good}, bad.pk: code}


@pytest.mark.parametrize("wrong", ["hangs", "full"])
def test_f26__storage_is_away_and_comes_back(media: Path, wrong: str) -> None:
    harness.products(2)
    factories.embed()
    product = harness.products(1)[0]
    storages.order(media, **{"*": wrong})
    for _ in range(queue.MOST_ATTEMPTS - 1):
        harness.pass_time()
        factories.embed()
    assert product.pk not in harness.outcomes()

    storages.order(media)
    harness.settle()

    assert harness.outcomes()[product.pk] == ""


@pytest.mark.parametrize("wrong", ["full", "missing"])
def test_f26__storage_that_is_away_for_long_costs_no_vector(media: Path, wrong: str) -> None:
    products = harness.products(embedding.MANY_MISSING)
    index = factories.embed()
    assert index is not None
    right = {product.pk: "" for product in products}
    storages.order(media, **{"*": wrong})
    factories.refill(index, forced=True)

    for _ in range(2 * queue.MOST_ATTEMPTS):
        harness.pass_time()
        factories.embed()

    assert harness.outcomes() == right
    assert harness.ready() == right.keys()
    storages.order(media)
    harness.settle()
    assert harness.outcomes() == right


def test_f26__file_that_was_there_is_missing(media: Path) -> None:
    gone = harness.products(5)[0]
    index = factories.embed()
    assert index is not None
    storages.order(media, **{name(gone): "missing"})
    factories.refill(index)

    for _ in range(queue.MOST_ATTEMPTS):
        assert harness.outcomes()[gone.pk] == "", "it may be back soon"
        harness.pass_time()
        factories.embed()

    harness.settle()
    assert harness.outcomes()[gone.pk] == "image_missing"


def test_f26__catalog_that_fails_costs_no_vector(media: Path, settings: Any) -> None:
    products = harness.products(3)
    index = factories.embed()
    assert index is not None
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG="tests.faults.test_storage.FailingCatalog")
    factories.refill(index)

    for _ in range(2 * queue.MOST_ATTEMPTS):
        harness.pass_time()
        factories.embed()

    assert harness.outcomes() == {product.pk: "" for product in products}


class FailingCatalog(ShopCatalog):
    def images(self, product: Any) -> Any:
        raise ValueError("of a new release")


@pytest.mark.faults
def test_f26__hanging_storage_starves_no_worker(folder: Path) -> None:
    harness.products(5)
    factories.embed()
    media = Path(django_settings.MEDIA_ROOT)
    bad = harness.products(20)
    storages.order(media, **{name(product): "hangs" for product in bad})

    with harness.worker(folder, FAULT_STORAGE=BACKEND):
        good = harness.products(5)
        processes.wait_for(lambda: {product.pk for product in good} <= harness.ready(), seconds=30)
    storages.order(media)
    harness.settle()


def test_f21__database_has_no_space() -> None:
    harness.products(3)
    factories.embed()
    products = harness.products(10)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON visual_search_productembedding EXECUTE FUNCTION full_disk()"
        )
    try:
        for _ in range(5):
            harness.pass_time()
            with pytest.raises(Exception, match="No space left"):
                factories.embed()
        invariants.check(waiting=True)
        assert set(QueuedProduct.objects.values_list("attempts", "lease_token")) == {(0, None)}
        assert Client().get(f"/api/visual-search/v1/products/{products[0].pk}/similar/").status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION full_disk CASCADE")
    harness.settle()
    assert set(harness.outcomes().values()) == {""}


def test_f21__media_are_full(media: Path) -> None:
    products = harness.products(3)
    storages.order(media, **{"*": "full"})
    factories.embed()
    assert not ProductEmbedding.objects.filter(state="failed").exists()

    storages.order(media)
    harness.settle()

    assert harness.outcomes() == {product.pk: "" for product in products}


@pytest.mark.django_db(transaction=True)
def test_f27__slow_clients_do_not_hold_up_the_others(live_server: Any) -> None:
    products = harness.products(5)
    factories.embed()
    address = (live_server.thread.host, live_server.thread.port)
    head = (
        b"POST /api/visual-search/v1/search/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    )
    slow = []
    for _ in range(harness.often(20, 200)):
        client = socket.create_connection(address)
        client.sendall(head)
        slow.append(client)
    try:
        took = []
        for product in products * 4:
            started = time.monotonic()
            assert _get(address, f"/api/visual-search/v1/products/{product.pk}/similar/").startswith(b"HTTP/1.1 200")
            took.append(time.monotonic() - started)
        assert sorted(took)[len(took) // 2] < 1
    finally:
        for client in slow:
            client.close()


def _get(address: tuple[str, int], path: str) -> bytes:
    with socket.create_connection(address) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65_536):
            answer += data
        return answer
