from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.retrieval.test_properties import FEATURES, METRICS, best, build
from visual_search import catalog
from visual_search.indexing.sources import texts
from visual_search.retrieval import answers, fusion
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query, Term

WORDS = ("red", "blue", "boot", "lamp", "wool")

said = st.lists(st.sampled_from(WORDS), max_size=4)
pictures = st.lists(st.integers(0, len(FEATURES) - 1), max_size=2)
items = st.lists(st.tuples(pictures, st.integers(1, 5), said), min_size=1, max_size=20)


def test_reciprocal_ranks__worked_example() -> None:
    scores = fusion.reciprocal_ranks([(1, ["a", "b"]), (1, ["b", "c"])])

    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62})
    assert fusion.in_order(scores) == ["b", "a", "c"]


def test_in_order__breaks_ties_without_looking_at_the_key() -> None:
    keys = list(range(50))

    assert sorted(fusion.in_order(dict.fromkeys(keys, 1.0))) == keys
    assert fusion.in_order(dict.fromkeys(keys, 1.0)) != keys


@pytest.mark.django_db
@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=items, data=st.data())
def test_answer__is_brute_forces_for_words_and_pictures(metric: str, found: Any, data: st.DataObject) -> None:
    manager = catalog.product_model()._default_manager
    gates._estimates.clear()
    with transaction.atomic():
        _, shown = build([(directions, price) for directions, price, _ in found], metric=metric)
        words = {key: each for key, (_, _, each) in zip(shown, found, strict=True)}
        texts.write({key: texts.Text(title="", text=" ".join(each)) for key, each in words.items()})
        source = data.draw(st.sampled_from(sorted(shown, key=str)))
        asked = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2, unique=True))
        unwanted = data.draw(st.sampled_from([*WORDS, "nothing"]))
        weight, limit = data.draw(st.sampled_from([0.5, 1, 3])), data.draw(st.integers(1, 12))
        cheap = manager.filter(price__lte=data.draw(st.integers(0, 6)))
        terms = (
            Term(product=source),
            Term(words=" ".join(asked), weight=weight),
            Term(words=unwanted, weight=-1),
        )

        answer = answers.answer(Query(terms=terms, limit=limit, queryset=cheap))
        called = answers.answer(Query(terms=terms[1:], limit=limit, queryset=cheap, exclude=[source]))

        allowed = {key for key in cheap.values_list("pk", flat=True) if unwanted not in words[key]} - {source}
        matching = {key for key in allowed if set(asked) <= set(words[key])}
        some = {key for key in allowed if set(asked) & set(words[key])}
        near = best(shown, source, allowed, metric=metric)
        right = matching | set(near)
        returned = [product.pk for product in answer.products]
        assert len(returned) == len(set(returned)) == min(limit, len(right))
        assert set(returned) <= right
        assert {product.pk for product in called.products} <= (matching or some)
        assert len(called.products) == min(limit, len(matching or some))
        assert (answer.some_words, called.some_words) == (False, bool(some and not matching))
        # Equal distances and equal words are ordered by a hash: ours are the ranks, the scores are brute force's.
        everything = answers.answer(Query(terms=terms[1:], limit=100, queryset=cheap, exclude=[source])).products
        nearest = answers.answer(Query(terms=(terms[0], terms[2]), limit=100, queryset=cheap)).products
        scores: dict[Any, float] = {}
        for share, ranking in ((weight, everything if matching else []), (1.0, nearest)):
            for rank, product in enumerate(ranking, start=1):
                scores[product.pk] = scores.get(product.pk, 0) + share / (60 + rank)
        assert {product.pk for product in everything} == (matching or some)
        assert [near[product.pk] for product in nearest] == pytest.approx(sorted(near.values(), reverse=True), abs=2e-3)
        assert [scores[key] for key in returned] == pytest.approx(sorted(scores.values(), reverse=True)[:limit])
        for product in answer.products:
            expected = near.get(product.pk)
            assert product.similarity == (None if expected is None else pytest.approx(expected, abs=2e-3))
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_answer__does_not_depend_on_the_length_of_the_page() -> None:
    for number in range(8):
        factories.product(name=f"boots {number}", pictures=[factories.picture("crimson", size=90 + number)])
    source = factories.product(name="source")
    factories.embed()
    terms = (Term(product=source.pk), Term(words="boots"))

    long, short = (answers.answer(Query(terms=terms, limit=limit)).products for limit in (8, 3))

    assert long[:3] == short
