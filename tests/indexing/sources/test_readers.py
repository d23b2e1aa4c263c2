from __future__ import annotations

import threading
import time

import pytest

from visual_search.indexing.sources import readers


def test_map__in_order_and_ahead_of_the_reader() -> None:
    seen: list[int] = []

    def read(number: int) -> int:
        seen.append(number)
        time.sleep(0.001 * (5 - number % 5))
        return number * 10

    results = readers.Readers(threads=4).map(read, range(50), ahead=8)

    assert next(results) == 0
    time.sleep(0.1)
    assert len(seen) == 9
    assert list(results) == [number * 10 for number in range(1, 50)]


def test_map__yields_what_was_raised() -> None:
    def read(number: int) -> int:
        return 1 // number

    zero, one = readers.Readers().map(read, [0, 1])

    assert isinstance(zero, ZeroDivisionError)
    assert one == 1


def test_map__gives_a_call_up_that_hangs_and_reads_on() -> None:
    release = threading.Event()

    def read(number: int) -> int:
        if number in (1, 2):
            release.wait(20)
        return number

    pool = readers.Readers(threads=2, seconds=0.3)
    started = time.monotonic()
    outcomes = list(pool.map(read, range(8)))
    release.set()

    assert [type(outcome) for outcome in outcomes] == [int, TimeoutError, TimeoutError, *[int] * 5]
    assert time.monotonic() - started < 3
    assert list(pool.map(read, [5, 6])) == [5, 6]


def test_map__abandoned_leaves_no_thread_hanging() -> None:
    release, hangs = threading.Event(), threading.Event()

    def read(number: int) -> int:
        if number:
            hangs.set()
            release.wait(20)
        return number

    pool = readers.Readers(threads=1, seconds=5)
    abandoned = pool.map(read, range(4), ahead=2)
    assert next(abandoned) == 0
    assert hangs.wait(5)
    abandoned.close()  # type: ignore[attr-defined]

    started = time.monotonic()
    assert list(pool.map(read, [0])) == [0]
    assert time.monotonic() - started < 3
    release.set()


@pytest.mark.parametrize("threads", [1, 8])
def test_map__of_nothing(threads: int) -> None:
    assert list(readers.Readers(threads=threads).map(str, [])) == []
