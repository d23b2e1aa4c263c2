"""The worst failures of an evaluation at a glance: what was asked with, what should have come, and what came."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from PIL import Image, ImageDraw, ImageFont, ImageOps

from visual_search import catalog
from visual_search.exceptions import BadImage, VisualSearchError
from visual_search.images import limits
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import encoding
from visual_search.insight import evaluation, tasks

KINDS = (".html", ".png")
MOST = 40
SIDE = 176
SHOWN = 5
GAP, LABEL = 14, 34
PAPER, INK, QUIET, RIGHT, LINE = "#fffdfa", "#22201d", "#6b645b", "#2e7d4f", "#ddd6cb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A picture on the sheet, or None where there is none, and what is written below it; `right` where it should be."""

    picture: Image.Image | None
    title: str
    note: str = ""
    right: bool = False

    @property
    def url(self) -> str:
        """Return the picture as a data: address, or ""."""
        if self.picture is None:
            return ""
        buffer = io.BytesIO()
        self.picture.save(buffer, "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One failure: its heading, the question, what was expected, and what came."""

    heading: str
    asked: Tile
    expected: Tile
    found: Sequence[Tile]


def write(report: evaluation.Report, path: Path) -> int:
    """Write the worst failures of `report` to `path`, an .html file that needs no other or a .png; return how many.

    Raises VisualSearchError (`contact_sheet_format`) for another kind of file.
    """
    if path.suffix.lower() not in KINDS:
        raise VisualSearchError(
            f"A contact sheet is an .html or .png file, not {path.name}.", code="contact_sheet_format"
        )
    rows = list(_rows(report.failures[:MOST]))
    if path.suffix.lower() == ".html":
        values = {"rows": rows, "report": report, "side": SIDE, "more": max(len(report.failures) - MOST, 0)}
        path.write_text(render_to_string("visual_search/evaluation/contact_sheet.html", values), "utf-8")
    else:
        _drawn(rows).save(path)
    return len(rows)


def _rows(failures: Sequence[evaluation.Failure]) -> Iterator[Row]:
    shop = catalog.current()
    keys = {failure.question.product for failure in failures}
    keys |= {match.product for failure in failures for match in failure.found[:SHOWN]}
    products = pictures.load(list(keys))

    def tile(key: Any, image_key: str | None, note: str, *, right: bool = False) -> Tile:
        product = products.get(key)
        if product is None:
            return Tile(picture=None, title=str(key), note=note, right=right)
        title = catalog.said(shop.title, product, otherwise=str(key))
        return Tile(picture=_of_product(product, image_key), title=title, note=note, right=right)

    for failure in failures:
        question = failure.question
        rank = "not among the first 10" if failure.rank is None else f"at rank {failure.rank}"
        own = tile(question.product, question.image_key, "its picture")
        asked = own if question.data is None else Tile(picture=_thumbnail(question.data), title="Photo")
        if question.category:
            expected = Tile(picture=None, title=question.category, note="anything of this category", right=True)
        else:
            expected = tile(
                question.product, _another(products.get(question.product), question), "expected", right=True
            )
        right = question.product if not question.category else None
        yield Row(
            heading=f"{failure.searcher}, {question.task}: right answer {rank}",
            asked=asked,
            expected=expected,
            found=[
                tile(m.product, m.image_key, f"{rank}. {m.similarity:.2f}", right=m.product == right)
                for rank, m in enumerate(failure.found[:SHOWN], start=1)
            ],
        )


def _another(product: Any, question: tasks.Question) -> str | None:
    """Return the key of a picture of `product` that the question wasn't asked with, where it was asked with one."""
    listed = [] if product is None else [picture.key for picture in pictures.of(product)]
    others = [key for key in listed if question.task != tasks.OTHER_PICTURE or key != question.image_key]
    return others[0] if others else None


def _of_product(product: Any, image_key: str | None) -> Image.Image | None:
    listed = pictures.of(product)
    chosen = [picture for picture in listed if picture.key == image_key] or listed[:1]
    for picture in pictures.read(chosen):
        if picture.error is None:
            return _thumbnail(picture.data)
    return None


def _thumbnail(data: bytes) -> Image.Image | None:
    try:
        image = encoding.decoder().decode(data, limits=limits.CATALOGUE, min_size=SIDE)
    except BadImage:
        return None
    return ImageOps.pad(image, (SIDE, SIDE), color="white")


def _drawn(rows: Sequence[Row]) -> Image.Image:
    """Return the sheet as one picture: a row for each failure."""
    heading, small = ImageFont.load_default(15), ImageFont.load_default(12)
    height = SIDE + LABEL + 44
    sheet = Image.new("RGB", (GAP + (SHOWN + 2) * (SIDE + GAP) + GAP, GAP + max(len(rows), 1) * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    if not rows:
        draw.text((GAP, GAP), "Nothing failed.", INK, heading)
    for number, row in enumerate(rows):
        top = GAP + number * height
        draw.text((GAP, top), row.heading, INK, heading)
        for column, tile in enumerate([row.asked, row.expected, *row.found]):
            left = GAP + column * (SIDE + GAP) + (GAP if column > 1 else 0)
            box = (left, top + 24)
            if tile.picture is not None:
                sheet.paste(tile.picture, box)
            frame = (box[0] - 2, box[1] - 2, box[0] + SIDE + 1, box[1] + SIDE + 1)
            draw.rectangle(frame, outline=RIGHT if tile.right else LINE, width=2)
            draw.text((left, top + 28 + SIDE), _short(tile.title, small), INK, small)
            draw.text((left, top + 44 + SIDE), tile.note, RIGHT if tile.right else QUIET, small)
    return sheet


def _short(text: str, font: Any) -> str:
    if font.getlength(text) <= SIDE:
        return text
    while text and font.getlength(f"{text}...") > SIDE:
        text = text[:-1]
    return f"{text}..."
