from __future__ import annotations

import dataclasses
import io
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.db.models import CASCADE, CharField, F, OneToOneField
from django.test import RequestFactory, override_settings
from django.test.utils import isolate_apps
from django.views.debug import ExceptionReporter
from PIL import Image

from tests import factories
from visual_search import catalog, exceptions, models
from visual_search.encoders import base, tiny
from visual_search.indexing.generations import lifecycle
from visual_search.retrieval import answers, live, nearest
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db


class Grouped(catalog.Catalog):
    """Products of one price are variants; whoever's name begins alike sells them."""

    def products(self, request: Any = None) -> Any:
        return catalog.product_model()._default_manager.all()

    def images(self, product: Any) -> Iterator[Any]:
        yield from _shop.images(product)

    def group(self, product: Any) -> Any:
        return product.price

    def seller(self, product: Any) -> Any:
        return product.name[0]


class Sellers(Grouped):
    group = catalog.Catalog.group  # type: ignore[assignment]


class Annotated(Grouped):
    """Has what it groups by from its own queryset alone."""

    def products(self, request: Any = None) -> Any:
        return super().products(request).annotate(article=F("price"), owner=F("stock"))

    def group(self, product: Any) -> Any:
        return product.article

    def seller(self, product: Any) -> Any:
        return product.owner


class Unhashable(Grouped):
    def group(self, product: Any) -> Any:
        return ([product.price],)

    def seller(self, product: Any) -> Any:
        return {product.price}


class Failing(Grouped):
    """Knows neither the article nor the seller of products that cost 7."""

    def group(self, product: Any) -> Any:
        return None if product.price != 7 else 1 / 0

    def seller(self, product: Any) -> Any:
        return product.name[0] if product.price != 7 else 1 / 0


_shop = catalog.current()


def names(query: Query) -> list[str]:
    return [product.name for product in answers.answer(query).products]


def using(name: str) -> Any:
    from django.conf import settings

    changed = {**settings.VISUAL_SEARCH, "CATALOG": f"tests.retrieval.test_answers.{name}"}
    return override_settings(VISUAL_SEARCH=changed)


@pytest.fixture
def shelf() -> dict[str, Any]:
    """Six products: three colours of circles, three of bars."""
    products = {
        f"{colour} {shape}": factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape)])
        for shape in ("circle", "bar")
        for colour in ("crimson", "seagreen", "royalblue")
    }
    factories.embed()
    return products


def test_terms__several_products_look_for_what_they_share(shelf: dict[str, Any]) -> None:
    both = Query(terms=(Term(product=shelf["crimson circle"].pk), Term(product=shelf["seagreen circle"].pk)))

    assert names(both)[0] == "royalblue circle"
    assert not {"crimson circle", "seagreen circle"} & set(names(both))


def test_terms__a_negative_weight_looks_away(shelf: dict[str, Any]) -> None:
    like = Term(photo=factories.picture("crimson", "circle"))
    unlike = Term(product=shelf["crimson circle"].pk, weight=-0.9)

    assert names(Query(terms=(like,)))[0] == "crimson circle"
    found = names(Query(terms=(Term(product=shelf["crimson bar"].pk), unlike)))
    assert found[-1].endswith("circle")
    assert "crimson circle" not in found


def test_terms__a_product_without_a_vector_adds_nothing(shelf: dict[str, Any]) -> None:
    late = factories.product(name="late")
    known = Term(product=shelf["crimson circle"].pk)

    assert names(Query(terms=(known, Term(product=late.pk)))) == names(Query(product=shelf["crimson circle"].pk))
    assert answers.answer(Query(terms=(Term(product=late.pk), Term(product=late.pk, weight=2)))).state == "pending"


def test_region__is_the_part_that_counts(shelf: dict[str, Any]) -> None:
    canvas = Image.new("RGB", (400, 200), "white")
    canvas.paste(Image.open(io.BytesIO(factories.picture("crimson", "circle", size=200))), (0, 0))
    canvas.paste(Image.open(io.BytesIO(factories.picture("royalblue", "bar", size=200))), (200, 0))

    assert names(Query(terms=(Term(photo=canvas, region=(0, 0, 0.5, 1)),)))[0] == "crimson circle"
    assert names(Query(terms=(Term(photo=canvas, region=(0.5, 0, 1, 1)),)))[0] == "royalblue bar"
    with pytest.raises(exceptions.BadImage) as caught:
        names(Query(terms=(Term(photo=canvas, region=(0, 0, 0.01, 1)),)))
    assert caught.value.code == "image_too_small"


def test_exclude__never_comes_back(shelf: dict[str, Any]) -> None:
    first, second, *others = names(Query(product=shelf["crimson circle"].pk))

    found = names(Query(product=shelf["crimson circle"].pk, exclude=[shelf[first].pk]))

    assert found == [second, *others]


def test_exclude__none_hides_nothing(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson circle"].pk, exclude=[None, catalog.product_model()(pk=None)])

    assert len(names(query)) == 5


def test_group__only_the_nearest_variant_is_shown(shelf: dict[str, Any]) -> None:
    for number, product in enumerate(shelf.values()):
        product.price = number // 3  # all circles are one article, all bars another
        product.save()
    with using("Grouped"):
        found = names(Query(product=shelf["crimson circle"].pk, limit=2))
        everything = names(Query(product=shelf["crimson circle"].pk))

    assert len(found) == len(everything) == 2
    assert {name.split()[1] for name in found} == {"circle", "bar"}


def test_group_and_seller__failing_for_one_product_cost_nobody_the_page(
    shelf: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    shelf["crimson bar"].price = 7
    shelf["crimson bar"].save()
    query = Query(product=shelf["crimson circle"].pk, per_seller=1)
    with using("Failing"):
        found = names(query)

    # Like one without a seller, it takes nobody's place.
    assert set(found) >= {"crimson bar"}
    assert sorted(name[0] for name in found) == ["c", "r", "s"]
    for hook in ("group", "seller"):
        assert f"The catalog's {hook}() failed for product {shelf['crimson bar'].pk}" in caplog.text


def test_group_and_seller__are_asked_of_what_the_catalog_brings_along(shelf: dict[str, Any]) -> None:
    manager = catalog.product_model()._default_manager
    manager.filter(name__endswith="circle").update(price=1, stock=1)
    manager.filter(name__endswith="bar").update(price=2, stock=1)
    query = Query(product=shelf["crimson circle"].pk, queryset=manager.all())
    with using("Annotated"):
        found = names(query)
        capped = names(dataclasses.replace(query, terms=(), per_seller=1))

    assert sorted(name.split()[1] for name in found) == ["bar", "circle"]
    assert len(capped) == 1


def test_group_and_seller__that_are_no_keys_count_as_none(
    shelf: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with using("Unhashable"):
        assert len(names(Query(product=shelf["crimson circle"].pk, per_seller=1))) == 5

    for hook in ("group", "seller"):
        assert f"The catalog's {hook}() of product {shelf['crimson bar'].pk} can't be hashed" in caplog.text


def test_per_seller__caps_and_still_fills_the_page(shelf: dict[str, Any]) -> None:
    for number in range(40):
        factories.product(name=f"crowd {number}", pictures=[factories.picture("crimson", "circle", size=97 + number)])
    factories.embed()
    with using("Sellers"):
        found = names(Query(product=shelf["crimson circle"].pk, limit=6, per_seller=2))

    # "c" sells crimson things and the crowd; "s" and "r" sell the others.
    assert len(found) == 6
    assert sum(name[0] == "c" for name in found) == 2


def test_diversity__takes_what_differs(shelf: dict[str, Any]) -> None:
    for number in range(6):
        factories.product(name=f"twin {number}", pictures=[factories.picture("crimson", "circle", size=97 + number)])
    factories.embed()
    plain = names(Query(product=shelf["crimson circle"].pk, limit=4))
    diverse = names(Query(product=shelf["crimson circle"].pk, limit=4, diversity=0.7))

    assert all(name.startswith("twin") for name in plain)
    assert diverse[0].startswith("twin")
    assert sum(name.startswith("twin") for name in diverse) < 4
    assert names(Query(product=shelf["crimson circle"].pk, limit=4, diversity=0.0)) == plain


def test_answer__says_how_the_page_was_found(shelf: dict[str, Any]) -> None:
    plain = answers.answer(Query(product=shelf["crimson bar"].pk))
    explained = answers.answer(Query(product=shelf["crimson bar"].pk), explain=True)

    assert plain.plan is not None
    assert explained.plan is not None
    assert (plain.plan.explained, plain.plan.attempts[0].exact) == (None, True)
    assert explained.plan.explained[0]["Execution Time"] > 0
    assert explained.products == plain.products


def test_answer__follows_the_live_index_at_once(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson bar"].pk)
    first = answers.answer(query).index
    other = lifecycle.create()
    factories.embed()
    other.refresh_from_db()

    lifecycle.activate(other, force=True)
    assert live._kept is not None
    assert answers.answer(query).index == other.pk != first
    lifecycle.rollback()
    assert answers.answer(query).index == first


def test_answer__knows_a_new_calibration_within_a_minute(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query(product=shelf["crimson bar"].pk, limit=1)

    def tier() -> Any:
        return answers.answer(query).products[0].tier

    assert tier() is not None
    models.SearchIndex.objects.update(calibration=None)
    assert tier() is not None
    later = time.monotonic() + live.SECONDS
    monkeypatch.setattr(live.time, "monotonic", lambda: later)
    assert tier() is None


def test_answer__refuses_by_the_live_index_and_not_by_the_former(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson bar"].pk, colour=0.5)
    with pytest.raises(exceptions.InvalidQuery):
        answers.answer(query)
    assert live._kept is not None
    coloured = lifecycle.create(["tiny", "tests.faults.encoders.Other"])
    factories.embed()
    coloured.refresh_from_db()
    coloured.parts[1]["name"] = "colour"
    coloured.save()

    lifecycle.activate(coloured, force=True)

    assert answers.answer(query).index == coloured.pk


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"product": 1, "photo": b"x"},
        {"terms": (Term(product=1),), "product": 1},
        {"product": 1, "diversity": 1.5},
        {"product": 1, "per_seller": 0},
        {"product": 1, "per_seller": "3"},
        {"product": 1, "per_seller": 2.5},
        {"product": 1, "colour": "0.3"},
        {"product": 1, "diversity": "x"},
        {"product": 1, "diversity": None},
        {"product": 1, "colour": [0.5]},
        {"product": 1, "filters": [("price", 1)]},
        {"terms": [1]},
        {"terms": Term(words="boots")},
    ],
)
def test_query__that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidQuery):
        Query(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"product": 1, "weight": 0},
        {"product": 1, "weight": float("nan")},
        {"product": 1, "region": (0, 0, 1, 1)},
        {"photo": b"x", "region": (0.5, 0, 0.5, 1)},
        {"photo": b"x", "region": (0, 0, 1)},
        {"photo": b"x", "region": (0, 0, "1", 1)},
        {"photo": b"x", "region": 0.5},
        {"product": 1, "weight": None},
        {"product": 1, "weight": "1"},
    ],
)
def test_term__that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidQuery):
        Term(**wrong)


def test_query__looking_away_only() -> None:
    with pytest.raises(exceptions.InvalidQuery, match="positive"):
        Query(terms=(Term(product=1, weight=-1),))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda manager: list(manager.all()), "is list"),
        (lambda manager: manager.values("pk"), "returns values"),
        (lambda manager: models.SearchIndex.objects.all(), "is of SearchIndex"),
        (lambda manager: manager.all()[:3], "sliced"),
        (lambda manager: manager.all().union(manager.all()), "combined"),
    ],
)
def test_query__with_what_is_no_queryset_of_products(wrong: Any, said: str) -> None:
    with pytest.raises(exceptions.InvalidQuery, match=said):
        Query(product=factories.product(), queryset=wrong(catalog.product_model()._default_manager))


@isolate_apps("tests")
def test_query__with_a_queryset_of_children_that_have_keys_of_their_own() -> None:
    parent = catalog.product_model()

    class Parcel(parent):  # type: ignore[misc, valid-type]
        number = CharField(max_length=9, primary_key=True)
        product = OneToOneField(parent, CASCADE, parent_link=True, related_name="+")

        class Meta:
            app_label = "tests"

    with pytest.raises(exceptions.InvalidQuery, match="of Parcel, which has a key of its own"):
        Query(product=factories.product(), queryset=Parcel._default_manager.all())


@pytest.mark.parametrize("key", ["abc", object(), 3.5j, float("inf")])
def test_query__with_what_is_no_key(key: Any) -> None:
    for arguments in ({"product": key}, {"photo": b"x", "exclude": [key]}):
        with pytest.raises(exceptions.InvalidQuery, match="no key of a product"):
            Query(**arguments)


def test_query__with_a_product_that_is_not_saved() -> None:
    for ask in (lambda product: Query(product=product), lambda product: Term(product=product)):
        with pytest.raises(exceptions.InvalidQuery, match="save it first"):
            ask(catalog.product_model()(pk=None))


@pytest.mark.parametrize("exclude", [5, None, "12"])
def test_exclude__of_what_are_no_keys(exclude: Any) -> None:
    with pytest.raises(exceptions.InvalidQuery, match="exclude is"):
        Query(product=factories.product(), exclude=exclude)


def test_exclude__of_rows_in_place_of_keys_says_how_to_get_keys() -> None:
    product = factories.product()
    with pytest.raises(exceptions.InvalidQuery, match="flat=True"):
        Query(product=product, exclude=catalog.product_model()._default_manager.values_list("pk"))


def test_query__does_not_show_the_photo_where_it_is_printed() -> None:
    assert "secret" not in repr(Query(photo=b"secret")) + repr(Query(terms=(Term(photo=b"secret"),)))


def test_filters__narrow_the_catalogs_own_products(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson bar"], filters={"name__endswith": "bar"})

    assert sorted(names(query)) == ["royalblue bar", "seagreen bar"]


@pytest.mark.parametrize("filters", [{"nope": 1}, {"price__lte": "abc"}, {"price__nope": 1}, {"price__in": 1}])
def test_filters__that_the_orm_refuses(shelf: dict[str, Any], filters: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidQuery, match="ORM lookups") as caught:
        answers.answer(Query(product=shelf["crimson bar"], filters=filters))
    assert caught.value.code == "invalid_filter"


def test_queryset__keeps_what_it_annotates(shelf: dict[str, Any]) -> None:
    doubled = catalog.product_model()._default_manager.annotate(double=F("price") * 2)

    (found,) = answers.answer(Query(product=shelf["crimson bar"], queryset=doubled, limit=1)).products

    assert found.double == found.price * 2


def test_queryset__that_picks_one_of_each_picks_the_same_ones(shelf: dict[str, Any]) -> None:
    manager = catalog.product_model()._default_manager
    for product in shelf.values():
        product.price = len(product.name.split()[1])
        product.save()
    one_of_each = manager.order_by("price", "-name").distinct("price")

    found = names(Query(product=shelf["crimson bar"], queryset=one_of_each))

    assert set(found) == {product.name for product in one_of_each}


def test_answer__leaves_out_what_was_hidden_since_the_search(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = catalog.product_model()._default_manager
    first, *others = names(Query(product=shelf["crimson bar"]))
    real = nearest.products
    visible = manager.exclude(name=first)

    def search_and_hide(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        gate = options["gate"]
        object.__setattr__(gate, "shown", visible)
        return found

    monkeypatch.setattr(nearest, "products", search_and_hide)

    assert names(Query(product=shelf["crimson bar"], queryset=manager.all())) == others


def test_answer__a_catalog_that_fails_for_pictures_costs_the_picture_only(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, product: Any) -> Any:
        raise OSError("no pictures today")

    monkeypatch.setattr(type(catalog.current()), "images", fail)

    found = answers.answer(Query(product=shelf["crimson bar"])).products

    assert [product.matched_image for product in found] == [None] * 5


def test_answer__an_error_of_the_database_is_no_products_own(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, product: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(type(catalog.current()), "images", fail)

    with pytest.raises(DataError), transaction.atomic():
        answers.answer(Query(product=shelf["crimson bar"]))


def test_similarity__is_at_most_one(shelf: dict[str, Any]) -> None:
    for colour in ("crimson", "seagreen", "royalblue"):
        found = answers.answer(Query(photo=factories.picture(colour, "bar"))).products
        assert all(product.similarity <= 1 for product in found)


@pytest.mark.parametrize("lengths", [[], [float("nan")]])
def test_photo__takes_no_place_for_what_it_can_not_be_compared_with(
    shelf: dict[str, Any], lengths: list[float]
) -> None:
    broken = models.ProductEmbedding.objects.filter(product__in=[shelf["seagreen bar"].pk, shelf["royalblue bar"].pk])
    broken.update(part_lengths=lengths)

    found = names(Query(photo=factories.picture("crimson", "bar"), limit=3))

    assert (len(found), found[0]) == (3, "crimson bar")
    assert all("bar" not in name for name in found[1:])


def test_error_report__shows_neither_photo_nor_vector(shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(nearest, "ask", fail)
    try:
        answers.answer(Query(photo=factories.picture("crimson", "bar")))
    except ZeroDivisionError:
        frames = ExceptionReporter(RequestFactory().get("/"), *sys.exc_info()).get_traceback_data()["frames"]

    told = [str(value) for frame in frames[1:] for _, value in frame["vars"]]
    assert len(told) > 10
    assert not [value for value in told if "PNG" in value or "HalfVector" in value or "Query" in value]


def test_answer__to_a_photo_follows_the_live_index_too(shelf: dict[str, Any]) -> None:
    query = Query(photo=factories.picture("crimson", "bar"))
    current = answers.answer(query).index
    for former in (
        models.SearchIndex(pk=10**9, encoders=["tiny"], fingerprint=models.SearchIndex.objects.get().fingerprint),
        models.SearchIndex(pk=10**9, encoders=["tiny"], fingerprint="0" * 64),
    ):
        live.keep(former)
        assert answers.answer(query).index == current


class Pipe(io.RawIOBase):
    """A stream that can be read once."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def test_photo__that_can_be_read_once_is_asked_with_in_parts_and_in_another_index(shelf: dict[str, Any]) -> None:
    data = factories.picture("crimson", "bar")
    halves = ((0, 0, 1, 0.5), (0, 0.5, 1, 1))
    found = []
    for photo in (data, Pipe(data)):
        query = Query(terms=tuple(Term(photo=photo, region=half) for half in halves))
        live.keep(models.SearchIndex(pk=10**9, encoders=["tiny"], fingerprint="0" * 64))
        found.append(names(query))

    assert found[0] == found[1] != []


def test_photo__is_encoded_once_however_wide_the_page_has_to_look(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.product_model()._default_manager.update(price=1)
    live.keep(None)
    encoded, asked = [], []
    encode, ask = tiny.TinyEncoder.encode, nearest.products
    monkeypatch.setattr(
        tiny.TinyEncoder, "encode", lambda self, images: (encoded.append(len(images)), encode(self, images))[1]
    )
    monkeypatch.setattr(
        nearest, "products", lambda *a, **options: (asked.append(options["limit"]), ask(*a, **options))[1]
    )
    monkeypatch.setattr(answers, "WIDER", 2)

    with using("Grouped"):
        assert len(names(Query(photo=factories.picture("crimson", "bar"), limit=2))) == 1

    assert asked == [4, 8]
    assert encoded == [1]


class Broken(tiny.TinyEncoder):
    """An encoder of a shop's own, which fails with whatever it likes."""

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        raise ValueError("of no use any more")


def test_answer__to_a_photo_follows_the_live_index_whatever_the_former_encoder_fails_with(
    shelf: dict[str, Any],
) -> None:
    current = models.SearchIndex.objects.get()
    broken = models.SearchIndex(pk=10**9, encoders=[f"{__name__}.Broken"], fingerprint=current.fingerprint)
    live.keep(broken)

    assert answers.answer(Query(photo=factories.picture("crimson", "bar"))).index == current.pk

    models.SearchIndex.objects.update(encoders=broken.encoders)
    live.keep(None)
    for _ in range(2):
        with pytest.raises(ValueError, match="of no use"):
            answers.answer(Query(photo=factories.picture("crimson", "bar")))


def test_answer__to_a_photo_when_the_former_index_is_gone() -> None:
    live.keep(models.SearchIndex(pk=10**9, encoders=["tiny"], fingerprint="0" * 64))

    assert answers.answer(Query(photo=factories.picture("crimson", "bar"))).state == "pending"


def test_answer__to_a_photo_with_another_encoder_says_so(shelf: dict[str, Any]) -> None:
    models.SearchIndex.objects.update(fingerprint="0" * 64)
    live.keep(None)

    with pytest.raises(exceptions.EncoderUnavailable):
        answers.answer(Query(photo=factories.picture("crimson", "bar")))
