"""Programs for processes of the shop that save products, and what they print."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence

TIMED = """
import json, time, uuid
from tests import factories
from visual_search.indexing.intake import nudge

def timed(count):
    took = []
    for _ in range(count):
        started = time.perf_counter()
        product.save()
        took.append(time.perf_counter() - started)
    return took

product = factories.product(pictures=[], slug=uuid.uuid4().hex)
nudge._closed_from = time.monotonic() + 3_600
timed(20)
without = timed({count})
nudge._closed_from = 0.0
print(json.dumps([without, timed({count})]))
"""
"""Save one product again and again: without a nudge (the breaker is open), then with the broker as it is."""

REFUSED = """
import time
from visual_search.indexing.intake import nudge
for _ in range(3):
    nudge._closed_from, started = 0.0, time.monotonic()
    assert not nudge.send()
    print(time.monotonic() - started)
"""
"""Print how many seconds each of three nudges took that the broker refused."""

NEW = """
import uuid
from tests import factories
data = [factories.picture(colour, size=size) for colour in factories.COLOURS for size in (48, 64, 80)]
for number in range({count}):
    factories.product(pictures=[data[number % 24]], slug=uuid.uuid4().hex)
"""
"""Save new products, under names that no other process gives."""

ASKED = """
import uuid
from tests import factories
from visual_search.indexing.intake import nudge
nudge.SLOW = 2.0  # what is slow here is the machine
while input() == "save":
    print(factories.product(slug=uuid.uuid4().hex).pk, flush=True)
"""
"""Save a new product whenever the input has a line "save", and print its key."""


def ask(process: subprocess.Popen[str]) -> int:
    """Have a process that runs `ASKED` save a product; return its key."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("save\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def extra_milliseconds(process: subprocess.Popen[str], *, seconds: float = 120) -> tuple[float, str]:
    """Return how many milliseconds more a save took at p99 with the broker as it is, and what was logged."""
    output, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    without, with_broker = json.loads(output.splitlines()[-1])
    return (quantile(with_broker, 0.99) - quantile(without, 0.99)) * 1_000, errors


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` don't exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
