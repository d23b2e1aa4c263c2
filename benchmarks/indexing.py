"""How fast the worker goes through a catalogue: all new, unchanged, the writer alone; and how much memory it takes.

    python benchmarks/indexing.py [--quick] [--check]

It draws pictures of shop size into a folder of its own, and makes a database of its own, on an embedded Postgres under
.bench/ or on the server that DATABASE_URL names; both are gone in the end. Goals: a reindex of unchanged pictures takes
at most 4 times a bare loop of open, read and SHA-256 over the same files, and at most a tenth of a full one with the
default encoder; 20,000 vectors a second through the writer; memory that doesn't grow with the catalogue.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DEMO_DIR", str(ROOT / ".bench" / "indexing"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")
os.environ["DEBUG"] = "0"  # with it, Django keeps the last 9,000 queries

DRAWN = 40
SIZE = (1000, 1000)
PICTURES_EACH = 2
BATCH = 512
FULL = 1_000
ROUNDS = 5

MOST_OF_BARE, LEAST_OF_FULL, LEAST_WRITTEN, MOST_GROWTH, MOST_LATER_GROWTH = 4, 10, 20_000, 1.15, 1.05

DIMENSIONS = {256: True, 512: True, 1280: False}
"""Whether there is a goal: 1,280 are unprojected features, which Postgres stores out of line."""


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer pictures, under a minute")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()

    import django

    django.setup()
    if options.worker:
        work()
        print(high_water())
        return 0
    with own_database(), tempfile.TemporaryDirectory(dir=os.environ["DEMO_DIR"]) as media:
        from django.test.utils import override_settings

        with override_settings(MEDIA_ROOT=media):
            lines, missed = measure(Path(media), quick=options.quick)
    print("\n".join([*lines, *(f"Missed: {line}" for line in missed)]))
    return 1 if missed and options.check else 0


def measure(media: Path, *, quick: bool) -> tuple[list[str], list[str]]:
    """Return the figures, and where they miss a goal, a line each."""
    count, vectors, sizes = (1_000, 5_120, (1_000, 5_000)) if quick else (10_000, 20_480, (1_000, 10_000, 50_000))
    files = save(draw(), media, count=count)
    kilobytes = sum(path.stat().st_size for path in files) / count / 1000
    bare, unchanged, full = reindexed(files)
    rates = {dimensions: written(dimensions, vectors) for dimensions in DIMENSIONS}
    memory = {size: peak(size, files[:1_000]) for size in sizes}
    growth = memory[sizes[-1]] / memory[sizes[0]]
    # The allocator warms up on the first few thousand; what grows after that would be a leak.
    later = memory[sizes[-1]] / memory[sizes[-2]] if len(sizes) > 2 else 1.0

    lines = [
        f"{count:,} JPEGs of {SIZE[0]} x {SIZE[1]} pixels and {kilobytes:.0f} kB, {PICTURES_EACH} a product",
        f"{'bare loop':<24}{bare:10.3f} ms a picture",
        f"{'reindex, unchanged':<24}{unchanged:10.3f} ms a picture   {unchanged / bare:.1f} times the bare loop",
        f"{'reindex, all new':<24}{full:10.3f} ms a picture   {full / unchanged:.0f} times the unchanged one",
        *(f"{f'writer, {each} dimensions':<24}{rate:10,.0f} vectors/s" for each, rate in rates.items()),
        *(
            f"{f'memory, {size:,} pictures':<24}{megabytes:10.1f} MB   {megabytes / memory[sizes[0]]:.2f} times"
            for size, megabytes in memory.items()
        ),
    ]
    goals = {
        f"an unchanged reindex takes {unchanged / bare:.2f} times the bare loop; the goal is {MOST_OF_BARE} at most.":
            unchanged <= MOST_OF_BARE * bare,
        f"a full reindex takes {full / unchanged:.1f} times the unchanged one; the goal is {LEAST_OF_FULL} at least.":
            full >= LEAST_OF_FULL * unchanged,
        f"memory grows {growth:.2f} times; the goal is {MOST_GROWTH} at most.": growth <= MOST_GROWTH,
        f"memory grows {later:.2f} times after 10,000; the goal is {MOST_LATER_GROWTH} at most.":
            later <= MOST_LATER_GROWTH,
    } | {
        f"the writer takes {rates[each]:,.0f} vectors of {each} dimensions a second; the goal is {LEAST_WRITTEN:,}.":
            rates[each] >= LEAST_WRITTEN
        for each, wanted in DIMENSIONS.items() if wanted
    }  # fmt: skip
    return lines, [line for line, met in goals.items() if not met]


def draw() -> list[bytes]:
    """Return JPEGs that are about as large and as dear to decode as a shop's: soft shapes, texture, grain."""
    chance = np.random.default_rng(7)
    drawn = []
    for _ in range(DRAWN):
        coarse, fine = (
            np.asarray(Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC), np.float32)
            for small in (chance.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (7, 100))
        )
        grain = chance.normal(0, 2, (*SIZE, 1)).astype(np.float32)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(0.8 * coarse + 0.2 * fine + grain, 0, 255).astype(np.uint8)).save(
            buffer, "JPEG", quality=85
        )
        drawn.append(buffer.getvalue())
    return drawn


def catalogue(count: int, files: Sequence[Path]) -> None:
    """Make a catalogue of `count` pictures, which show `files` by turns, in place of the one that there was."""
    from django.db import connection

    from example_shop.catalogue.models import Category, Product, ProductImage
    from visual_search.models import SearchIndex

    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {Category._meta.db_table}, {SearchIndex._meta.db_table} CASCADE")
        category = Category.objects.create(name="Things", slug="things")
        products = Product.objects.bulk_create(
            Product(slug=str(number), name=str(number), category=category) for number in range(count // PICTURES_EACH)
        )
        ProductImage.objects.bulk_create(
            ProductImage(
                product=products[number // PICTURES_EACH],
                image=files[number % len(files)].name,
                position=number % PICTURES_EACH,
            )
            for number in range(count)
        )
        cursor.execute("ANALYZE")


def save(pictures: Sequence[bytes], media: Path, *, count: int) -> list[Path]:
    """Write `count` files with `pictures` by turns, each with another SHA-256: what follows a JPEG's end is free."""
    files = [media / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(files):
        path.write_bytes(pictures[number % len(pictures)] + str(number).encode())
    return files


def reindexed(files: Sequence[Path]) -> tuple[float, float, float]:
    """Return the milliseconds a picture of a bare loop over `files`, of an unchanged reindex, and of a full one.

    The best of some rounds, since what else the machine does only ever costs time. The full one is timed once, on the
    first pictures: with the default encoder and the fit, without HNSW. An unchanged picture never meets its encoder, so
    that the other two may have the tiny one.
    """
    from visual_search.conf import settings
    from visual_search.indexing.generations import lifecycle
    from visual_search.models import ProductEmbedding

    few = files[:FULL]
    index, took = embedded(few, settings.ENCODERS)
    assert ProductEmbedding.objects.filter(index=index, state="ready").count() == len(few), "not all were embedded"
    full = took / len(few)
    index, _ = embedded(files, ["tiny"])
    work()
    ready = ProductEmbedding.objects.filter(index=index, state="ready").order_by("pk").values_list("pk", "updated_at")
    before = list(ready)
    assert len(before) == len(files), f"{len(files) - len(before)} pictures were not embedded"
    bare, unchanged = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for path in files:
            with path.open("rb") as file:
                hashlib.sha256(file.read()).hexdigest()
        bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        lifecycle.fill(index)
        work()
        unchanged.append(time.perf_counter() - started)
    assert list(ready.all()) == before, "unchanged pictures were embedded again"
    return min(bare) / len(files) * 1000, min(unchanged) / len(files) * 1000, full * 1000


def embedded(files: Sequence[Path], encoders: Sequence[Any]) -> tuple[Any, float]:
    """Return an index of a catalogue that shows `files`, each picture once embedded, and the seconds that it took."""
    from visual_search.indexing import worker
    from visual_search.indexing.generations import lifecycle
    from visual_search.indexing.intake import refills
    from visual_search.models import QueuedProduct

    catalogue(len(files), files)
    started = time.perf_counter()
    index = lifecycle.create(list(encoders))
    while refills.is_going_on(index) or QueuedProduct.objects.exists():
        worker.step()
    return index, time.perf_counter() - started


def written(dimensions: int, count: int) -> float:
    """Return how many vectors a second the writer takes into an empty index, without HNSW; the best of some rounds."""
    from django.db import transaction

    from example_shop.catalogue.models import Product
    from visual_search.indexing.vectors import rows
    from visual_search.models import SearchIndex

    catalogue(count, [Path("unread.jpg")])
    products = list(Product.objects.order_by("pk").values_list("pk", flat=True))
    vectors = np.random.default_rng(7).normal(size=(count, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    outcomes = [
        rows.Row(
            product=products[number // PICTURES_EACH],
            image_key=str(number),
            position=number % PICTURES_EACH,
            state="ready",
            source_name=f"products/{number}.jpg",
            source_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
            source_size=150_000,
            part_lengths=[0.5],
            embedding=vector,
        )
        for number, vector in enumerate(vectors)
    ]
    fastest = float("inf")
    for _ in range(ROUNDS):
        index = SearchIndex.objects.create(encoders=["tiny"])
        started = time.perf_counter()
        for start in range(0, count, BATCH):
            batch = outcomes[start : start + BATCH]
            with transaction.atomic():
                rows.write(index.pk, sorted({row.product for row in batch}), batch)
        fastest = min(fastest, time.perf_counter() - started)
    return count / fastest


def peak(count: int, files: Sequence[Path]) -> float:
    """Return the most megabytes that a worker process of its own held while it embedded `count` pictures."""
    from django.conf import settings
    from django.db import connection
    from psycopg.conninfo import make_conninfo

    from visual_search.indexing.generations import lifecycle

    catalogue(count, files)
    lifecycle.create(["tiny"])
    database = connection.get_connection_params()
    names = {name: database[name] for name in ("dbname", "user", "password", "host", "port") if database.get(name)}
    environment = {**os.environ, "DATABASE_URL": make_conninfo(**names), "MEDIA_ROOT": str(settings.MEDIA_ROOT)}
    command = [sys.executable, __file__, "--worker"]
    return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout) / 1000


def work() -> None:
    """Do what is queued, in as many tasks as it takes."""
    from visual_search import tasks
    from visual_search.indexing import worker

    while worker.run(seconds=tasks.SECONDS):
        pass
    # What is being built goes on in a thread, which a task doesn't wait for.
    worker.run(seconds=float("inf"))


def high_water() -> int:
    """Return the kilobytes of memory that this process held at most; its parent's don't count, as in `getrusage`."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@contextmanager
def own_database() -> Iterator[None]:
    """Make a database for the block, and stop the Postgres that was started for it."""
    from django.conf import settings
    from django.db import connection

    former = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"benchmark_{os.getpid()}"
    try:
        connection.creation.create_test_db(verbosity=0, serialize=False)
        try:
            yield
        finally:
            connection.creation.destroy_test_db(former, verbosity=0)
    finally:
        if "DATABASE_URL" not in os.environ:
            from example_shop import embedded_postgres

            connection.close()
            embedded_postgres.stop(settings.DATA_DIR / "postgres")


if __name__ == "__main__":
    sys.exit(main())
