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


def percentile(times: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return float(np.percentile(times, 99))


def rate(times: Sequence[float]) -> float:
    """Return the calls in a second, one after the other."""
    return float(1000 / np.mean(times))
