"""Draw products in processes of their own, which load neither Django nor the models."""

from __future__ import annotations

import io
import multiprocessing
import signal
from collections.abc import Generator, Sequence
from concurrent import futures

from example_shop import drawing

SIZE = 800
QUALITY = 88
PROCESSES = 2
BATCH = 4
"""Products that a process draws at a time: a picture takes tens of milliseconds, a hand-over about one."""

_products: list[drawing.DrawnProduct] = []


def pictures(
    numbers: Sequence[int], *, seed: int, products_per_kind: int
) -> Generator[tuple[int, list[bytes]], None, None]:
    """Yield (number, its pictures as JPEG) for the products of those numbers in the drawn catalogue, in order."""
    pool = futures.ProcessPoolExecutor(
        max_workers=PROCESSES,
        # A forked child would share this process's database connection.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(seed, products_per_kind),
    )
    try:
        yield from zip(numbers, pool.map(_draw, numbers, chunksize=BATCH), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _start(seed: int, products_per_kind: int) -> None:
    # Ctrl-C reaches the whole group; the parent is the one that ends the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _products.extend(drawing.catalogue(seed, products_per_kind=products_per_kind))


def _draw(number: int) -> list[bytes]:
    drawn = []
    for view in _products[number].views:
        buffer = io.BytesIO()
        view.render(SIZE).save(buffer, "JPEG", quality=QUALITY, optimize=True, progressive=True)
        drawn.append(buffer.getvalue())
    return drawn
