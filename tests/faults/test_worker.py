from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from tests import factories, processes, sessions
from tests.faults import harness, invariants, points
from visual_search.indexing import worker
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import queue, sweeper
from visual_search.models import ProductChange, ProductEmbedding, QueuedProduct

SLOW = {"name": "tests.faults.encoders.Slow", "seconds": 0.05}


@pytest.mark.parametrize("point", harness.some(points.POINTS, quick=("written",)))
def test_f06__worker_killed_mid_batch(folder: Path, point: str) -> None:
    harness.products(20)
    factories.embed()
    pictures = harness.products(40)
    died = folder / "died"

    with harness.worker(folder, FAULT_POINT=f"{point}:{1 if point != 'read' else 7}:{died}") as process:
        process.wait(30)

    assert process.returncode == -signal.SIGKILL
    assert died.exists()
    invariants.check(waiting=True)
    harness.settle()
    assert len(harness.ready()) == 20 + len(pictures)


@pytest.mark.faults
def test_f07__worker_frozen_longer_than_its_lease(folder: Path) -> None:
    lifecycle.create([SLOW])
    harness.products(2)
    factories.embed()
    with harness.worker(folder, encoder=SLOW) as process:
        first = harness.products(30)
        processes.wait_for(lambda: QueuedProduct.objects.filter(lease_token__isnull=False).exists())
        process.send_signal(signal.SIGSTOP)
        harness.pass_time()
        for product in first[:10]:
            product.images.get().delete()
            factories.add_picture(product, factories.picture("teal", "bar"))
        harness.settle()
        before = dict(ProductEmbedding.objects.values_list("pk", "updated_at"))

        process.send_signal(signal.SIGCONT)
        time.sleep(3)

        assert dict(ProductEmbedding.objects.values_list("pk", "updated_at")) == before
    invariants.check()


def test_f16__product_deleted_while_it_is_embedded(folder: Path) -> None:
    harness.products(5)
    factories.embed()
    with harness.worker(folder) as process:
        for product in harness.products(harness.often(40, 1_000)):
            product.delete()
        assert process.poll() is None
    harness.settle()
    assert len(harness.outcomes()) == 5
    text = "\n".join(log.read_text() for log in folder.glob("worker-*.log"))
    assert "Traceback" not in text, text[-4_000:]


def test_f17__picture_replaced_while_it_is_embedded(folder: Path) -> None:
    products = harness.products(10)
    factories.embed()
    with harness.worker(folder):
        for number in range(harness.often(40, 1_000)):
            product = products[number % 10]
            data = factories.picture(factories.COLOURS[number % 8], size=50 + number % 97)
            image = product.images.get()
            if number % 2:
                # Under its name: first the bytes, then the save that tells of them.
                Path(image.image.path).write_bytes(data)
                image.save()
            else:
                image.delete()
                factories.add_picture(product, data)
        invariants.check(waiting=True)
    harness.settle()


@pytest.mark.faults
@pytest.mark.parametrize("days", [-1, 1])
def test_f22__clock_of_the_worker_is_wrong(folder: Path, days: int) -> None:
    (folder / "sitecustomize.py").write_text(
        f"import time\nreal = time.time\ntime.time = lambda: real() + {days * 86_400}\n"
    )
    lifecycle.create([SLOW])
    harness.products(2)
    factories.embed()
    with harness.worker(folder, encoder=SLOW, PYTHONPATH=str(folder)) as process:
        harness.products(30)
        leased = QueuedProduct.objects.filter(lease_token__isnull=False)
        processes.wait_for(leased.exists)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(extract(epoch FROM lease_until - now())) FROM visual_search_queuedproduct"
                " WHERE lease_token IS NOT NULL"
            )
            left = cursor.fetchone()[0]
        assert left is None or 0 < left <= queue.LEASE_SECONDS
        swept = sweeper.sweep()
        assert swept is not None
        assert swept.expired == 0, "a lease that runs is nobody's to take"
        processes.wait_for(lambda: not QueuedProduct.objects.exists(), seconds=30)
        assert process.poll() is None
    harness.settle()


def test_f35__four_sweepers_and_workers_at_once() -> None:
    harness.products(60)
    factories.embed()
    factories.refill(lifecycle.create(["tiny"]))
    found: list[Any] = []
    claimed: list[Any] = []

    def sweep_and_claim() -> None:
        found.append(sweeper.sweep())
        while claims := queue.claim(7):
            claimed.extend((claim.index, claim.product) for claim in claims)
        connection.close()

    worker.step()  # the fit
    threads = [threading.Thread(target=sweep_and_claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert any(swept is not None for swept in found)
    assert len(claimed) == len(set(claimed)), "one product was claimed twice"
    harness.settle()


def test_f35__a_second_sweep_meanwhile_does_nothing() -> None:
    @contextmanager
    def sweeping() -> Iterator[None]:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('visual_search.sweep'))")
            yield

    with sessions.within(sweeping()):
        assert sweeper.sweep() is None


@pytest.mark.parametrize("pool", harness.some(harness.POOLS, quick=("solo",)))
def test_f36__rolling_deploy_under_load(folder: Path, pool: str) -> None:
    harness.products(3)
    lifecycle.create([SLOW])
    took = []
    for restart in range(harness.often(1, 20)):
        with harness.worker(folder, "-P", *harness.POOLS[pool], encoder=SLOW) as process:
            harness.products(15)
            time.sleep(0.1 * (restart % 7))
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            took.append(time.monotonic() - started)
        assert process.returncode == 0
        assert not QueuedProduct.objects.filter(lease_token__isnull=False).exists(), "a lease is left"
    harness.settle()
    assert max(took) <= 10
    assert not ProductChange.objects.exists()
    print(f"{pool}: the slowest of {len(took)} stops took {max(took):.1f} s")
