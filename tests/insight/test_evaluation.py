from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests import factories
from visual_search import catalog, exceptions, models
from visual_search.images import source
from visual_search.indexing.generations import lifecycle
from visual_search.insight import evaluation, searchers, tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def _keys_from_one(db: None) -> None:
    """Have the keys that simulated photos are drawn by not depend on which tests ran before."""
    product = catalog.product_model()
    with connection.cursor() as cursor:
        for model in (product, product._meta.get_field("images").related_model):
            cursor.execute(f"ALTER TABLE {model._meta.db_table} ALTER COLUMN id RESTART WITH 1")


@pytest.fixture
def shop() -> Any:
    """Return the live index of 24 products in two categories, two pictures each, the second a little larger."""
    for number in range(24):
        colour = f"#{(number + 1) * 2_654_435_761 % 2**24:06x}"
        shape = ("circle", "bar")[number % 2]
        factories.product(
            pictures=[factories.picture(colour, shape, size=size) for size in (96, 110)],
            category=("Discs", "Bars")[number % 2],
        )
    return factories.embed()


def second() -> models.SearchIndex:
    index = lifecycle.create()
    factories.embed()
    index.refresh_from_db()
    return index


def test_of_indexes__without_a_live_index() -> None:
    with pytest.raises(exceptions.NoLiveIndex):
        evaluation.of_indexes()


def test_of_indexes__that_has_no_vectors_yet(shop: Any) -> None:
    with pytest.raises(exceptions.VisualSearchError) as caught:
        evaluation.of_indexes([lifecycle.create()])

    assert caught.value.code == "index_state"


def test_of_indexes__measures_and_stores(shop: Any) -> None:
    report = evaluation.of_indexes(sample=16)

    (column,) = report.columns
    assert (column.index, column.products, report.sample) == (shop.pk, 24, 16)
    assert set(column.tasks) == {tasks.OTHER_PICTURE, tasks.SIMULATED_PHOTO, tasks.SAME_CATEGORY}
    other = column.tasks[tasks.OTHER_PICTURE]
    assert other.questions == 16
    assert other.figures["R@1"].value > 0.7
    assert column.tasks[tasks.SAME_CATEGORY].figures["R@1"].value > 0.7
    assert all(0 < measured.p50 <= measured.p95 for measured in column.tasks.values())
    shop.refresh_from_db()
    assert shop.evaluation["quality"]["tasks"] == json.loads(json.dumps(report.as_json()))["columns"][0]["tasks"]
    assert shop.evaluation["coverage"] == 1.0  # what the gate measured stays


def test_of_indexes__a_picture_is_no_answer_to_itself(shop: Any) -> None:
    searcher = searchers.Index(shop)
    for question in tasks.other_pictures(tasks.Shop(sample=24, seed=0)):
        found = searcher.answer(question)
        assert len(found) == 10
        assert (question.product, question.image_key) not in {(match.product, match.image_key) for match in found}


def test_of_indexes__side_by_side(shop: Any) -> None:
    index = second()
    keys = list(index.embeddings.order_by("pk").values_list("pk", flat=True))  # type: ignore[attr-defined]
    vectors = list(index.embeddings.defer(None).order_by("pk").values_list("embedding", flat=True))  # type: ignore[attr-defined]
    for key, vector in zip(keys, vectors[7:] + vectors[:7], strict=True):
        index.embeddings.filter(pk=key).update(embedding=vector)  # type: ignore[attr-defined]

    report = evaluation.of_indexes([shop, index])

    good, bad = (column.tasks[tasks.OTHER_PICTURE] for column in report.columns)
    assert good.figures["R@1"].value > bad.figures["R@1"].value
    assert good.difference == {}
    assert bad.difference["R@1"].high < 0
    assert {failure.searcher for failure in report.failures} >= {str(index)}
    ranks = [failure.rank or 11 for failure in report.failures]
    assert ranks == sorted(ranks, reverse=True)


def test_of_indexes__too_few_questions_are_skipped_and_said() -> None:
    for _ in range(3):
        factories.product()
    factories.embed()

    report = evaluation.of_indexes()

    assert report.columns[0].tasks == {}
    assert report.skipped == {
        tasks.OTHER_PICTURE: "0 questions; 10 are needed.",
        tasks.SIMULATED_PHOTO: "3 questions; 10 are needed.",
        tasks.SAME_CATEGORY: "0 questions; 10 are needed.",
    }


def photographed(folder: Path, products: Sequence[Any]) -> Path:
    """Write a CSV whose photos are the first pictures of `products`, and of one product that nobody lists."""
    rows = ["photo,product\n"]
    for number, product in enumerate(products):
        image = catalog.product_model()._default_manager.get(pk=product).images.first()  # type: ignore[attr-defined]
        (folder / f"{number}.png").write_bytes(source.read(image.image))
        rows.append(f"{number}.png,{product}\n")
    (folder / "photos.csv").write_text("".join([*rows, "0.png,0\n"]))
    return folder / "photos.csv"


def test_of_indexes__with_the_shops_own_photos(shop: Any, tmp_path: Path) -> None:
    photos = photographed(tmp_path, tasks.Shop(sample=12, seed=0).sample)

    report = evaluation.of_indexes(photos=photos)

    measured = report.columns[0].tasks[tasks.PHOTO]
    assert (measured.questions, measured.figures["R@1"].value, report.left_out) == (12, 1.0, 1)


def test_of_recipes__search_the_products_of_the_photos_first(shop: Any, tmp_path: Path) -> None:
    # Those that the sample would take last.
    photos = photographed(tmp_path, tasks.Shop(sample=24, seed=0).sample[-14:])
    recipes = [{"name": "one", "encoders": ["tiny"]}]

    enough, few = (evaluation.of_recipes(recipes, sample=sample, photos=photos) for sample in (16, 11))

    for report, asked, left_out in ((enough, 14, 1), (few, 11, 4)):
        measured = report.columns[0].tasks[tasks.PHOTO]
        assert (measured.questions, measured.figures["R@1"].value, report.left_out) == (asked, 1.0, left_out)
        assert report.as_json()["left_out"] == left_out


@pytest.mark.usefixtures("_keys_from_one")
def test_of_recipes__agree_with_an_index_of_the_same_encoders(shop: Any) -> None:
    report = evaluation.of_recipes(
        [{"name": "one", "encoders": ["tiny"]}, {"name": "twice", "encoders": ["tiny", "tiny"]}], sample=24
    )
    index = evaluation.of_indexes([shop], sample=24)

    one, twice = report.columns
    for task, measured in index.columns[0].tasks.items():
        assert one.tasks[task].figures == pytest.approx(twice.tasks[task].figures) or one.tasks[task].questions == 24
        for name, figure in measured.figures.items():
            # Half precision may swap two neighbours.
            assert one.tasks[task].figures[name].value == pytest.approx(figure.value, abs=0.03)
    assert models.SearchIndex.objects.count() == 1


def test_of_indexes__counts_on_the_way(shop: Any) -> None:
    seen: list[tuple[int, int, str]] = []

    evaluation.of_indexes(sample=12, counting=lambda done, total, note: seen.append((done, total, note)))

    assert (12, 12, f"{shop}: {tasks.OTHER_PICTURE}") in seen
    assert all(0 < done <= total for done, total, _ in seen)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "{}",
        "[]",
        '[{"name": "x"}]',
        '[{"name": "x", "encoders": []}]',
        '[{"name": "x", "encoders": "tiny"}]',
    ],
)
def test_recipes_from__what_is_wrong(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipes.json").write_text(text)

    with pytest.raises(evaluation.RecipesError) as caught:
        evaluation.recipes_from(tmp_path / "recipes.json")

    assert caught.value.code == "evaluation_recipes"


def test_recipes_from__an_encoder_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "recipes.json").write_text('[{"name": "x", "encoders": ["tinny"]}]')

    with pytest.raises(exceptions.EncoderError, match="tiny"):
        evaluation.recipes_from(tmp_path / "recipes.json")
