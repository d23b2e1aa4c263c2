"""The README's table of settings: `python -m tests.settings_table` writes it anew."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from pathlib import Path

from visual_search import conf

README = Path(__file__).resolve().parent.parent / "README.md"
PLACE = re.compile(r"(?<=tests.settings_table -->\n).*?(?=<!-- /settings -->)", re.DOTALL)


def written() -> str:
    """Return the settings as a table, from the class that defines them."""
    body = ast.parse(inspect.getsource(conf.Settings)).body[0].body  # type: ignore[attr-defined]
    lines = ["", "| Key | Default | What it does |", "|---|---|---|"]
    for assignment, text in itertools.pairwise(body):
        if isinstance(assignment, ast.AnnAssign) and isinstance(text, ast.Expr):
            default = ast.unparse(assignment.value).replace("|", "\\|")  # type: ignore[arg-type]
            meaning = " ".join(ast.literal_eval(text.value).split()).replace("|", "\\|")
            lines.append(f"| `{ast.unparse(assignment.target)}` | `{default}` | {meaning} |")
    return "\n".join([*lines, "", ""])


if __name__ == "__main__":
    README.write_text(PLACE.sub(lambda _: written(), README.read_text()))
