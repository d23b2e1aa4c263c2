"""How long a search takes and what it misses, from Python and from bare SQL, with filters, beside in-process engines.

    python benchmarks/search.py [--rows 100000 1000000] [--real] [--reuse] [--quick] [--check]

Vectors are clustered unit parts of 256 and 245 dimensions from a fixed seed, one a product; truth is the same SQL in
its exact form. In one run, on one machine: (a) our Python API, for keys and for hydrated products; (b) the same SQL by
bare psycopg; (c) faiss and hnswlib, in process; at 100,000 also (d) qdrant-client and milvus-lite. Then `GET similar/`
through Django's test client. `--real` takes the live index that DATABASE_URL (else .demo) holds, `--reuse` what the
last run loaded; `--quick` is 20,000 vectors of 256 dimensions, without (d).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
REAL = "--real" in sys.argv
os.environ.setdefault("DEMO_DIR", str(ROOT / (".demo" if REAL else ".bench")))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")
os.environ["DEBUG"] = "0"  # with it, Django keeps the last 9,000 queries

import api_time  # noqa: E402
import rivals  # noqa: E402
import timing  # noqa: E402
import vectors  # noqa: E402

NEIGHBOURS = 10
PAGE = 12
WARM_UP = 20
SERVERS_AT = 100_000
SHARED_BUFFERS = "4GB"

MOST_OF_BARE, MOST_OF_BARE_WITH_PRODUCTS, MOST_OF_AN_EMPTY_VIEW = 1.5, 3.0, 1.3
LEAST_RECALL = 0.98
MOST_MILLISECONDS = {"10 %": 25, "1 %": 60, "0.1 %": 25}
MOST_GROWTH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way to ask: the share of colour, a filter that may depend on the product, and whether it is held to goals."""

    name: str
    narrowed: Callable[[Any], Any] = lambda product: None
    colour: float | None = None
    goals: bool = True


@dataclass(slots=True, kw_only=True)
class Report:
    """What was missed, and the unfiltered median of each size."""

    missed: list[str] = field(default_factory=list)
    unfiltered: dict[int, float] = field(default_factory=dict)

    def expect(self, reached: bool, goal: str) -> None:
        if not reached:
            self.missed.append(goal)


def main() -> int:
    options = arguments()
    import django

    from example_shop import embedded_postgres

    if not options.quick:
        # As docs/operations.md advises: what the HNSW index needs, and some more.
        embedded_postgres.CONFIGURATION["shared_buffers"] = SHARED_BUFFERS
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    report = Report()
    try:
        call_command("migrate", verbosity=0)
        if REAL:
            measure(live(), options.queries, report, rows=None)
        else:
            for rows in [20_000] if options.quick else options.rows:
                index = live() if options.reuse else vectors.load(rows, (256,) if options.quick else (256, 245))
                measure(index, options.queries, report, rows=rows)
    finally:
        if "DATABASE_URL" not in os.environ:
            embedded_postgres.stop(settings.DATA_DIR / "postgres")
    if {100_000, 1_000_000} <= report.unfiltered.keys():
        growth = report.unfiltered[1_000_000] / report.unfiltered[100_000]
        print(f"unfiltered, 1,000,000 against 100,000 vectors: {growth:.2f} times")
        report.expect(growth < MOST_GROWTH, f"growth from 100,000 to 1,000,000 {growth:.2f} < {MOST_GROWTH}")
    for line in report.missed:
        print(f"missed: {line}")
    return 1 if report.missed and options.check else 0


def live() -> Any:
    from visual_search.models import SearchIndex

    index = SearchIndex.objects.live()
    if index is None:
        sys.exit("There is no live index in this database. Run `make demo` first, or leave out --real and --reuse.")
    return index


def measure(index: Any, queries: int, report: Report, *, rows: int | None) -> None:
    """Measure `index` in each case and print a table; `rows` is None for a real one, which has no goals of its size."""
    from example_shop.catalogue.models import Product

    keys, stored = vectors.stored(index)
    parts = " + ".join(str(part["dimensions"]) for part in index.parts)
    print(f"\n{len(keys):,} vectors of {parts} dimensions")
    chosen = np.random.default_rng(1).choice(len(keys), size=min(queries, len(keys)), replace=False).tolist()
    asked = [keys[number] for number in chosen]
    products = Product.objects.in_bulk(asked)
    print(
        f"{'':26}{'p50 ms':>8}{'p99 ms':>8}{'QPS':>7}{'recall':>8}{'full':>6}{'way':>7}{'bare':>8}{'(a)/(b)':>9}"
        f"{'products':>10}{'/(b)':>6}"
    )
    for case in cases(index):
        ours = compare(index, case, asked, products, report, rows=rows)
        if case.name == "no filter" and rows is not None:
            report.unfiltered[rows] = ours
    print(f"the shop's own query for {NEIGHBOURS} products: {api_time.shops_own_query(asked, limit=NEIGHBOURS):.2f} ms")
    answered, empty = api_time.endpoint(index, asked, limit=PAGE)
    print(f"GET similar/ {answered:.2f} ms; bare SQL and an empty view {empty:.2f} ms: {answered / empty:.2f} times")
    report.expect(
        answered <= MOST_OF_AN_EMPTY_VIEW * empty, f"GET similar/ <= {MOST_OF_AN_EMPTY_VIEW} of an empty view"
    )
    truth = exact(stored, chosen)
    for name, build in rivals.installed(servers=rows == SERVERS_AT):
        with tempfile.TemporaryDirectory() as folder:
            search = build(stored, NEIGHBOURS, Path(folder))
            times, found = timing.timed(search, chosen)
        recall = np.mean([len({*rows} & {*right}) / len(right) for rows, right in zip(found, truth, strict=True)])
        print(
            f"{name:26}{statistics.median(times):8.2f}{timing.percentile(times):8.2f}{timing.rate(times):7,.0f}{recall:8.3f}",
            flush=True,
        )


def cases(index: Any) -> Iterator[Case]:
    from example_shop.catalogue.models import Category, Product

    others = list(Category.objects.order_by("pk").values_list("pk", flat=True))
    everything = Product.objects.all()
    yield Case(name="no filter")
    if len(index.parts) > 1:
        yield from (Case(name=f"colour {share:g}", colour=share) for share in (0.0, 0.5, 1.0))
    for name, pieces in (("10 %", 100), ("1 %", 10), ("0.1 %", 1)):
        yield Case(name=name, narrowed=lambda product, most=pieces: everything.filter(stock__lt=most))
    yield Case(name="own category", narrowed=lambda product: everything.filter(category_id=product.category_id))
    yield Case(
        name="own category, 10 % of it",
        narrowed=lambda product: everything.filter(category_id=product.category_id, stock__lt=100),
    )
    if len(others) > 1:
        yield Case(
            name="another category",
            narrowed=lambda product: everything.filter(
                category_id=others[(others.index(product.category_id) + 1) % len(others)]
            ),
            goals=False,
        )


def compare(
    index: Any, case: Case, asked: Sequence[Any], products: dict[Any, Any], report: Report, *, rows: int | None
) -> float:
    """Print the line of one case, note the goals that it misses, and return its median in ms."""
    from visual_search.retrieval import answers, gate, nearest, targets
    from visual_search.retrieval.query import Query

    queries = {
        key: Query(product=key, limit=NEIGHBOURS, queryset=case.narrowed(products[key]), colour=case.colour)
        for key in asked
    }

    def matched(key: Any) -> Any:
        query = queries[key]
        return nearest.products(index, targets.of(index, query), gate=gate.of(query), limit=NEIGHBOURS)

    found = [matched(key) for key in asked]
    plans = [plan for _, plan in found]
    bare = api_time.bare(index, queries, dict(zip(asked, plans, strict=True)), limit=NEIGHBOURS)
    times, bare_times, hydrated = timing.side_by_side(
        (matched, bare, lambda key: answers.answer(queries[key])), asked, warm_up=WARM_UP
    )
    hits, wanted, full = 0, 0, 0
    for key, (matches, _) in zip(asked, found, strict=True):
        right = truth(index, queries[key])
        hits += len({match.product for match in matches} & right)
        wanted += len(right)
        full += len(matches) == len(right)
    recall, pages = hits / max(wanted, 1), full / len(asked)
    way = "exact" if all(plan.attempts[-1].exact for plan in plans) else "hnsw"
    ours, theirs, whole = (statistics.median(each) for each in (times, bare_times, hydrated))
    print(
        f"{case.name:26}{ours:8.2f}{timing.percentile(times):8.2f}{timing.rate(times):7,.0f}{recall:8.3f}{pages:6.0%}{way:>7}"
        f"{theirs:8.2f}{ours / theirs:9.2f}{whole:10.2f}{whole / theirs:6.2f}",
        flush=True,
    )
    if case.goals:
        report.expect(ours <= MOST_OF_BARE * theirs, f"{case.name}: (a)/(b) for keys <= {MOST_OF_BARE}")
        report.expect(
            whole <= MOST_OF_BARE_WITH_PRODUCTS * theirs,
            f"{case.name}: (a)/(b) for products <= {MOST_OF_BARE_WITH_PRODUCTS:g}",
        )
        report.expect(recall >= LEAST_RECALL, f"{case.name}: recall@10 >= {LEAST_RECALL}")
        report.expect(pages == 1, f"{case.name}: full pages")
    if rows is not None and rows >= 1_000_000 and (most := MOST_MILLISECONDS.get(case.name)):
        report.expect(ours <= most, f"{case.name}: p50 <= {most} ms at {rows:,}")
    return ours


def truth(index: Any, query: Any) -> set[Any]:
    from visual_search.retrieval import gate, nearest, targets

    width = NEIGHBOURS * nearest.OVERSAMPLE
    found, _ = nearest.ask(
        index, targets.of(index, query), gate=gate.of(query), limit=NEIGHBOURS, exact=True, width=width
    )
    return {match.product for match in found}


def exact(stored: vectors.Vectors, rows: Sequence[int]) -> list[list[int]]:
    """Return the numbers of the rows nearest to each of `rows`, its own among them."""
    return [np.argpartition(-(stored @ stored[row]), NEIGHBOURS)[: NEIGHBOURS + 1].tolist() for row in rows]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--real", action="store_true", help="the live index of DATABASE_URL, else of .demo")
    parser.add_argument("--reuse", action="store_true", help="the index that the last run loaded")
    parser.add_argument("--quick", action="store_true", help="20,000 vectors of 256 dimensions, under a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
