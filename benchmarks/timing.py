"""Times, and what is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[float], list[Any]]:
    """Return the milliseconds that each call took, and what it returned."""
    times, results = [], []
    for item in items:
        started = time.perf_counter()
        results.append(call(item))
        times.append((time.perf_counter() - started) * 1000)
    return times, results


def side_by_side(
    calls: Sequence[Callable[[Any], Any]], items: Sequence[Any], *, warm_up: int
) -> list[tuple[float, ...]]:
    """Return the milliseconds of each of `calls` for `items`.

    They take turns, and each is the first as often as the others: a busy moment meets all of them, and what one of them
    has brought into memory serves all of them alike.
    """
    for item in items[:warm_up]:
        for call in calls:
            call(item)
    found: list[list[float]] = [[] for _ in calls]
    for turn, item in enumerate(items):
        for number in range(turn, turn + len(calls)):
            found[number % len(calls)] += timed(calls[number % len(calls)], [item])[0]
    return [tuple(times) for times in found]


def percentile(times: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return float(np.percentile(times, 99))


def rate(times: Sequence[float]) -> float:
    """Return the calls in a second, one after the other."""
    return float(1000 / np.mean(times))
