from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.test import override_settings
from pgvector import HalfVector

from tests import factories
from visual_search import exceptions, models
from visual_search.indexing.generations import gate, lifecycle
from visual_search.retrieval import answers, live
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

COLOURS, SHAPES = ("crimson", "seagreen", "royalblue"), ("circle", "bar")


def using(**changes: Any) -> Any:
    return override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, **changes})


@pytest.fixture
def shelf() -> Iterator[dict[str, Any]]:
    """Each shape in each colour, in an index of shapes and colours."""
    with using(ENCODERS=["tiny", "colour"]):
        yield _shelf()


def _shelf() -> dict[str, Any]:
    found = {
        f"{colour} {shape}": factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape)])
        for colour in COLOURS
        for shape in SHAPES
    }
    factories.embed()
    return found


def names(query: Query) -> list[str]:
    return [product.name for product in answers.answer(query).products]


@pytest.mark.parametrize("asked", ["product", "photo"])
def test_colour__moves_between_the_other_part_and_colour(shelf: dict[str, Any], asked: str) -> None:
    product = shelf["crimson circle"].pk
    photo = {"photo": factories.picture("crimson", "circle"), "exclude": [product]}
    key = {"product": product} if asked == "product" else photo

    assert names(Query(**key, colour=1.0))[0] == "crimson bar"
    without = names(Query(**key, colour=0.0))
    lifecycle.activate(_filled(lifecycle.create(["tiny"])), force=True)
    assert without == names(Query(**key)) != names(Query(product=shelf["crimson bar"].pk))


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "pearson"])
def test_vectors__with_the_least_number_that_a_half_can_hold(metric: str) -> None:
    # pgvector refuses to multiply halfvecs where a product of two elements that aren't 0 comes out as 0.
    with using(ENCODERS=["tiny", "colour"], METRIC=metric):
        shelf = _shelf()
        product = shelf["crimson circle"].pk
        before = [names(query) for query in _queries(shelf)]
        row = models.ProductEmbedding.objects.get(product=product)
        vector = np.array(row.embedding, np.float32)
        vector[np.abs(vector).argsort()[:5]] = 6e-8
        models.ProductEmbedding.objects.filter(pk=row.pk).update(embedding=HalfVector(vector))
        assert np.count_nonzero(np.array(models.ProductEmbedding.objects.get(pk=row.pk).embedding) == 2**-24) == 5

        assert [names(query) for query in _queries(shelf)] == before
        assert gate.evaluate(models.SearchIndex.objects.live()).coverage == 1


def _queries(shelf: dict[str, Any]) -> list[Query]:
    key, other = shelf["crimson circle"].pk, shelf["seagreen bar"].pk
    terms = [(Term(product=key), Term(product=other, weight=weight)) for weight in (-0.5, 0.01, 10)]
    return [Query(product=key), *(Query(terms=each) for each in terms)]


def test_terms__that_add_up_to_nothing_find_nothing(shelf: dict[str, Any]) -> None:
    key = shelf["crimson circle"].pk

    assert names(Query(terms=(Term(product=key), Term(product=key, weight=-1)))) == []


@pytest.mark.parametrize("weight", [0, 1e-39, -1e-4, 10.1, float("nan")])
def test_terms__with_a_weight_that_no_vector_can_hold(weight: float) -> None:
    with pytest.raises(exceptions.InvalidQuery, match="A weight is"):
        Term(product=1, weight=weight)


@pytest.mark.parametrize("colour", [1e-39, 1e-50, np.float64(0.3), np.float32(0.3)])
def test_colour__of_any_number(shelf: dict[str, Any], colour: float) -> None:
    assert len(names(Query(product=shelf["crimson circle"].pk, colour=colour))) == len(shelf) - 1


def _filled(index: models.SearchIndex) -> models.SearchIndex:
    factories.embed()
    return index


@pytest.mark.parametrize("colour", [None, 0.0, 0.3, 1.0])
def test_similarity__of_the_same_picture_is_one_at_every_share(shelf: dict[str, Any], colour: float | None) -> None:
    factories.product(name="twin", pictures=[factories.picture("crimson", "circle")])
    factories.embed()

    for query in (
        Query(product=shelf["crimson circle"].pk, colour=colour),
        Query(photo=factories.picture("crimson", "circle"), colour=colour),
    ):
        first = answers.answer(query).products[0]
        assert first.name in ("twin", "crimson circle")
        assert first.similarity == pytest.approx(1.0, abs=2e-3)


def test_share__is_the_settings_at_the_fit_and_not_in_what_is_stored() -> None:
    with using(ENCODERS=["tiny", "colour"], COLOUR_SHARE=0.4):
        _shelf()
    index = models.SearchIndex.objects.live()
    assert index is not None

    assert [(part["name"], part["share"]) for part in index.parts] == [("tiny", 0.6), ("colour", 0.4)]
    for vector in models.ProductEmbedding.objects.values_list("embedding", flat=True):
        halves = np.split(np.array(vector), [index.parts[0]["dimensions"]])
        assert [np.linalg.norm(half) for half in halves] == pytest.approx([np.sqrt(0.5)] * 2, abs=1e-3)


@pytest.mark.parametrize("encoders", [["tiny"], ["colour"], ["colour", "tiny", "colour"]])
def test_colour__of_an_index_without_one_such_part_beside_another(encoders: list[str]) -> None:
    with using(ENCODERS=encoders):
        shelf = _shelf()

    with pytest.raises(exceptions.InvalidQuery) as raised:
        names(Query(product=shelf["crimson bar"].pk, colour=0.5))
    assert raised.value.code == "knob_unavailable"


def test_colour__of_an_index_that_is_live_since_the_last_search(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson circle"].pk, colour=1.0)
    first, second = names(query), models.SearchIndex(pk=10**9, encoders=["tiny"], parts=[])
    live.keep(second)

    assert names(query) == first
