from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from visual_search import models
from visual_search.retrieval import answers, nearest, tiers
from visual_search.retrieval.query import Query, Term

CALIBRATION = {
    "similar": {"curves": [{"intercept": -3.0, "weights": [5.0, 5.0]}]},
    "thresholds": {"exact": 0.97, "very_similar": 0.85, "same_spirit": 0.4},
}
cosines = st.floats(-1, 1)


def index() -> models.SearchIndex:
    return models.SearchIndex(calibration=CALIBRATION)


@pytest.mark.parametrize(
    ("parts", "tier", "probability"),
    [
        ((1.0, 1.0), tiers.Tier.EXACT, 0.9991),
        ((0.6, 0.5), tiers.Tier.VERY_SIMILAR, 0.9241),
        ((0.3, 0.3), tiers.Tier.SAME_SPIRIT, 0.5),
        ((0.2, 0.2), tiers.Tier.NOTHING_GOOD, 0.2689),
        ((float("nan"), 0.6), tiers.Tier.SAME_SPIRIT, 0.5),
    ],
)
def test_of__reads_the_cosines_of_the_parts(parts: Any, tier: tiers.Tier, probability: float) -> None:
    found = tiers.of(index(), "similar", parts)

    assert (found[0], round(found[1] or 0, 4)) == (tier, probability)


def test_of__the_least_probable_curve_holds() -> None:
    curves = [{"intercept": -3.0, "weights": [5.0, 5.0]}, {"intercept": -2.0, "weights": [6.0, 0.0]}]
    found = models.SearchIndex(calibration={**CALIBRATION, "similar": {"curves": curves}})

    # The same colour of something else, and something like it in another colour.
    for parts, probability in [((0.1, 0.9), 0.1978), ((0.9, 0.1), 0.8808)]:
        assert round(tiers.of(found, "similar", parts)[1] or 0, 4) == probability
        assert tiers.of(index(), "similar", parts)[1] == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.parametrize(("kind", "parts"), [("photo", (1.0, 1.0)), ("similar", (1.0,)), ("similar", ())])
def test_of__what_is_not_calibrated_has_no_tier(kind: str, parts: Any) -> None:
    assert tiers.of(index(), kind, parts) == (None, None)
    assert tiers.of(models.SearchIndex(), kind, parts) == (None, None)


@given(cosines, cosines, cosines)
def test_of__never_falls_where_a_part_is_nearer(low: float, high: float, other: float) -> None:
    low, high = sorted((low, high))
    order = list(tiers.Tier)
    less, more = (tiers.of(index(), "similar", (value, other)) for value in (low, high))

    assert (less[1] or 0) <= (more[1] or 0)
    assert order.index(less[0]) >= order.index(more[0])  # type: ignore[arg-type]


@pytest.fixture
def shelf(db: None, settings: Any) -> list[Any]:
    """Products in an index of two parts, one of which passes for the colours."""
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "tiny"]}
    products = [
        factories.product(pictures=[factories.picture(colour, shape)])
        for colour in ("crimson", "seagreen", "royalblue", "goldenrod")
        for shape in ("circle", "bar")
    ]
    live = factories.embed()
    assert live is not None
    parts = [{**live.parts[0], "name": "colour"}, live.parts[1]]
    models.SearchIndex.objects.filter(pk=live.pk).update(parts=parts)
    return products


@pytest.mark.parametrize("kind", ["similar", "photo"])
def test_answer__tiers_do_not_move_with_the_colour_knob(shelf: list[Any], kind: str) -> None:
    asked = {"product": shelf[0]} if kind == "similar" else {"photo": factories.picture("crimson", "circle")}

    found = [
        {p.pk: p.probability for p in answers.answer(Query(**asked, colour=colour)).products}
        for colour in (None, 0.0, 0.2, 1.0)
    ]

    assert len(found[0]) == (7 if kind == "similar" else 8)
    assert all(row == pytest.approx(found[0]) for row in found)


def test_answer__a_picture_is_exactly_itself(shelf: list[Any]) -> None:
    photo = answers.answer(Query(photo=factories.picture("crimson", "circle")))

    assert photo.products[0].pk == shelf[0].pk
    assert photo.products[0].tier == tiers.Tier.EXACT
    assert not photo.nothing_good


def test_answer__the_cosines_are_those_of_the_stored_parts(shelf: list[Any]) -> None:
    import numpy as np

    from visual_search.retrieval import gate, targets

    live: Any = models.SearchIndex.objects.live()
    query = Query(product=shelf[0])
    matches, _ = nearest.products(live, targets.of(live, query), gate=gate.of(query), limit=3)

    vectors = {
        row.product_id: np.split(np.array(row.embedding, float) * np.sqrt(2), 2) for row in live.embeddings.defer(None)
    }
    for match in matches:
        pairs = zip(vectors[shelf[0].pk], vectors[match.product], strict=True)
        assert match.cosines == pytest.approx([float(a @ b) for a, b in pairs], abs=2e-3)


def test_answer__several_things_have_no_tier(shelf: list[Any]) -> None:
    answer = answers.answer(Query(terms=(Term(product=shelf[0]), Term(product=shelf[1], weight=-0.5))))

    assert {(product.tier, product.probability) for product in answer.products} == {(None, None)}
    assert not answer.nothing_good


def test_answer__nothing_good_where_all_are_below(shelf: list[Any]) -> None:
    live: Any = models.SearchIndex.objects.live()
    live.calibration["thresholds"]["same_spirit"] = 1.1
    live.calibration["thresholds"] |= {"exact": 1.1, "very_similar": 1.1}
    live.save()

    answer = answers.answer(Query(product=shelf[0]))

    assert answer.nothing_good
    assert answer.state == answers.READY
    assert len(answer.products) == 7


def test_answer__an_empty_page_is_not_nothing_good(db: None) -> None:
    product = factories.product()
    factories.embed()

    assert not answers.answer(Query(product=product)).nothing_good
