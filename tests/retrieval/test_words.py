from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests import factories
from visual_search import catalog, exceptions, models
from visual_search.indexing.sources import texts
from visual_search.retrieval import answers, fusion, live, statement, words
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db


class Hiding(catalog.Catalog):
    """A catalog that shows nothing whose name begins with "secret"."""

    def products(self, request: Any = None) -> Any:
        return catalog.product_model()._default_manager.exclude(name__startswith="secret")

    def images(self, product: Any) -> Iterator[Any]:
        yield from _shop.images(product)


_shop = catalog.current()


def hiding() -> Any:
    from django.conf import settings

    return override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "CATALOG": "tests.retrieval.test_words.Hiding"})


def names(query: Query) -> list[str]:
    return [product.name for product in answers.answer(query).products]


class CaptureStatements(list[str]):
    """Collect what `statement.run` is asked, with its parameters written into it."""

    def __enter__(self) -> CaptureStatements:
        self._patched = pytest.MonkeyPatch()
        real = statement.run

        def run(sql: str, parameters: Any, *, settings: Any) -> Any:
            self.append(statement.literal(sql, parameters).replace("%%", "%"))
            return real(sql, parameters, settings=settings)

        self._patched.setattr(statement, "run", run)
        return self

    def __exit__(self, *_: object) -> None:
        self._patched.undo()


def words_of(*products: Any) -> None:
    texts.write(texts.of(products))


@pytest.fixture
def shelf() -> dict[str, Any]:
    named = {
        "crimson satchel of leather": "crimson circle",
        "crimson satchel of cloth": "crimson bar",
        "royalblue boots of leather": "royalblue circle",
        "seagreen boots of cloth": "seagreen bar",
    }
    products = {
        name: factories.product(name=name, pictures=[factories.picture(*drawn.split())])
        for name, drawn in named.items()
    }
    factories.embed()
    return products


def test_words__find_what_is_called_so(shelf: dict[str, Any]) -> None:
    answer = answers.answer(Query(words="Satchels"))

    assert {product.name for product in answer.products} == {"crimson satchel of leather", "crimson satchel of cloth"}
    assert (answer.kind, answer.state, answer.plan) == ("text", "ready", None)
    assert {(product.similarity, product.matched_image) for product in answer.products} == {(None, None)}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("leather boots", ["royalblue boots of leather"]),
        ("boots -leather", ["seagreen boots of cloth"]),
        ('"satchel of cloth"', ["crimson satchel of cloth"]),
        ("boots; DROP TABLE visual_search_producttext --'%s %", []),
        ("bo\0ots of le\ud800ather", []),
        ("nothing of the kind", []),
    ],
)
def test_words__are_what_people_type(shelf: dict[str, Any], asked: str, found: list[str]) -> None:
    assert names(Query(words=asked)) == found


@pytest.mark.parametrize(
    ("asked", "found", "some"),
    [
        ("leather boots", ["royalblue boots of leather"], False),
        (
            "royalblue satchels of leather",
            ["crimson satchel of leather", "royalblue boots of leather", "crimson satchel of cloth"],
            True,
        ),
        ("teapots or clogs of leather", ["crimson satchel of leather", "royalblue boots of leather"], True),
        ('"boots of suede"', [], False),
        ("crimson boots -leather", [], False),
        ("crimson boots - leather", [], False),
        ("crimson boots (-leather)", [], False),
        ("crimson boots !-leather", [], False),
        ("teapot of clay", [], False),
    ],
)
def test_words__where_nothing_has_all_of_them_some_will_do(
    shelf: dict[str, Any], asked: str, found: list[str], some: bool
) -> None:
    answer = answers.answer(Query(words=asked))

    # What has two of the words comes before what has one of them.
    assert {product.name for product in answer.products[:2]} == set(found[:2])
    assert ({product.name for product in answer.products[2:]}, answer.some_words) == (set(found[2:]), some)


def test_words__some_of_them_pass_the_gate(shelf: dict[str, Any]) -> None:
    words_of(factories.product(name="secret suede boots", pictures=[]))
    query = Query(words="suede boots", filters={"name__endswith": "cloth"})
    with hiding():
        answer = answers.answer(query)

    assert ([product.name for product in answer.products], answer.some_words) == (["seagreen boots of cloth"], True)


def test_words__what_has_more_of_them_comes_first_however_long() -> None:
    long = factories.product(name="boots")
    short = factories.product(name="brush")
    text = "red boots and " + " ".join(f"word{number}" for number in range(200))
    texts.write({long.pk: texts.Text(title="", text=text), short.pk: texts.Text(title="suede brush", text="")})

    assert names(Query(words="red suede boots")) == ["boots", "brush"]


def test_words__of_which_too_many_have_them_compare_as_many(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MOST_COMPARED", 1)
    monkeypatch.setattr(words, "MOST_WITH_SOME", 3)

    assert len(names(Query(words="boots"))) == 1
    assert len(names(Query(words="boots of leather or cloth or suede"))) == 1
    assert len(names(Query(words="boots of cloth of leather"))) == 3


def test_words__some_of_them_only_where_they_are_all_that_is_asked_with(shelf: dict[str, Any]) -> None:
    photo = Term(photo=factories.picture("crimson", "circle"))

    answer = answers.answer(Query(terms=(photo, Term(words="seagreen suede", weight=10))))
    several = answers.answer(Query(terms=(Term(words="royalblue"), Term(words="seagreen suede"))))

    assert (answer.products[0].name, answer.some_words) == ("crimson satchel of leather", False)
    assert ([product.name for product in several.products], several.some_words) == (
        ["royalblue boots of leather"],
        False,
    )


def test_words__some_of_them_with_what_is_odd(shelf: dict[str, Any]) -> None:
    texts.write({shelf["seagreen boots of cloth"].pk: texts.Text(title="AT&T T-shirt (L) \\ 'x' & 'y'", text="")})

    assert names(Query(words="suede (t-shirt) & 'x\\y'")) == ["seagreen boots of cloth"]
    assert names(Query(words="suede 'x & y'")) == ["seagreen boots of cloth"]
    assert names(Query(words="suede at&t")) == []


def test_words__need_no_index_and_no_vector() -> None:
    teapot = factories.product(name="teapot", pictures=[])
    words_of(teapot)
    live.keep(None)

    answer = answers.answer(Query(words="teapot", diversity=0.5))

    assert (answer.products, answer.state, answer.index) == ([teapot], "ready", None)
    assert models.SearchIndex.objects.live() is None


def test_words__of_the_title_count_more() -> None:
    other = factories.product(name="shelf, as wide as a teapot")
    called = factories.product(name="teapot")
    texts.write(
        {
            other.pk: texts.Text(title="shelf", text="teapot teapot teapot"),
            called.pk: texts.Text(title="teapot", text="made of clay, for people who drink a lot of tea"),
        }
    )

    assert names(Query(words="teapot")) == ["teapot", "shelf, as wide as a teapot"]


def test_words__of_the_title_count_more_than_nearness() -> None:
    near = factories.product(name="boots")
    called = factories.product(name="dress")
    texts.write(
        {
            near.pk: texts.Text(title="boots", text="dressed up in red in one move"),
            called.pk: texts.Text(title="dress", text="falls to the knee, with two pockets. Its colour is a deep red"),
        }
    )

    assert names(Query(words="red dress")) == ["dress", "boots"]


def test_words__never_show_what_is_hidden() -> None:
    words_of(*[factories.product(name=f"{prefix} teapot {number}") for prefix in ("a", "secret") for number in (1, 2)])
    with hiding():
        assert sorted(names(Query(words="teapot"))) == ["a teapot 1", "a teapot 2"]
        assert names(Query(words="secret")) == []
        everything = catalog.product_model()._default_manager.all()
        assert sorted(names(Query(words="teapot", queryset=everything))) == ["a teapot 1", "a teapot 2"]


def test_words__pass_filters_queryset_and_exclude(shelf: dict[str, Any]) -> None:
    manager = catalog.product_model()._default_manager
    leather, cloth = shelf["crimson satchel of leather"], shelf["crimson satchel of cloth"]

    assert names(Query(words="satchel", filters={"name__endswith": "cloth"})) == [cloth.name]
    assert names(Query(words="satchel", queryset=manager.exclude(pk=cloth.pk))) == [leather.name]
    assert names(Query(words="satchel", exclude=[leather.pk])) == [cloth.name]
    assert names(Query(words="satchel", queryset=manager.none())) == []


def test_negative_words__leave_out_what_matches_them(shelf: dict[str, Any]) -> None:
    like = Term(product=shelf["crimson satchel of leather"].pk)
    assert "royalblue boots of leather" in names(Query(terms=(like,)))

    found = names(Query(terms=(like, Term(words="leather", weight=-1))))
    called = names(Query(terms=(Term(words="boots"), Term(words="leather", weight=-0.1))))

    assert set(found) == {"crimson satchel of cloth", "seagreen boots of cloth"}
    assert called == ["seagreen boots of cloth"]


def test_mixed__has_what_looks_like_it_and_what_is_called_so(shelf: dict[str, Any]) -> None:
    late = factories.product(name="boots that nobody has looked at", pictures=[])
    words_of(late)
    photo = Term(photo=factories.picture("crimson", "circle"))

    answer = answers.answer(Query(terms=(photo, Term(words="boots"))))

    found = {product.name: product for product in answer.products}
    assert set(found) == {*shelf, late.name}
    assert answer.kind == "photo"
    assert found[late.name].similarity is None
    assert all(found[name].similarity <= 1 and found[name].matched_image for name in shelf)
    assert names(Query(terms=(photo, Term(words="seagreen", weight=10))))[0] == "seagreen boots of cloth"


def test_mixed__compares_what_only_words_have_found(shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "FUSED", 1)
    product = shelf["crimson satchel of leather"]
    plain = {each.name: each.similarity for each in answers.answer(Query(product=product)).products}

    found = answers.answer(Query(terms=(Term(product=product.pk), Term(words="seagreen")), limit=2)).products

    assert {each.name: each.similarity for each in found} == pytest.approx(
        {name: plain[name] for name in (max(plain, key=lambda name: plain[name]), "seagreen boots of cloth")}
    )


def test_mixed__looking_away_only_orders_what_words_have_found(shelf: dict[str, Any]) -> None:
    source = shelf["crimson satchel of leather"]
    away = Term(product=source.pk, weight=-2)
    nearest = [name for name in names(Query(product=source)) if name.endswith("cloth")]

    found = answers.answer(Query(terms=(Term(words="cloth"), away)))

    assert found.kind == "similar"
    assert [product.name for product in found.products] == nearest[::-1]


def test_mixed__takes_the_same_number_of_queries_whatever_it_finds(shelf: dict[str, Any]) -> None:
    query = Query(terms=(Term(product=shelf["crimson satchel of leather"].pk), Term(words="boots")), limit=20)
    taken = []
    for _ in range(3):
        with CaptureQueriesContext(connection) as queries:
            names(query)
        taken.append(len(queries))
        for number in range(5):
            factories.product(name=f"boots {number}")
        factories.embed()

    assert taken[1] == taken[2]


def test_diversity__of_mixed_results(shelf: dict[str, Any]) -> None:
    like = Term(product=shelf["crimson satchel of leather"].pk)

    found = names(Query(terms=(like, Term(words="boots")), diversity=0.9))

    assert len(found) == 3


@pytest.mark.parametrize("asked", ["-leather", "!!!", "boots or -leather", "-" * 199, "- " * 99 + "boots"])
def test_words__with_nothing_to_look_for(asked: str) -> None:
    with pytest.raises(exceptions.InvalidQuery) as caught:
        answers.answer(Query(words=asked))
    assert caught.value.code == "words_unsearchable"


def test_words__that_are_stop_words_only() -> None:
    with pytest.raises(exceptions.InvalidQuery, match="the of"):
        answers.answer(Query(terms=(Term(photo=b"never opened"), Term(words="the of"))))


def test_words__through_a_gate_that_lets_nothing_pass() -> None:
    gate = gates.of(Query(words="boots", queryset=catalog.product_model()._default_manager.none()))

    assert gate.empty
    assert words.products(None, "boots", gate=gate, without=(), limit=5) == []


def test_words__follow_the_live_index(shelf: dict[str, Any]) -> None:
    live.keep(models.SearchIndex(pk=10**9, encoders=["tiny"], fingerprint="0" * 64))

    answer = answers.answer(Query(words="satchel"))

    assert len(answer.products) == 2
    assert answer.index == models.SearchIndex.objects.get().pk


@pytest.mark.one_shop
def test_words__use_their_index_among_many_products() -> None:
    product = factories.product(name="teapot", pictures=[])
    manager, table = type(product)._default_manager, models.ProductText._meta.db_table
    others = [type(product)(slug=f"{n}", name=f"thing {n}", category=product.category) for n in range(5_000)]
    words_of(product, *manager.bulk_create(others))
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}, {product._meta.db_table}")
    live.keep(None)
    with CaptureStatements() as statements:
        assert names(Query(words="teapot")) == ["teapot"]
        assert names(Query(words="teapot of clay")) == ["teapot"]
    plans = []
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(f"EXPLAIN {sql}")
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    assert ["visual_search_words" in plan for plan in plans] == [True, True, True]
