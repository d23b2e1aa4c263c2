"""How well each recipe finds the right product, beside a plain baseline, on real pictures and photos.

    python benchmarks/quality.py [--catalog ../shared/data/catalog] [--weights FILE] [--quick] [--check]

It imports catalogues into a Postgres of its own (under .bench/, or DATABASE_URL), makes an index of each recipe, and
asks through the public Python API. The baseline is what a tutorial gives: EfficientNet-Lite0 at 224 pixels, the average
of its last map, the cosine in numpy. The tasks:

* customers' photos of groceries -> the 27 pictures of that shop, and -> the pictures of all shops. The mean of
  photos is learnt from every other photo, and the rest ask;
* simulated photos of each shop's products -> its products, likewise;
* photos of clothes -> another one of the same category, leaving the one that asks out;
* how many photos of groceries and of clothes each shop calls "nothing good": its own, and what it doesn't sell;
* appliances, each colour a product: the same article in another colour, and another article in the same colour, by the
  share of colour.

Goals: with one encoder at 320 pixels R@1 at least 11 points above the baseline and R@10 at least 99 % on the first
task, and R@1 at least 6 points above it among all shops; R@1 at least 78 % on the first with a second encoder, whose
weights (MobileNetV2 without its classifier) --weights names.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DEMO_DIR", str(ROOT / ".bench"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_shop.settings")

from asking import (  # noqa: E402
    Ranked,
    ask,
    baseline,
    forget_photos,
    labels,
    nothing_good,
    scores,
    similar,
    similar_baseline,
    write_catalogue,
)

QUICK_EVERY = 9
DEFAULT, ONE, TWO = "Lite0 224 + colour", "Lite0 320 + colour", "Lite0 + MobileNetV2 320 + colour"
STRANGERS_EVERY = 4
Row = dict[str, str]


def main() -> int:
    options = arguments()
    if not (options.catalog / "photos.csv").exists():
        print(f"There is no {options.catalog / 'photos.csv'}: name the folder of a catalogue with --catalog.")
        return 2

    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    try:
        missed = Benchmark(options).run()
    finally:
        if "DATABASE_URL" not in os.environ:
            from example_shop import embedded_postgres

            embedded_postgres.stop(settings.DATA_DIR / "postgres")
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed and options.check else 0


def recipes(options: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the encoders of each recipe."""
    lite0, second = "efficientnet_lite0", {"name": "torchvision:mobilenet_v2", "weights": str(options.weights)}
    found: dict[str, list[Any]] = {
        ONE: [{"name": lite0, "size": 320}, "colour"],
        TWO: [{"name": lite0, "size": 320}, {**second, "size": 320}, "colour"],
    }
    if not options.weights.exists():
        print(f"There are no weights {options.weights}: without a second encoder.")
        del found[TWO]
    if not options.quick:
        found = {
            "Lite0 224": [lite0],
            DEFAULT: [lite0, "colour"],
            "Lite0 224, two crops + colour": [{"name": lite0, "crops": 2}, "colour"],
            **found,
        }
    return found


class Benchmark:
    """Ask, print, and collect the goals that are missed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.folder: Path = options.catalog.resolve()
        self.quick: bool = options.quick
        self.recipes = recipes(options)
        self.photos = self.rows("photos.csv")
        self.missed: list[str] = []
        self.milliseconds: dict[str, float] = {}

    def run(self) -> list[str]:
        photos = [photo for photo in self.photos if photo["set"] == "grocery" and photo["product"]]
        photos = photos[:: QUICK_EVERY if self.quick else 1]
        files = [(self.folder / photo["image"]).read_bytes() for photo in photos]
        wanted = [photo["product"] for photo in photos]
        for name, shop in (("the 27 of the shop", "grocery"), ("all shops", None)):
            indexes = self.indexes(self.folder, shop)
            plain, ours = self.photos_to_products(indexes, files, wanted)
            self.show(f"Photos of groceries -> {name}", {"baseline": plain, **ours})
            self.goals(shop, plain, ours)
            if self.quick:
                break
            if shop is None:
                self.simulated(indexes)
        if not self.quick:
            self.strangers()
            self.clothes()
            self.variants()
        print("\nmilliseconds a photo, from bytes to products, one at a time")
        for name, value in self.milliseconds.items():
            print(f"  {name:36}{value:8.0f}")
        return self.missed

    def goals(self, shop: str | None, plain: dict[str, float], ours: dict[str, dict[str, float]]) -> None:
        gain = 100 * (ours[ONE]["R@1"] - plain["R@1"])
        least = 11 if shop else 6
        # A ninth of the photos says no more than that nothing is broken.
        if gain < (0 if self.quick else least):
            self.missed.append(f"{ONE}: R@1 is {gain:.1f} points above the baseline; {least} are wanted.")
        if shop and not self.quick and ours[ONE]["R@10"] < 0.99:
            self.missed.append(f"{ONE}: R@10 is {ours[ONE]['R@10']:.1%}; 99 % are wanted.")
        if shop and not self.quick and (TWO not in ours or ours[TWO]["R@1"] < 0.78):
            found = f"{ours[TWO]['R@1']:.1%}" if TWO in ours else "not measured"
            self.missed.append(f"{TWO}: R@1 is {found}; 78 % are wanted.")

    def photos_to_products(
        self, indexes: dict[str, Any], files: Sequence[bytes], wanted: Sequence[str]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return the scores of the baseline and of each recipe; every other photo is learnt from, the rest ask."""
        asked = list(zip(files, wanted, strict=True))[::2]
        ours = {}
        for name in self.each(indexes):
            for data in files[1::2]:
                ask(data, learn=True)
            started = time.perf_counter()
            ranked = [ask(data) for data, _ in asked]
            self.milliseconds[name] = (time.perf_counter() - started) / len(asked) * 1000
            ours[name] = scores(ranked, [right for _, right in asked])
        return scores(baseline([data for data, _ in asked]), [right for _, right in asked]), ours

    def simulated(self, indexes: dict[str, Any]) -> None:
        """Ask with a simulated photo of each picture, among the products of its shop."""
        from visual_search.images import decode, limits, simulated

        pictures = self.rows("images.csv")
        files = []
        for number, row in enumerate(pictures):
            data = (self.folder / row["image"]).read_bytes()
            files.append(simulated.photo(decode.decode(data, limits=limits.CATALOGUE), seed=number))
        asked = list(zip(pictures, files, strict=True))[::2]
        shops: dict[str, set[str]] = {}
        for row in pictures:
            shops.setdefault(row["shop"], set()).add(row["product"])
        figures: dict[str, dict[str, dict[str, float]]] = {shop: {} for shop in shops}

        def note(name: str, ranked: Ranked) -> None:
            for shop in shops:
                chosen = [number for number, (row, _) in enumerate(asked) if row["shop"] == shop]
                right = [asked[number][0]["product"] for number in chosen]
                figures[shop][name] = scores([ranked[number] for number in chosen], right)

        note("baseline", baseline([data for _, data in asked], [shops[row["shop"]] for row, _ in asked]))
        for name in self.each(indexes):
            forget_photos()
            for data in files[1::2]:
                ask(data, learn=True)
            note(name, [ask(data, among=shops[row["shop"]]) for row, data in asked])
        for shop, found in figures.items():
            self.show(f"Simulated photos -> {shop}", found)

    def strangers(self) -> None:
        """Ask each shop with photos of groceries and of clothes: how many does it call "nothing good"?"""
        kinds = ("grocery", "clothing")
        photos = {kind: [photo for photo in self.photos if photo["set"] == kind][::STRANGERS_EVERY] for kind in kinds}
        for shop in dict.fromkeys(row["shop"] for row in self.rows("images.csv")):
            figures = {}
            for name in self.each(self.indexes(self.folder, shop, recipes=(DEFAULT, ONE))):
                forget_photos()
                figures[name] = {
                    kind: sum(nothing_good((self.folder / photo["image"]).read_bytes()) for photo in photos[kind])
                    / len(photos[kind])
                    for kind in kinds
                }
            self.show(f'Called "nothing good" by {shop}', figures)

    def clothes(self) -> None:
        """Ask with each photo for another one of its category."""
        photos = [photo for photo in self.photos if photo["set"] == "clothing"]
        folder = self.made((f"c{number}", photo["image"], photo["category"], "") for number, photo in enumerate(photos))
        category = {f"c{number}": photo["category"] for number, photo in enumerate(photos)}
        indexes = self.indexes(folder, None)
        figures = {"baseline": labels(similar_baseline(), category)}
        for name in self.each(indexes):
            figures[name] = labels({slug: similar(slug) for slug in category}, category)
        self.show("Photos of clothes -> the same category", figures)

    def variants(self) -> None:
        """Ask with each colour of an appliance for its other colours, and for other things of its colour."""
        # An article has a line for each price, and a colour on one of them.
        colour = {row["sku"]: row["colour"] for row in self.rows("products.csv") if row["colour"]}
        rows = [row for row in self.rows("images.csv") if row["shop"] == "appliances" and row["sku"] in colour]
        folder = self.made((row["sku"].lower(), row["image"], "Things", colour[row["sku"]]) for row in rows)
        article = {row["sku"].lower(): row["product"] for row in rows}
        shade = {row["sku"].lower(): colour[row["sku"]] for row in rows}
        indexes = self.indexes(folder, None)
        print("\nAppliances, by the share of colour: the first result is the same article | of the same colour")
        for name in self.each(indexes):
            if "colour" not in self.recipes[name]:
                continue
            found = []
            for share in (0.0, 0.2, 0.5, 1.0):
                ranked = {slug: similar(slug, colour=share) for slug in article}
                same = [labels(ranked, truth)["R@1"] for truth in (article, shade)]
                found.append(f"{share:.1f}: {same[0]:6.1%} | {same[1]:6.1%}")
            print(f"  {name:36}" + "   ".join(found))

    def rows(self, name: str) -> list[Row]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def made(self, pictures: Iterable[tuple[str, str, str, str]]) -> Path:
        """Write a catalogue of (slug, picture, category, colour), each a product, and return its folder."""
        folder = Path(os.environ["DEMO_DIR"]) / "catalogue"
        write_catalogue(folder, ((slug, self.folder / picture, *said) for slug, picture, *said in pictures))
        return folder

    def indexes(self, folder: Path, shop: str | None, *, recipes: Sequence[str] = ()) -> dict[str, Any]:
        """Import a catalogue and return a filled index of each of `recipes`, by default of all."""
        from django.core.management import call_command

        from visual_search.indexing.generations import hnsw, lifecycle
        from visual_search.management import filling
        from visual_search.models import SearchIndex

        for index in SearchIndex.objects.all():
            hnsw.drop(index.pk)
        SearchIndex.objects.all().delete()
        call_command("import_catalog", str(folder), shop=shop, stdout=io.StringIO())
        made = {name: lifecycle.create(self.recipes[name]) for name in recipes or self.recipes}
        filling.until_empty(sys.stderr, made[ONE])
        return made

    def each(self, indexes: dict[str, Any]) -> Iterable[str]:
        """Yield the name of each recipe while its index is live."""
        from visual_search.indexing.generations import lifecycle

        for name, index in indexes.items():
            lifecycle.activate(index, force=True)
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr)
            yield name

    def show(self, title: str, figures: dict[str, dict[str, float]]) -> None:
        print(f"\n{title:38}" + "".join(f"{name:>9}" for name in next(iter(figures.values()))))
        for name, row in figures.items():
            print(f"  {name:36}" + "".join(f"{100 * value:9.1f}" for value in row.values()))


def arguments() -> argparse.Namespace:
    data = ROOT.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--catalog", type=Path, default=data / "catalog")
    parser.add_argument("--weights", type=Path, default=data / "weights" / "mobilenetv2-onnxzoo-features.pth")
    parser.add_argument("--quick", action="store_true", help="every ninth photo of the first task, under a minute")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
