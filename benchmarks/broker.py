"""What a broker costs a save when it is down or silent, and how soon a saved product is searchable.

    python benchmarks/broker.py [--quick] [--check]

It makes a database of its own, as the tests do, and talks to Redis and RabbitMQ where they answer on their usual ports.
Goals: a save takes at most 50 ms more at p99 with the broker down or silent; a saved product is searchable within 2 s
at p95 with an idle worker, and within 5 s of the sweep that comes each minute where its nudge is lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

MOST_EXTRA_MS, MOST_FRESH, MOST_SWEPT = 50, 2.0, 5.0


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer saves, under a minute")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    options = parser.parse_args()

    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    former = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, serialize=False)
    lines: list[str] = []
    missed: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="visual-search-broker-") as folder:
            settings.MEDIA_ROOT = Path(folder) / "media"
            savings(200 if options.quick else 2_000, lines, missed)
            freshness(Path(folder), 10 if options.quick else 100, lines, missed)
    finally:
        connection.creation.destroy_test_db(former, verbosity=0)
    print("\n".join([*lines, *(f"MISSED: {goal}" for goal in missed)]))
    return 1 if options.check and missed else 0


def savings(count: int, lines: list[str], missed: list[str]) -> None:
    """Time saves with the broker down, and with one that accepts and never answers."""
    from tests.faults import brokers, harness, saving

    with brokers.proxy() as hole:
        for what, port in (("down", 1), ("silent", hole.port)):
            for kind in ("redis", "rabbitmq"):
                saver = harness.python(saving.TIMED.format(count=count), CELERY_BROKER_URL=brokers.url(kind, port))
                extra, _ = saving.extra_milliseconds(saver)
                lines.append(f"save, {kind} {what:6}: {extra:+7.1f} ms at p99 of {count} saves")
                if extra > MOST_EXTRA_MS:
                    missed.append(f"a save takes {extra:.0f} ms more with {kind} {what}; {MOST_EXTRA_MS} are allowed")


def freshness(folder: Path, count: int, lines: list[str], missed: list[str]) -> None:
    """Time from a save to its row, with each broker that answers, and from the sweep where the nudge is lost."""
    from tests import factories
    from tests.faults import brokers, harness, saving
    from visual_search.indexing.intake import sweeper

    harness.products(20)
    factories.embed()
    for broker in filter(brokers.answers, brokers.QUEUES):
        brokers.flush(broker)
        (folder / broker).mkdir()
        with harness.worker(folder / broker, broker=broker):
            saver = harness.python(saving.ASKED, broker=broker)
            fresh = sorted(searchable_after(saving.ask(saver)) for _ in range(count))
            harness.end_all()
        middle, late = saving.quantile(fresh, 0.5), saving.quantile(fresh, 0.95)
        lines.append(f"searchable, {broker:10}: {middle:.2f} s, {late:.2f} s at p95 of {count} saves")
        if late > MOST_FRESH:
            missed.append(f"a save is searchable after {late:.1f} s with {broker}; {MOST_FRESH:g} are allowed")
    with harness.worker(folder):
        product = factories.product()
        brokers.flush("filesystem")
        sweeper.sweep()
        swept = searchable_after(product.pk)
    lines.append(f"searchable, nudge lost: {swept:.2f} s after the sweep")
    if swept > MOST_SWEPT:
        missed.append(f"a save is searchable {swept:.1f} s after the sweep; {MOST_SWEPT:g} are allowed")


def searchable_after(product: int) -> float:
    """Wait until `product` has a vector in the live index, and return the seconds."""
    from tests.faults import harness

    started = time.monotonic()
    while product not in harness.ready():
        if time.monotonic() - started > 90:
            raise TimeoutError(f"Product {product} is not searchable after 90 s.")
        time.sleep(0.01)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
