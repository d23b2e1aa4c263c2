from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from example_shop.catalogue import removal, seeding
from visual_search.management import lines

SEED = 7
PER_KIND = 22


class Command(BaseCommand):
    help = "Fill the shop with the catalogue that it draws itself. Goes on where an interrupted run stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=SEED, help="another seed draws other products (%(default)s)")
        parser.add_argument("--per-kind", type=int, default=PER_KIND, help="products of each kind (%(default)s)")
        parser.add_argument("--flush", action="store_true", help="remove all products first, whoever made them")

    def handle(self, *args: Any, seed: int, per_kind: int, flush: bool, **options: Any) -> None:
        if per_kind < 1:
            raise CommandError(f"--per-kind is {per_kind}; it has to be 1 or more.")
        if flush:
            with transaction.atomic():
                removed = removal.remove_all()
            self.stdout.write(f"Removed {removed} products.")
        try:
            numbers = seeding.missing(seed, per_kind)
        except seeding.OtherCatalogue as count:
            self.stdout.write(f"The shop has {count} products of another catalogue. --flush would replace them.")
            return
        if not numbers:
            self.stdout.write("All of the drawn products are there already. Nothing to do.")
            return
        line = lines.ProgressLine(self.stdout)
        report = line.counting("Drawing")
        pictures = seeding.fill(numbers, seed=seed, products_per_kind=per_kind, report=report)
        line.close()
        self.stdout.write(self.style.SUCCESS(f"Drew {len(numbers)} products with {pictures} pictures."))
