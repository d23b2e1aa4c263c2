from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from example_shop.catalogue import importing
from visual_search.management import lines


class Command(BaseCommand):
    help = "Replace the catalogue by that of a folder with products.csv, images.csv and pictures."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="the folder that holds products.csv and images.csv")
        parser.add_argument("--shop", help="import the products of this shop only")

    def handle(self, *args: Any, folder: Path, shop: str | None, **options: Any) -> None:
        try:
            listing = importing.read(folder, shop=shop)
        except importing.BadCatalogue as error:
            raise CommandError(str(error)) from error
        for name in listing.missing:
            self.stderr.write(f"Skipped the picture {name}: there is no such file in {folder}.")
        line = lines.ProgressLine(self.stdout)
        before = importing.replace(listing, report=line.counting("Importing"))
        line.close()
        pictures = sum(len(product.pictures) for product in listing.products)
        self.stdout.write(
            self.style.SUCCESS(
                f"Imported {len(listing.products)} products with {pictures} pictures, in place of {before} products."
            )
        )
