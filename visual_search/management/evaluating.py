"""`manage.py visual_search evaluate`: how well is found what should be, as a table or as JSON."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from visual_search.insight import contact_sheet, evaluation, tasks
from visual_search.management import indexes, lines


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--index", type=int, action="append", help="Number of an index; may be repeated (default: live)."
    )
    parser.add_argument("--recipes", type=Path, help='JSON file: [{"name": ..., "encoders": [...]}], tried in memory.')
    parser.add_argument("--photos", type=Path, help="CSV with a header: a photo's path, and the key of its product.")
    parser.add_argument("--sample", type=int, default=evaluation.SAMPLE, help="Products to ask with (default: 300).")
    parser.add_argument("--seed", type=int, default=0, help="Which products these are (default: 0).")
    parser.add_argument("--json", action="store_true", help="Write JSON in place of a table.")
    parser.add_argument(
        "--failures", type=Path, metavar="PATH", help="Write the worst failures to an .html or .png file."
    )


def handle(
    command: Any,
    *,
    index: list[int] | None,
    recipes: Path | None,
    photos: Path | None,
    sample: int,
    seed: int,
    failures: Path | None,
    **options: Any,
) -> None:
    """Measure and write what was found; progress goes to the error stream, so that JSON can be piped."""
    if index and recipes:
        raise CommandError("Recipes are tried among the sampled products, indexes among all: give one of the two.")
    if sample < 1:
        raise CommandError(f"--sample is {sample}; give 1 or more.")
    if failures is not None and failures.suffix.lower() not in contact_sheet.KINDS:
        raise CommandError(f"--failures is {failures.name}; give an .html or .png file.")
    line = lines.ProgressLine(command.stderr)

    def counting(done: int, total: int, *, note: str) -> None:
        line.counting(note)(done, total)

    asked: dict[str, Any] = {"sample": sample, "seed": seed, "photos": photos, "counting": counting}
    if recipes is None:
        report = evaluation.of_indexes([indexes.find(key) for key in index or ()], **asked)
    else:
        report = evaluation.of_recipes(evaluation.recipes_from(recipes), **asked)
    line.close("Measured.")
    if options["json"]:
        command.stdout.write(json.dumps(report.as_json(), indent=2))
    else:
        for text in table(report):
            command.stdout.write(text)
    if failures is not None:
        count = contact_sheet.write(report, failures)
        command.stderr.write(f"{count} of {len(report.failures)} failures are in {failures}.")


def table(report: evaluation.Report) -> Sequence[str]:
    """Return the report as lines of text: a block for each task, a line for each index or recipe."""
    said = []
    width = max(len(column.name) for column in report.columns)
    for task in dict.fromkeys(name for column in report.columns for name in column.tasks):
        first = next(column.tasks[task] for column in report.columns if task in column.tasks)
        said += ["", f"{task}: {first.questions} questions, in % (95 % interval)"]
        names = list(first.figures)
        said.append(" " * width + "".join(f"{name:>22}" for name in names) + "   ms p50   p95   products")
        for column in report.columns:
            measured = column.tasks[task]
            cells = "".join(
                f"{f'{100 * each.value:.1f} ({100 * each.low:.1f}-{100 * each.high:.1f})':>22}"
                for each in (measured.figures[name] for name in names)
            )
            said.append(f"{column.name:{width}}{cells}{measured.p50:9.1f}{measured.p95:6.0f}{column.products:11}")
            if measured.difference:
                cells = "".join(
                    f"{f'{100 * each.value:+.1f} ({100 * each.low:+.1f} {100 * each.high:+.1f})':>22}"
                    for each in (measured.difference[name] for name in names)
                )
                said.append(f"{'  difference':{width}}{cells}")
    said += ["", *(f"{task}: skipped, {reason}" for task, reason in report.skipped.items())]
    if report.left_out:
        said.append(
            f"{tasks.PHOTO}: {report.left_out} photos left out, more than are asked or of products that are not "
            "searched; --sample takes more."
        )
    return said
