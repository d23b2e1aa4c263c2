from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests import factories, processes
from tests.faults import harness, invariants
from visual_search import conf
from visual_search.encoders import joined
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import queue
from visual_search.models import QueuedProduct


@pytest.mark.faults
def test_f12__device_out_of_memory_halves_the_batch_and_remembers(folder: Path) -> None:
    log = folder / "batches"
    encoder = {"name": "tests.faults.encoders.cramped", "fits": 5, "log": str(log)}
    lifecycle.create([encoder])
    products = harness.products(40)

    harness.settle_by_worker(folder, encoder=encoder)

    assert harness.outcomes() == dict.fromkeys((product.pk for product in products), "")
    sizes = [int(line) for line in log.read_text().split()]
    assert max(sizes) == 16
    assert [size for size in sizes if size > 5] == [16, 8], "the size that fits is remembered"


def test_f12__not_even_one_picture_fits(folder: Path) -> None:
    product = harness.products(1)[0]
    index = factories.embed()
    assert index is not None
    encoder = {"name": "tests.faults.encoders.cramped", "fits": 1, "log": str(folder / "batches")}
    second = lifecycle.create([encoder])
    factories.embed()
    small = joined.load([encoder], **conf.machine()).encoders[0]
    small._network.body.forward = _out_of_memory  # type: ignore[attr-defined]
    product.images.get().delete()
    factories.add_picture(product, factories.picture("teal", "bar"))
    factories.embed()

    assert harness.outcomes(index) == {product.pk: ""}
    left = QueuedProduct.objects.get()
    assert (left.index_id, left.attempts, left.lease_token) == (second.pk, 0, None)


def _out_of_memory(*arguments: Any) -> Any:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.faults
@pytest.mark.parametrize("pool", harness.POOLS)
def test_f13__device_lost_ends_the_process(folder: Path, pool: str) -> None:
    log = folder / "lost"
    encoder = {"name": "tests.faults.encoders.lost", "log": str(log)}
    lifecycle.create([encoder])
    harness.products(20)

    with harness.worker(folder, "-P", *harness.POOLS[pool], encoder=encoder) as process:
        processes.wait_for(lambda: log.exists() and log.read_text() != "", seconds=60)
        lost = int(log.read_text())
        processes.wait_for(lambda: process.poll() is not None or lost != process.pid, seconds=20)
        if pool == "prefork":
            # Celery's own process is the supervisor: it replaces its child.
            processes.wait_for(lambda: not Path(f"/proc/{lost}").exists())
            processes.wait_for(harness.at_rest, seconds=60)
        else:
            assert process.returncode == 1
    assert not QueuedProduct.objects.filter(lease_token__isnull=False).exists()

    harness.settle_by_worker(folder, encoder=encoder)
    assert set(harness.outcomes().values()) == {""}


@pytest.mark.parametrize("place", [0, 3])
def test_f14__corrupt_picture_inside_a_batch(place: int) -> None:
    harness.products(3)
    factories.embed()
    pictures = [factories.picture(size=60 + number) for number in range(32)]
    bad = range(place, 32, 8) if place else [0]
    for number in bad:
        pictures[number] = pictures[number][: len(pictures[number]) // 2]
    products = harness.products(32, pictures)

    harness.settle()

    codes = harness.outcomes()
    failed = {number for number, product in enumerate(products) if codes[product.pk]}
    assert failed == set(bad)
    assert {codes[products[number].pk] for number in bad} == {"image_unreadable"}


@pytest.mark.parametrize("when", harness.some(("fit", "fill"), quick=("fill",)))
def test_f15__picture_that_kills_the_process(folder: Path, when: str) -> None:
    log = folder / "deaths"
    encoder = {"name": "tests.faults.encoders.Deadly", "log": str(log)}
    lifecycle.create([encoder])
    if when == "fill":
        harness.products(2)
        harness.settle()
    good = harness.products(20)
    poison = harness.products(1, [harness.poisonous()])[0]

    for _ in range(5):
        harness.pass_time()
        with harness.worker(folder, encoder=encoder) as process:
            deadline = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < deadline and not harness.at_rest():
                time.sleep(0.2)
        if process.returncode != -signal.SIGKILL:
            break

    assert len(log.read_text().split()) <= queue.MOST_ATTEMPTS
    invariants.check()
    assert {key: code for key, code in harness.outcomes().items() if code} == {poison.pk: "worker_died"}
    assert harness.ready() >= {product.pk for product in good}


@pytest.mark.parametrize("kind", ["Failing", "Undefined"])
@pytest.mark.parametrize("when", ["fit", "fill"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_f15__picture_that_the_encoder_fails_for(kind: str, when: str, place: str) -> None:
    index = lifecycle.create([f"tests.faults.encoders.{kind}"])
    if when == "fill":
        harness.products(2)
        harness.settle()
    good = harness.products(20) if place == "last" else []
    poison = harness.products(1, [harness.poisonous()])[0]
    good = good or harness.products(20)
    factories.embed()
    assert harness.outcomes(index).keys() >= {product.pk for product in good}, "neighbours wait for nothing"

    for _ in range(queue.MOST_ATTEMPTS):
        harness.pass_time()
        factories.embed()

    harness.settle()
    code = {"Failing": "encoder_failed", "Undefined": "encoder_not_finite"}[kind]
    assert {key: code for key, code in harness.outcomes().items() if code} == {poison.pk: code}
