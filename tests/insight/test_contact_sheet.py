from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import factories
from visual_search import exceptions
from visual_search.insight import contact_sheet, evaluation, tasks
from visual_search.retrieval import nearest

pytestmark = pytest.mark.django_db


@pytest.fixture
def report() -> evaluation.Report:
    """Return a report with three failures: of a photo, of a category, and one that nothing came for."""
    first, second = (factories.product(name=name) for name in ("A <b>cup</b>", "A lamp"))
    gone: Any = second.pk
    found = [nearest.Match(product=second.pk, image_key=str(second.images.get().pk), similarity=0.5)]
    asked = [
        tasks.Question(task=tasks.PHOTO, product=first.pk, data=factories.picture("teal", "bar")),
        tasks.Question(task=tasks.SAME_CATEGORY, product=first.pk, category="Cups"),
        tasks.Question(task=tasks.PHOTO, product=gone, data=b"no picture"),
    ]
    return evaluation.Report(
        sample=2, seed=0, measured_at="now", columns=[], skipped={},
        failures=[
            evaluation.Failure(searcher="#1", question=question, rank=None, found=[] if number == 2 else found)
            for number, question in enumerate(asked)
        ],
    )  # fmt: skip


def test_write__html_that_needs_nothing_else(report: evaluation.Report, tmp_path: Path) -> None:
    assert contact_sheet.write(report, tmp_path / "sheet.html") == 3

    text = (tmp_path / "sheet.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert len(sources) == 6
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "A &lt;b&gt;cup&lt;/b&gt;" in text
    assert "Cups" in text
    assert "Nothing came." in text


def test_write__png(report: evaluation.Report, tmp_path: Path) -> None:
    contact_sheet.write(report, tmp_path / "sheet.png")

    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert len(image.getcolors(2**24) or ()) > 50


def test_write__no_failures(tmp_path: Path) -> None:
    report = evaluation.Report(sample=0, seed=0, measured_at="", columns=[], skipped={}, failures=[])

    assert contact_sheet.write(report, tmp_path / "sheet.png") == 0
    assert contact_sheet.write(report, tmp_path / "sheet.html") == 0
    assert "Nothing failed." in (tmp_path / "sheet.html").read_text()


def test_write__another_kind_of_file(report: evaluation.Report, tmp_path: Path) -> None:
    with pytest.raises(exceptions.VisualSearchError) as caught:
        contact_sheet.write(report, tmp_path / "sheet.pdf")

    assert caught.value.code == "contact_sheet_format"
