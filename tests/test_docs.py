"""The docs can't drift: what they say is generated from the code, or tried."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from visual_search import conf

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SETTINGS = re.compile(r"(?<=--write -->\n).*?(?=<!-- /settings -->)", re.DOTALL)
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def settings_table() -> str:
    """Return the settings as a table, from the class that defines them."""
    body = ast.parse(inspect.getsource(conf.Settings)).body[0].body  # type: ignore[attr-defined]
    lines = ["", "| Key | Default | What it does |", "|---|---|---|"]
    for assignment, text in itertools.pairwise(body):
        if isinstance(assignment, ast.AnnAssign) and isinstance(text, ast.Expr):
            default = ast.unparse(assignment.value).replace("|", "\\|")  # type: ignore[arg-type]
            meaning = " ".join(ast.literal_eval(text.value).split()).replace("|", "\\|")
            lines.append(f"| `{ast.unparse(assignment.target)}` | `{default}` | {meaning} |")
    return "\n".join([*lines, "", ""])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def test_settings__are_documented_as_they_are() -> None:
    assert SETTINGS.search(README.read_text()).group() == settings_table()  # type: ignore[union-attr]
    assert len(re.findall(r"^\| `[A-Z_]+`", settings_table(), re.MULTILINE)) == len(conf.names())


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_python__of_the_docs_compiles(document: Path) -> None:
    for block in blocks(document, "python"):
        compile(block, str(document), "exec")


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_links__of_the_docs_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_commands__of_the_readme_exist() -> None:
    parser = load_command_class(get_commands()["visual_search"], "visual_search").create_parser("manage.py", "")
    choices = next(action.choices for action in parser._actions if action.dest == "subcommand")
    named = set(re.findall(r"visual_search ([a-z]+)", README.read_text()))
    documented = {name for name in named if name in README.read_text().split("## Commands")[1].split("## API")[0]}
    assert documented == set(choices or ())


def test_make_targets__of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README.read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    README.write_text(SETTINGS.sub(lambda _: settings_table(), README.read_text()))
