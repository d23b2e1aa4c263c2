"""What the fault tests do again and again: start processes, kill them, let time pass, and bring the shop to rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from tests import factories, processes
from tests.faults import brokers, invariants
from visual_search.indexing.generations import progress
from visual_search.indexing.intake import nudge, sweeper
from visual_search.models import ProductEmbedding, QueuedProduct, SearchIndex

EVERYTHING = bool(os.environ.get("FAULTS"))
"""Whether `make faults` runs: longer races, more restarts."""

_started: list[subprocess.Popen[str]] = []

POOLS = {"solo": ["solo"], "prefork": ["prefork", "-c", "1"], "threads": ["threads", "-c", "1"]}

ROUNDS = 12
"""Sweeps within which the shop has to come to rest: attempts, their pauses, and the index that becomes live."""


def often(quick: int, thorough: int) -> int:
    """Return how often to try: `quick` in `make test`, `thorough` in `make faults`."""
    return thorough if EVERYTHING else quick


def some(values: Iterable[Any], *, quick: Collection[Any]) -> list[Any]:
    """Return parameters of a test: those in `quick` run in `make test`, the others in `make faults` alone."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.faults) for value in values]


def environment(*, broker: str = "filesystem", encoder: Any = None, **more: str) -> dict[str, str]:
    """Return the environment of a process under the settings of these tests."""
    if address := brokers.url(broker):
        more = {"CELERY_BROKER_URL": address, "FAULT_QUEUE": brokers.QUEUES[broker], **more}
    if encoder is not None:
        more["FAULT_ENCODERS"] = json.dumps([encoder])
    return processes.environment(**{"DJANGO_SETTINGS_MODULE": "tests.faults.settings", **more})


def python(program: str, **env: Any) -> subprocess.Popen[str]:
    """Start a Python process of the shop; the fixture of these tests ends it."""
    _started.append(processes.python(program, env=environment(**env)))
    return _started[-1]


def end_all() -> None:
    """End what `python` started and nobody waited for."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def finish(process: subprocess.Popen[str], *, seconds: float = 60) -> str:
    """Wait for `process` and return what it printed; fail where it failed."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return output


def kill(process: subprocess.Popen[Any], number: int = signal.SIGKILL) -> None:
    """End `process` by a signal, and wait for its end."""
    process.send_signal(number)
    process.wait(20)


def ready() -> set[Any]:
    """Return the products that have a vector in the live index."""
    rows = ProductEmbedding.objects.filter(state="ready", index__state="live")
    return set(rows.values_list("product_id", flat=True))


def outcomes(index: SearchIndex | None = None) -> dict[Any, str]:
    """Return the error code of each product's picture, "" for those that are ready."""
    rows = ProductEmbedding.objects.filter(index__state="live") if index is None else index.embeddings
    return dict(rows.values_list("product_id", "error_code"))


def pass_time() -> None:
    """Have leases run out and pauses end, as they do when an hour has passed on the database's clock."""
    QueuedProduct.objects.filter(lease_until__isnull=False).update(lease_until=F("lease_until") - timedelta(hours=1))
    end_pauses()


def end_pauses() -> None:
    """Have what was put off be due."""
    QueuedProduct.objects.filter(not_before__isnull=False).update(not_before=F("not_before") - timedelta(hours=1))


def settle(*, run: Callable[[], object] = factories.embed) -> None:
    """Sweep and `run` a worker until nothing is queued; then every invariant holds."""
    for _ in range(ROUNDS):
        pass_time()
        assert sweeper.sweep() is not None
        run()
        if not progress.outstanding():
            break
    invariants.check()


def worker(folder: Path, *arguments: str, broker: str = "filesystem", encoder: Any = None, **env: str) -> Any:
    """Run a Celery worker of the shop until the block ends."""
    number = len(list(folder.glob("worker-*.log")))
    return processes.worker(
        folder / f"worker-{number}.log",
        *arguments,
        env=environment(broker=broker, encoder=encoder, **env),
        queue=brokers.QUEUES[broker],
    )


def at_rest() -> bool:
    """Return whether nothing is queued; a worker that waits to be nudged is, and what was put off is due."""
    nudge._closed_from = 0.0
    end_pauses()
    sweeper.sweep()
    return not progress.outstanding()


def settle_by_worker(folder: Path, *arguments: str, seconds: float = 60, **options: Any) -> None:
    """Sweep, and let a real worker process run, until nothing is queued; then every invariant holds."""
    pass_time()
    with worker(folder, *arguments, **options):
        deadline = Deadline(seconds)
        while not at_rest():
            deadline.check()
    invariants.check()


class Deadline:
    """Seconds that something may take, looked at twice a second."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._seconds = seconds

    def check(self) -> None:
        """Wait half a second; fail where the time is over."""
        assert time.monotonic() < self._until, (
            f"not at rest after {self._seconds:g} s: {list(QueuedProduct.objects.values()[:3])}"
        )
        time.sleep(0.5)


def products(count: int, pictures: Sequence[bytes] | None = None) -> list[Any]:
    """Save products of different pictures and return them."""
    shapes = ("circle", "square", "bar")
    drawn = pictures or [
        factories.picture(factories.COLOURS[number % 8], shapes[number % 3], size=64 + number % 64)
        for number in range(count)
    ]
    return [factories.product(pictures=[drawn[number % len(drawn)]]) for number in range(count)]


def poisonous() -> bytes:
    """Return a picture that harms the encoders that can be harmed."""
    return factories.picture("white", "square", background="magenta")


def waits_for_lock(query: str) -> bool:
    """Return whether a statement that contains `query` waits for somebody in the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s)",
            [f"%{query}%"],
        )
        return bool(cursor.fetchone()[0])
