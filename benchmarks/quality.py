"""How well customers' photos find the products: R@1, R@5, R@10 and mAP@10, beside a plain numpy baseline.

    python benchmarks/quality.py [--catalog ../shared/data/catalog] [--shop grocery] [--quick] [--check]

It imports one shop of a real catalogue into a Postgres of its own (under .bench/, or DATABASE_URL), embeds it, and asks
with each customer's photo through the public Python API. The baseline is what a tutorial gives: the cosine between the
raw features of the same encoder, in numpy. Goal: the product loses to it in no figure, save by one photo in the whole
set, which half-precision vectors may cost.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DEMO_DIR", str(ROOT / ".bench"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")

DEPTH = 10
QUICK_EVERY = 6


def main() -> int:
    options = arguments()
    folder = options.catalog.resolve()
    if not (folder / "photos.csv").exists():
        print(f"There is no {folder / 'photos.csv'}: name the folder of a catalogue with --catalog.")
        return 2

    import django

    django.setup()
    from django.conf import settings

    try:
        return measure(folder, options)
    finally:
        if "DATABASE_URL" not in os.environ:
            from example_shop import embedded_postgres

            embedded_postgres.stop(settings.DATA_DIR / "postgres")


def measure(folder: Path, options: argparse.Namespace) -> int:
    from django.core.management import call_command

    import visual_search

    call_command("migrate", verbosity=0)
    call_command("import_catalog", str(folder), shop=options.shop, stdout=io.StringIO())
    call_command("visual_search", "sync", "--strict")

    with (folder / "photos.csv").open(newline="") as file:
        photos = [row for row in csv.DictReader(file) if row["set"] == options.shop and row["product"]]
    photos = photos[:: QUICK_EVERY if options.quick else 1]
    wanted = [photo["product"] for photo in photos]
    files = [(folder / photo["image"]).read_bytes() for photo in photos]

    started = time.perf_counter()
    ours = []
    for number, data in enumerate(files, start=1):
        ours.append([product.slug for product in visual_search.search(photo=data, limit=DEPTH)])
        if sys.stderr.isatty():
            print(f"\r{number}/{len(files)} photos", end="", file=sys.stderr)
    milliseconds = (time.perf_counter() - started) / len(files) * 1000
    print(file=sys.stderr)

    figures = {"ours": scores(ours, wanted), "numpy cosine": scores(baseline(files), wanted)}
    print(f"\n{len(files)} photos, {milliseconds:.0f} ms a photo from bytes to products, one at a time\n")
    print(f"{'':14}" + "".join(f"{name:>9}" for name in figures["ours"]))
    for name, row in figures.items():
        print(f"{name:14}" + "".join(f"{100 * value:9.1f}" for value in row.values()))

    slack = 1 / len(files) + 1e-9
    missed = [name for name, value in figures["ours"].items() if value < figures["numpy cosine"][name] - slack]
    for name in missed:
        print(f"missed: {name} is below the baseline's")
    return 1 if missed and options.check else 0


def baseline(files: Sequence[bytes]) -> list[list[str]]:
    """Return the nearest products of each photo by the cosine of raw features, the best picture of each."""
    from example_shop.catalogue.models import ProductImage
    from visual_search.encoders import joined, parts
    from visual_search.indexing import encoding
    from visual_search.models import SearchIndex

    index = SearchIndex.objects.live()
    assert index is not None
    encoder = joined.load(index.encoders)
    images = list(ProductImage.objects.select_related("product"))
    catalogue = parts.unit(np.stack(list(encoding.encode(encoder, (image.image.read() for image in images)))))[0]
    slugs = np.array([image.product.slug for image in images])
    ranked = []
    for data in files:
        photo = encoder.encode([encoding.decoder().decode(data, min_size=encoder.input_size)])
        order = np.argsort(-(catalogue @ parts.unit(photo)[0][0]))
        ranked.append(list(dict.fromkeys(slugs[order].tolist()))[:DEPTH])
    return ranked


def scores(ranked: Sequence[Sequence[str]], wanted: Sequence[str]) -> dict[str, float]:
    """Return R@1, R@5, R@10 and mAP@10; with one right product a photo the last is the mean reciprocal rank."""
    ranks = [list(row).index(right) + 1 if right in row else None for row, right in zip(ranked, wanted, strict=True)]
    recall = {f"R@{k}": float(np.mean([rank is not None and rank <= k for rank in ranks])) for k in (1, 5, 10)}
    return recall | {"mAP@10": float(np.mean([1 / rank if rank else 0 for rank in ranks]))}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--catalog", type=Path, default=ROOT.parent / "shared" / "data" / "catalog")
    parser.add_argument("--shop", default="grocery")
    parser.add_argument("--quick", action="store_true", help="every sixth photo, under a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where the goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
