from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.test import Client

from tests import factories, processes, sessions
from tests.faults import harness, invariants, postgres
from visual_search.indexing import reconciler
from visual_search.indexing.generations import graphs, hnsw, lifecycle, progress
from visual_search.models import ProductEmbedding, QueuedProduct

SLOW = {"name": "tests.faults.encoders.Slow", "seconds": 0.03}


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    with postgres.own() as server:
        yield server


@pytest.mark.faults
def test_f09__postgres_killed_and_started_under_load(folder: Path, server: postgres.Server) -> None:
    lifecycle.create([SLOW])
    product = harness.products(3)[0]
    factories.embed()
    address = f"/api/visual-search/v1/products/{product.pk}/similar/"
    with harness.worker(folder, encoder=SLOW) as process:
        for _ in range(3):
            harness.products(30)
            processes.wait_for(lambda: QueuedProduct.objects.filter(lease_token__isnull=False).exists(), seconds=60)
            server.kill()
            connection.close()
            response = Client(raise_request_exception=False).get(address)
            assert (response.status_code, response.headers.get("Retry-After")) == (503, "10")
            server.start()
            connection.close()
            started = time.monotonic()
            assert Client().get(address).status_code == 200
            assert time.monotonic() - started < 2
            harness.pass_time()
            deadline = harness.Deadline(90)
            while not harness.at_rest():
                harness.pass_time()
                deadline.check()
        assert process.poll() is None, "the worker outlived it"
    invariants.check()
    assert set(harness.outcomes().values()) == {""}


@pytest.mark.faults
def test_f11__database_is_read_only_for_a_while(server: postgres.Server) -> None:
    products = harness.products(5)
    factories.embed()
    late = harness.products(3)
    postgres.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    connection.close()
    try:
        assert Client().get(f"/api/visual-search/v1/products/{products[0].pk}/similar/").status_code == 200
        with pytest.raises(Exception, match="read-only"):
            factories.embed()
        with pytest.raises(Exception, match="read-only"):
            late[0].save()
    finally:
        postgres.execute("SET default_transaction_read_only = off")
        postgres.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        connection.close()
    harness.settle()
    assert len(harness.ready()) == 8


def _migrate_in_vain(product: Any) -> None:
    postgres.execute("SET lock_timeout = '1s'")
    started = time.monotonic()
    with pytest.raises(OperationalError, match="lock timeout"):
        call_command("migrate", "visual_search", verbosity=0)
    assert time.monotonic() - started < 5
    type(product)._default_manager.get(pk=product.pk)


def test_f23__migration_gives_up_soon_where_a_table_is_busy() -> None:
    """Ours only adds tables; the shop's product table, which they refer to, is locked no longer than it allows."""
    product = factories.product()

    @contextmanager
    def selling() -> Iterator[None]:
        with transaction.atomic():
            type(product)._default_manager.filter(pk=product.pk).update(stock=1)
            yield

    call_command("migrate", "visual_search", "zero", verbosity=0)
    try:
        with sessions.within(selling()):
            _migrate_in_vain(product)
    finally:
        postgres.execute("RESET lock_timeout")
        call_command("migrate", "visual_search", verbosity=0)
    product.save()
    harness.settle()
    assert set(harness.outcomes()) == {product.pk}


@pytest.mark.faults
def test_f34__restored_from_an_older_dump(folder: Path, server: postgres.Server) -> None:
    products = harness.products(12)
    factories.embed()
    dump = folder / "dump"
    dump.write_bytes(server.run("pg_dump", "-Fc", "postgres"))

    replaced, deleted = products[0], products[1]
    image = replaced.images.get()
    Path(image.image.path).write_bytes(factories.picture("teal", "bar", size=90))
    image.save()
    Path(products[2].images.get().image.path).unlink()
    deleted.delete()
    harness.products(3)
    factories.embed()
    connection.close()
    server.run("pg_restore", "--clean", "--if-exists", "-d", "postgres", str(dump))

    found = reconciler.reconcile(deep=True)

    assert found.checked == 12
    assert found.queued == 2, "the replaced file and the missing one"
    harness.settle()
    assert ProductEmbedding.objects.get(product=products[2]).error_code == "image_missing"
    assert not progress.outstanding()


@pytest.mark.faults
def test_f37__postgres_in_a_container_with_little_shared_memory(caplog: pytest.LogCaptureFixture) -> None:
    with postgres.own(shared_memory="8m"):
        # Helpers are Postgres's choice, by the size of the table.
        postgres.execute("ALTER SYSTEM SET min_parallel_table_scan_size = 0")
        postgres.execute("SELECT pg_reload_conf()")
        connection.close()
        harness.products(5)

        index = factories.embed()

        assert index is not None
        assert hnsw.valid(index.pk)
        assert caplog.text.count("is built by one process") == 1
        graphs.rebuild(index)
        assert hnsw.valid(index.pk)
        assert caplog.text.count("is built by one process") == 2
        assert _indexes(index.pk) == [hnsw.name(index.pk)], "nothing is left of the builds that failed"


def _indexes(index: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE %s", [f"{hnsw.name(index)}%"])
        return [name for (name,) in cursor.fetchall()]
