"""How well does the search find what it should? Measured on the shop's own data, and kept on the index."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from visual_search import conf
from visual_search.encoders import registry
from visual_search.exceptions import NoLiveIndex, VisualSearchError
from visual_search.indexing.vectors import measures
from visual_search.insight import searchers, tasks
from visual_search.models import SearchIndex
from visual_search.retrieval import nearest

SAMPLE = 300
"""Products that are asked with: about 3 points more or less at 90 %."""

Counting = Callable[..., None]
"""Is told `done`, `total` and a `note`."""


class RecipesError(VisualSearchError):
    """The recipes can't be read."""

    code = "evaluation_recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The figures of one task: `figures` by name, latency in milliseconds at the median and at 95 %.

    `difference` is the mean of the paired differences to the first column of the report; empty in that column.
    """

    questions: int
    figures: Mapping[str, measures.Interval]
    p50: float
    p95: float
    difference: Mapping[str, measures.Interval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A question whose first answer was wrong: `rank` of the first right one, or None, and what came instead."""

    searcher: str
    question: tasks.Question
    rank: int | None
    found: Sequence[nearest.Match]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What was measured of one index or recipe among `products` of them, by task."""

    name: str
    index: int | None
    products: int
    tasks: Mapping[str, Measured]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Indexes or recipes side by side, the tasks that were skipped with the reason, and the failures, worst first.

    `left_out` photos of the CSV were not asked with: there are more than are asked, or their product is not searched.
    """

    sample: int
    seed: int
    measured_at: str
    columns: Sequence[Column]
    skipped: Mapping[str, str]
    failures: Sequence[Failure] = field(repr=False)
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return all of it but the failures, as JSON can hold it."""
        found = asdict(self)
        del found["failures"]
        return found


def of_indexes(
    indexes: Sequence[SearchIndex] = (),
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    photos: Path | None = None,
    counting: Counting = lambda done, total, **more: None,
) -> Report:
    """Measure `indexes` (default: the live one) side by side on up to `sample` products, and store it on each.

    `photos` is a CSV of photos and product keys, asked beside what the shop's own pictures give. Raises NoLiveIndex,
    TaskError, EncoderError.
    """
    if not indexes:
        live = SearchIndex.objects.using(conf.settings.DATABASE).live()
        if live is None:
            raise NoLiveIndex()
        indexes = [live]
    for index in indexes:
        if index.fitted_on is None:
            raise VisualSearchError(f"Index {index} has no vectors yet: a worker fills it.", code="index_state")
    # Before the others, which take their time: a mistake in the file is told at once.
    given = _given(photos, sample=sample, seed=seed)
    shop = tasks.Shop(sample=sample, seed=seed)
    report = _report([searchers.Index(index) for index in indexes], shop, seed, given, counting, among=None)
    for index, column in zip(indexes, report.columns, strict=True):
        index.evaluation = {
            **(index.evaluation or {}),
            "quality": {
                "measured_at": report.measured_at,
                "sample": report.sample,
                "seed": report.seed,
                "tasks": {name: asdict(measured) for name, measured in column.tasks.items()},
                "skipped": dict(report.skipped),
            },
        }
        SearchIndex.objects.using(conf.settings.DATABASE).filter(pk=index.pk).update(evaluation=index.evaluation)
    return report


def of_recipes(
    recipes: Sequence[Mapping[str, Any]],
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    photos: Path | None = None,
    counting: Counting = lambda done, total, **more: None,
) -> Report:
    """Measure `recipes` side by side, on and among up to `sample` products, first those of `photos`; builds no index.

    A recipe has "name" and "encoders", and may have "colour", the share of the colour part.

    Raises RecipesError, EncoderError, TaskError.
    """
    for recipe in recipes:
        _expect(recipe)
    given = _given(photos, sample=sample, seed=seed)
    shop = tasks.Shop(sample=sample, seed=seed, first=[question.product for question in given.questions])
    columns = []
    for recipe in recipes:

        def encoding(done: int, total: int, name: str = recipe["name"]) -> None:
            counting(done, total, note=f"{name}: encoding")

        columns.append(
            searchers.Recipe(recipe["name"], recipe["encoders"], shop, colour=recipe.get("colour"), report=encoding)
        )
    return _report(columns, shop, seed, given, counting, among=shop.sample)


def recipes_from(path: Path) -> list[dict[str, Any]]:
    """Return the recipes of a JSON file: a list of {"name": ..., "encoders": [...]}. Raises RecipesError."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RecipesError(f"{path} can't be read as JSON: {error}.") from error
    if not isinstance(found, list) or not found:
        raise RecipesError(f'{path} holds no list. Write [{{"name": "Lite0", "encoders": ["efficientnet_lite0"]}}].')
    for recipe in found:
        _expect(recipe)
    return found


def _expect(recipe: Any) -> None:
    if (
        not isinstance(recipe, Mapping)
        or recipe.keys() - {"colour"} != {"name", "encoders"}
        or not isinstance(recipe.get("colour", 0.0), int | float)
        or not 0 <= recipe.get("colour", 0.0) <= 1
        or not isinstance(recipe["encoders"], list)
        or not recipe["encoders"]
    ):
        raise RecipesError(f'A recipe is {recipe!r:.100}. Write {{"name": ..., "encoders": [...]}}, "colour": 0 to 1.')
    for spec in recipe["encoders"]:
        registry.validate(spec)


@dataclass(frozen=True, slots=True)
class _Given:
    """The questions of a CSV of photos, None where none is given, and how many photos it has."""

    questions: Sequence[tasks.Question] = ()
    total: int | None = None


def _given(photos: Path | None, *, sample: int, seed: int) -> _Given:
    return _Given() if photos is None else _Given(*tasks.photos(photos, most=max(sample, SAMPLE), seed=seed))


def _report(
    asked: Sequence[searchers.Searcher],
    shop: tasks.Shop,
    seed: int,
    given: _Given,
    counting: Counting,
    *,
    among: Sequence[Any] | None,
) -> Report:
    searched = set(shop.listed if among is None else among)
    photos = [question for question in given.questions if question.product in searched]
    measured: list[dict[str, Measured]] = [{} for _ in asked]
    skipped: dict[str, str] = {}
    failures: list[Failure] = []
    for task, questions in _questions(shop, None if given.total is None else photos, counting, among=among):
        if len(questions) < tasks.LEAST_QUESTIONS:
            skipped[task] = f"{len(questions)} questions; {tasks.LEAST_QUESTIONS} are needed."
            continue
        first: dict[str, Any] | None = None
        for searcher, into in zip(asked, measured, strict=True):
            scores, milliseconds, failed = _ask(searcher, questions, shop, counting)
            failures += failed
            figures = {name: measures.mean(values, seed=seed) for name, values in scores.items()}
            into[task] = Measured(
                questions=len(questions),
                figures=figures,
                p50=float(np.median(milliseconds)),
                p95=float(np.quantile(milliseconds, 0.95)),
                difference={}
                if first is None
                else {name: measures.mean(values - first[name], seed=seed) for name, values in scores.items()},
            )
            first = first or scores
    failures.sort(key=lambda failure: -(failure.rank or measures.DEPTH + 1))
    return Report(
        sample=len(shop.sample),
        seed=seed,
        measured_at=timezone.now().isoformat(timespec="seconds"),
        columns=[
            Column(
                name=searcher.name,
                index=None if searcher.index is None else searcher.index.pk,
                products=searcher.products,
                tasks=own,
            )
            for searcher, own in zip(asked, measured, strict=True)
        ],
        skipped=skipped,
        failures=failures,
        left_out=(given.total or 0) - len(photos),
    )


def _questions(
    shop: tasks.Shop, photos: list[tasks.Question] | None, counting: Counting, *, among: Sequence[Any] | None
) -> Iterator[tuple[str, list[tasks.Question]]]:
    made: dict[str, Iterable[tasks.Question]] = {
        tasks.OTHER_PICTURE: tasks.other_pictures(shop),
        tasks.SIMULATED_PHOTO: tasks.simulated_photos(shop),
        tasks.SAME_CATEGORY: tasks.same_category(shop, among=among),
    }
    for task, questions in made.items():
        found = []
        for question in questions:
            found.append(question)
            counting(len(found), len(shop.sample), note=f"{task}: questions")
        yield task, found
    if photos is not None:
        yield tasks.PHOTO, photos


def _ask(
    searcher: searchers.Searcher, questions: Sequence[tasks.Question], shop: tasks.Shop, counting: Counting
) -> tuple[dict[str, Any], list[float], list[Failure]]:
    relevant, milliseconds, failures = [], [], []
    searcher.answer(questions[0])  # loads the encoder, and what Postgres keeps of the index
    for number, question in enumerate(questions, start=1):
        started = time.perf_counter()
        found = searcher.answer(question)
        milliseconds.append((time.perf_counter() - started) * 1000)
        right = tasks.right(question, [match.product for match in found], shop)
        relevant.append(right)
        if not right or not right[0]:
            rank = right.index(True) + 1 if True in right else None
            failures.append(Failure(searcher=searcher.name, question=question, rank=rank, found=found))
        counting(number, len(questions), note=f"{searcher.name}: {question.task}")
    return measures.scores(relevant, [question.right for question in questions]), milliseconds, failures
