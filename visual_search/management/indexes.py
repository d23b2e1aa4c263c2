"""`manage.py visual_search index ...`: the life of an index, by hand."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError

from visual_search import conf
from visual_search.indexing.generations import builder, calibration, gate, graphs, hnsw, lifecycle, progress
from visual_search.management import filling, lines
from visual_search.models import SearchIndex


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    create = commands.add_parser("create", help="Create an index beside the live one, and queue every product for it.")
    create.add_argument(
        "--encoder",
        action="append",
        type=spec,
        help="An encoder's name, or its name and options as JSON; may be repeated (default: ENCODERS).",
    )
    create.add_argument("--metric", choices=SearchIndex.Metric.values, help="What makes alike (default: METRIC).")
    for name, (_, help_text) in STEPS.items():
        step = commands.add_parser(name, help=help_text)
        if name == "calibrate":
            step.add_argument("index", type=int, nargs="?", help="Number of the index (default: the live one).")
        else:
            step.add_argument("index", type=int, help="Number of the index, as `status` shows it.")
        if name == "activate":
            step.add_argument("--force", action="store_true", help="Even where it does not pass the gate.")
    commands.add_parser("rollback", help="Make the index live again that was before.")


def spec(text: str) -> str | dict[str, Any]:
    """Return the encoder that an argument names: by its name, or by a JSON object as ENCODERS has them."""
    if not text.startswith("{"):
        return text
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no JSON: {error}") from None
    return found


def handle(command: Any, *, step: str, index: int | None = None, **options: Any) -> None:
    """Run one step; the command writes what came of it."""
    if index is None and step in STEPS:
        index = _live().pk
    if index is None:
        {"create": _create, "rollback": _rollback}[step](command, **options)
        return
    run, _ = STEPS[step]
    if step in IN_TURN and hnsw.is_busy():
        command.stdout.write("Another HNSW index is being built or dropped: this waits for its turn.")
        command.stdout.flush()
    run(command, find(index), **options)


def find(key: int) -> SearchIndex:
    """Return the index with that number; raise CommandError naming those that there are."""
    indexes = SearchIndex.objects.using(conf.settings.DATABASE)
    found = indexes.filter(pk=key).first()
    if found is None:
        known = ", ".join(str(number) for number in indexes.values_list("pk", flat=True)) or "none"
        raise CommandError(f"There is no index {key}. Indexes: {known}.")
    return found


def _live() -> SearchIndex:
    found = SearchIndex.objects.using(conf.settings.DATABASE).live()
    if found is None:
        raise CommandError("No index is live yet.")
    return found


def _create(
    command: Any, *, encoder: list[str | dict[str, Any]] | None = None, metric: str | None = None, **options: Any
) -> None:
    index = lifecycle.create(encoder, metric=metric)
    queued = progress.of(index).queued
    command.stdout.write(f"Index {index} is building: {queued} products are queued. A worker fills it, or:")
    command.stdout.write(f"  manage.py visual_search index fill {index.pk}")


def _fill(command: Any, index: SearchIndex, **options: Any) -> None:
    lifecycle.fill(index)
    filling.until_empty(command.stdout, index)


def _build(command: Any, index: SearchIndex, **options: Any) -> None:
    lifecycle.build(index)
    command.stdout.write(command.style.SUCCESS(f"Index {index} is {index.state}."))


def _calibrate(command: Any, index: SearchIndex, **options: Any) -> None:
    found = calibration.calibrate(index)
    for kind in (calibration.SIMILAR, calibration.PHOTO):
        pairs = f"{found[kind]['same']} pairs of one product and {found[kind]['different']} of different ones"
        curves = found[kind]["curves"]
        command.stdout.write(f"{kind}, from {pairs}{'; the less probable holds' if len(curves) > 1 else ''}:")
        for curve in curves:
            named = zip(curve["weights"], index.parts, strict=True)
            weights = " + ".join(f"{weight:.1f} x {part['name']}" for weight, part in named)
            command.stdout.write(f"  {curve['intercept']:.1f} + {weights}")


def _evaluate(command: Any, index: SearchIndex, **options: Any) -> None:
    with _counted(command) as counting:
        found = gate.evaluate(index, counting=counting)
    command.stdout.write(f"coverage          {found.coverage:.2%}, {found.failed} pictures failed")
    command.stdout.write(f"recall@10         {_percent(found.recall)} on {found.samples} pictures")
    command.stdout.write(f"finds a sibling   {_percent(found.sibling)}")
    command.stdout.write(f"against the live  {_percent(found.difference)} (lower end of 95 %)")
    for reason in found.reasons:
        command.stdout.write(command.style.ERROR(reason))
    if not found.passed:
        raise CommandError(f"Index {index} does not pass the gate.", returncode=1)
    command.stdout.write(command.style.SUCCESS("It passes the gate."))


@contextmanager
def _counted(command: Any) -> Iterator[gate.Counting]:
    """Show how far a measurement is, where somebody watches."""
    line = lines.ProgressLine(command.stderr)
    yield lambda what, done, total: line.say(f"Measuring: {what}, {done} of {total}")
    line.close()


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1%}"


def _activate(command: Any, index: SearchIndex, *, force: bool = False, **options: Any) -> None:
    with _counted(command) as counting:
        former = lifecycle.activate(index, force=force, seconds=float("inf"), counting=counting)
    command.stdout.write(command.style.SUCCESS(f"Index {index} is live."))
    if former is not None:
        command.stdout.write("To go back: manage.py visual_search index rollback")


def _rollback(command: Any, **options: Any) -> None:
    command.stdout.write(command.style.SUCCESS(f"Index {lifecycle.rollback()} is live again."))


def _retire(command: Any, index: SearchIndex, **options: Any) -> None:
    lifecycle.retire(index)
    command.stdout.write(f"Index {index} is retired, and its vectors are deleted.")


def _cancel(command: Any, index: SearchIndex, **options: Any) -> None:
    lifecycle.cancel(index)
    command.stdout.write(f"Index {index} is cancelled. To go on: manage.py visual_search index resume {index.pk}")


def _resume(command: Any, index: SearchIndex, **options: Any) -> None:
    lifecycle.resume(index)
    command.stdout.write(f"Index {index} is building again: {progress.of(index).queued} products are queued.")


def _reindex(command: Any, index: SearchIndex, **options: Any) -> None:
    before = hnsw.health(index.pk)
    if before.valid:
        graphs.rebuild(index)
    elif index.state not in (SearchIndex.State.READY, SearchIndex.State.LIVE, SearchIndex.State.PREVIOUS):
        raise CommandError(f"Index {index} has no valid HNSW index yet: `index build {index.pk}` makes it.")
    elif not builder.build(index, float("inf")):
        raise CommandError(f"The HNSW index of {index} could not be built; the log says why.")
    after = hnsw.health(index.pk)
    command.stdout.write(f"The HNSW index of {index} is new: {before.size >> 10} kB before, {after.size >> 10} kB now.")


IN_TURN = ("build", "retire", "reindex")
"""Steps that change an HNSW index, which one session does at a time."""

STEPS: dict[str, tuple[Callable[..., None], str]] = {
    "fill": (_fill, "Embed what the index misses, in this process, until its queue is empty."),
    "build": (_build, "Build the HNSW index of a filled index."),
    "calibrate": (_calibrate, "Fit what a similarity means, from the shop's own pictures."),
    "evaluate": (_evaluate, "Measure an index against the gate; exit 1 where it does not pass."),
    "activate": (_activate, "Make an index the one that answers; a new one has to pass the gate."),
    "retire": (_retire, "Give an index up and delete its vectors."),
    "cancel": (_cancel, "Stop building an index; what it has is kept."),
    "resume": (_resume, "Go on building a cancelled or retired index."),
    "reindex": (_reindex, "Build the HNSW index anew beside the old one, without blocking anybody."),
}
"""What is done with one index that is there, and what `--help` says of it."""
