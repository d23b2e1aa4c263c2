from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import factories
from visual_search import catalog
from visual_search.insight import tasks

pytestmark = pytest.mark.django_db


def test_shop__samples_the_same_products_for_the_same_seed() -> None:
    keys = {factories.product().pk for _ in range(8)}

    first, again, other = (tasks.Shop(sample=5, seed=seed).sample for seed in (0, 0, 1))

    assert first == again != other
    assert len(first) == 5
    assert set(tasks.Shop(sample=100, seed=0).sample) == keys


def test_shop__leaves_out_what_is_hidden() -> None:
    shown, hidden = factories.product(), factories.product(is_public=False)

    assert tasks.Shop(sample=10, seed=0).listed == [shown.pk]
    assert hidden.pk not in tasks.Shop(sample=10, seed=0).categories()


def test_other_pictures__of_products_that_have_several() -> None:
    factories.product()
    product = factories.product(pictures=[factories.picture("teal"), factories.picture("teal", "bar")])
    last = product.images.order_by("-position").first()

    (question,) = tasks.other_pictures(tasks.Shop(sample=10, seed=0))

    assert question == tasks.Question(task=tasks.OTHER_PICTURE, product=product.pk, image_key=str(last.pk))


def test_simulated_photos__one_of_each_product() -> None:
    keys = {factories.product().pk for _ in range(3)}

    questions = list(tasks.simulated_photos(tasks.Shop(sample=10, seed=0)))

    assert {question.product for question in questions} == keys
    assert all(question.data for question in questions)


def test_same_category__counts_the_others() -> None:
    cups = [factories.product(category="Cups") for _ in range(3)]
    lamps = [factories.product(category="Lamps") for _ in range(2)]
    factories.product(category="Alone")

    questions = list(tasks.same_category(tasks.Shop(sample=10, seed=0)))

    assert {question.product: (question.category, question.right) for question in questions} == {
        **{product.pk: ("Cups", 2) for product in cups},
        **{product.pk: ("Lamps", 1) for product in lamps},
    }


def test_same_category__among_some_products_only() -> None:
    cups = [factories.product(category="Cups") for _ in range(3)]
    lamp = factories.product(category="Lamps")
    shop = tasks.Shop(sample=10, seed=0)

    questions = list(tasks.same_category(shop, among=[cups[0].pk, cups[1].pk, lamp.pk]))

    assert {(question.product, question.right) for question in questions} == {(cups[0].pk, 1), (cups[1].pk, 1)}


def test_same_category__of_a_shop_with_one_asks_nothing() -> None:
    for _ in range(3):
        factories.product()

    assert list(tasks.same_category(tasks.Shop(sample=10, seed=0))) == []


def test_right__is_the_product_or_its_category() -> None:
    cup, other, lamp = (factories.product(category=name) for name in ("Cups", "Cups", "Lamps"))
    shop = tasks.Shop(sample=10, seed=0)
    found = [lamp.pk, other.pk, cup.pk]

    of_product = tasks.Question(task=tasks.PHOTO, product=cup.pk)
    of_category = tasks.Question(task=tasks.SAME_CATEGORY, product=cup.pk, category="Cups")

    assert tasks.right(of_product, found, shop) == [False, False, True]
    assert tasks.right(of_category, found, shop) == [False, True, True]


def test_photos__are_read_from_a_csv_beside_them(tmp_path: Path) -> None:
    product = factories.product()
    (tmp_path / "one.png").write_bytes(factories.picture("teal"))
    listed = tmp_path / "photos.csv"
    listed.write_text(f"photo,product\none.png,{product.pk}\n")

    (question,), total = tasks.photos(listed, most=10, seed=0)

    assert total == 1
    assert (question.product, question.data) == (product.pk, factories.picture("teal"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("photo,product\nmissing.png,1\n", "missing.png, which can't be read"),
        ("photo,product\none.png,many\n", "write a photo's path and the key"),
        ("photo,product\none.png\n", "write a photo's path and the key"),
        ("photo,product\none.png,0\n", "None of the products"),
        (None, "can't be read as a CSV"),
    ],
)
def test_photos__a_csv_that_is_wrong(tmp_path: Path, text: str | None, said: str) -> None:
    (tmp_path / "one.png").write_bytes(factories.picture())
    listed = tmp_path / "photos.csv"
    if text is not None:
        listed.write_text(text)

    with pytest.raises(tasks.TaskError, match=said) as caught:
        tasks.photos(listed, most=10, seed=0)

    assert caught.value.code == "evaluation_task"
    assert catalog.product_model()._default_manager.count() == 0


class CheapestOfItsBrand(type(catalog.current())):  # type: ignore[misc]
    def products(self, request: Any = None) -> Any:
        return super().products(request).order_by("brand", "price").distinct("brand")


def test_shop__leaves_out_what_a_catalog_that_picks_does_not_pick(settings: Any) -> None:
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG="tests.insight.test_tasks.CheapestOfItsBrand")
    factories.product(brand="Ember", price=20)
    cheap = factories.product(brand="Ember", price=10)

    assert tasks.Shop(sample=10, seed=0).listed == [cheap.pk]


class Elsewhere(type(catalog.current())):  # type: ignore[misc]
    """Reads its products where the shop reads them, which is no place for what is searched."""

    def products(self, request: Any = None) -> Any:
        return super().products(request).using("replica")


def test_photos__are_of_products_in_the_database_that_is_searched(tmp_path: Path, settings: Any) -> None:
    settings.VISUAL_SEARCH = factories.settings_with(CATALOG="tests.insight.test_tasks.Elsewhere")
    product = factories.product()
    (tmp_path / "one.png").write_bytes(factories.picture("teal"))
    listed = tmp_path / "photos.csv"
    listed.write_text(f"photo,product\none.png,{product.pk}\n")

    assert [question.product for question in tasks.photos(listed, most=10, seed=0)[0]] == [product.pk]


def test_photos__bounded_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    product: Any = factories.product()
    listed = tmp_path / "photos.csv"
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(factories.picture())
    listed.write_text("photo,product\n" + "".join(f"{number}.png,{product.pk}\n" for number in range(6)))

    first, again, other = (
        [question.image_key for question in tasks.photos(listed, most=3, seed=seed)[0]] for seed in (0, 0, 1)
    )

    assert first == again != other
    assert len(first) == 3
    assert tasks.photos(listed, most=3, seed=0)[1] == 6
