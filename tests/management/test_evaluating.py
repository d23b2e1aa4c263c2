from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def live() -> Any:
    for number in range(12):
        colour = f"#{(number + 1) * 2_654_435_761 % 2**24:06x}"
        factories.product(pictures=[factories.picture(colour, size=size) for size in (96, 110)])
    return factories.embed()


def run(*arguments: str) -> tuple[str, str]:
    output, progress = io.StringIO(), io.StringIO()
    call_command("visual_search", "evaluate", *arguments, stdout=output, stderr=progress, no_color=True)
    return output.getvalue(), progress.getvalue()


def test_evaluate__a_table(live: Any) -> None:
    output, progress = run()

    lines = output.splitlines()
    assert "other picture: 12 questions, in % (95 % interval)" in lines
    assert lines[2].split()[:5] == ["R@1", "R@5", "R@10", "mAP@10", "nDCG@10"]
    assert lines[3].startswith(f"{live} ")
    assert lines[-1] == "same category: skipped, 0 questions; 10 are needed."
    assert progress.splitlines()[-1] == "Measured."


def test_evaluate__json(live: Any) -> None:
    output, _ = run("--json", "--index", str(live.pk), "--index", str(live.pk))

    found = json.loads(output)
    assert [column["index"] for column in found["columns"]] == [live.pk, live.pk]
    assert found["columns"][1]["tasks"]["other picture"]["difference"]["R@1"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_evaluate__recipes_and_failures(live: Any, tmp_path: Path) -> None:
    recipes = tmp_path / "recipes.json"
    recipes.write_text('[{"name": "Tiny", "encoders": ["tiny"]}, {"name": "Twice", "encoders": ["tiny", "tiny"]}]')

    output, progress = run("--recipes", str(recipes), "--failures", str(tmp_path / "failures.html"))

    assert "\nTwice" in output
    assert "  difference" in output
    assert progress.splitlines()[-1].endswith(f"failures are in {tmp_path / 'failures.html'}.")
    assert (tmp_path / "failures.html").read_text().startswith("<!doctype html>")


def test_evaluate__says_how_many_photos_it_left_out(live: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(factories.picture())
    product = live.embeddings.first().product_id
    (tmp_path / "photos.csv").write_text(f"photo,product\nphoto.png,{product}\nphoto.png,0\nphoto.png,0\n")

    output, _ = run("--photos", str(tmp_path / "photos.csv"))

    assert output.splitlines()[-1].startswith("photo: 2 photos left out, ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--index", "99999"], "There is no index 99999"),
        (["--index", "1", "--recipes", "x.json"], "give one of the two"),
        (["--recipes", "missing.json"], "can't be read as JSON"),
        (["--failures", "sheet.pdf"], "give an .html or .png file"),
        (["--sample", "0"], "give 1 or more"),
        ([], "no live index"),
    ],
)
def test_evaluate__what_cannot_be_done(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run(*arguments)
