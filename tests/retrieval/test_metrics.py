"""Each metric, from features to the similarity that is returned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import override_settings
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import visual_search
from tests import factories
from tests.retrieval import test_words_encoded
from visual_search import exceptions, models
from visual_search.encoders import base, parts, tiny
from visual_search.indexing.generations import gate, graphs, hnsw, lifecycle
from visual_search.indexing.vectors import arrays, rows
from visual_search.retrieval import answers, canary, nearest, ranking, targets
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

Metric = models.SearchIndex.Metric

ONE, OTHER = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
WORKED = {Metric.COSINE: 0.9746, Metric.EUCLIDEAN: 1 / (1 + 5.196), Metric.PEARSON: 1.0}
"""Similarities of the two."""

FEATURES = (np.random.default_rng(8).normal(size=(30, 9)) * np.repeat([5, 0.2], [6, 3]) + 0.7).astype(np.float32)


def index_of(
    features: Sequence[Sequence[float]] | parts.Floats,
    metric: str,
    *,
    dimensions: Sequence[int],
    names: Sequence[str] = ("tiny", "colour"),
    transforms: Sequence[parts.Transform] = (),
) -> tuple[models.SearchIndex, list[Any], parts.Floats]:
    """Make an index that holds a product for each row of `features`; return it with their keys and vectors."""
    index = lifecycle.create(["tiny"], metric=metric)
    every = np.asarray(features, np.float32)
    share = 1 / len(dimensions)
    transforms = transforms or [parts.fit(p, metric=metric, share=share) for p in parts.split(every, dimensions)]
    vectors, lengths = parts.stored(every, transforms)
    described = [
        {"name": name, "dimensions": size, "share": share} for name, size in zip(names, dimensions, strict=False)
    ]
    models.SearchIndex.objects.filter(pk=index.pk).update(
        fitted_on=0, state="live", dimensions=vectors.shape[1], parts=described
    )
    index.refresh_from_db()
    models.IndexArrays.objects.create(index=index, transforms=parts.save(transforms))
    keys = [factories.product(pictures=[]).pk for _ in every]
    rows.write(
        index.pk,
        keys,
        [
            rows.Row(product=key, image_key="a", position=0, state="ready", part_lengths=length, embedding=vector)
            for key, vector, length in zip(keys, vectors, lengths.tolist(), strict=True)
        ],
    )
    graphs.build(index)
    return index, keys, vectors


@pytest.fixture
def metric(request: pytest.FixtureRequest) -> Any:
    with override_settings(VISUAL_SEARCH=factories.settings_with(METRIC=str(request.param))):
        yield request.param


each_metric = pytest.mark.parametrize("metric", list(Metric), indirect=True)


def test_metrics__have_one_name_everywhere() -> None:
    assert {parts.COSINE, parts.EUCLIDEAN, parts.PEARSON} == set(Metric.values)
    assert set(hnsw.OPERATORS) == set(Metric)


@pytest.mark.parametrize(
    ("metric", "expected"), [(Metric.COSINE, 1 - 0.9746), (Metric.EUCLIDEAN, 5.196), (Metric.PEARSON, 0.0)]
)
def test_operator__gives_the_worked_examples_in_sql(metric: Metric, expected: float) -> None:
    pair = parts.compared(np.array([ONE, OTHER], np.float32), metric)[0].tolist()
    index = models.SearchIndex(metric=metric)
    distance = f"(%s::halfvec(3) {hnsw.operator(index)} %s::halfvec(3))"

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {distance}, {hnsw.similarity(index, distance)}", [str(v) for v in pair * 2])
        found = cursor.fetchone()

    assert found == (pytest.approx(expected, abs=1e-3), pytest.approx(WORKED[metric], abs=1e-3))


@pytest.mark.parametrize("metric", list(Metric))
def test_answer__has_the_worked_similarity(metric: Metric) -> None:
    untouched = parts.Transform(np.zeros(3, np.float32), metric=metric)
    _, keys, _ = index_of([ONE, OTHER], metric, dimensions=[3], transforms=[untouched])

    (found,) = visual_search.similar_to(keys[0])

    assert found.similarity == pytest.approx(WORKED[metric], abs=1e-3)


@pytest.mark.parametrize(("colour", "wider"), [(None, 1), (0.5, 1), (0.0, nearest.ASKEW), (1.0, nearest.ASKEW)])
def test_beam__is_wider_in_a_large_index_for_other_shares_than_its_own(
    monkeypatch: pytest.MonkeyPatch, colour: float | None, wider: int
) -> None:
    index, keys, _ = index_of(FEATURES, Metric.COSINE, dimensions=[6, 3])
    target = targets.of(index, Query(product=keys[0], colour=colour))
    assert nearest.beam(index, target) == 1, "few vectors are found anyhow"

    monkeypatch.setattr(nearest, "LARGE", 0)
    asked: list[int] = []
    monkeypatch.setattr(nearest, "settings_for", lambda width, beam: asked.append(beam) or {})
    for exact in (False, True):
        nearest.ask(index, target, gate=gates.of(Query(product=keys[0])), limit=3, exact=exact, width=12)

    assert asked == [wider, 1], "sorting all of them asks nothing of HNSW"


@each_metric
def test_embed__fits_stores_and_searches_by_the_metric(metric: Metric) -> None:
    shown = [
        factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape, size=size)])
        for colour in factories.COLOURS
        for shape, size in (("circle", 96), ("bar", 97), ("square", 98))
    ]
    index: Any = factories.embed()

    assert (index.metric, index.fitted_on) == (metric, len(shown))
    assert {transform.metric for transform in arrays.transforms(index.pk)} == {metric}
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [hnsw.name(index.pk)])
        assert f" {hnsw.OPERATORS[metric][1]}) " in cursor.fetchone()[0]
    found = visual_search.similar_to(shown[0], limit=30)
    assert len(found) == len(shown) - 1
    assert found[0].similarity > found[-1].similarity
    assert (gate.evaluate(index).recall, canary.measure(samples=5).least) == (1.0, 1.0)


@each_metric
def test_photo__has_the_similarity_of_the_raw_features(metric: Metric) -> None:
    pictures = [factories.picture(c, s) for c in factories.COLOURS for s in ("circle", "bar", "square")]
    for picture in pictures:
        factories.product(pictures=[picture])
    index: Any = factories.embed()
    photo = factories.picture("seagreen", "bar", background="lightgrey")
    raw = tiny.TinyEncoder().encode([Image.open(io.BytesIO(data)).convert("RGB") for data in [photo, *pictures]])
    if metric == Metric.COSINE:
        right = parts.unit(raw[1:])[0] @ parts.unit(raw[:1])[0][0]
    elif metric == Metric.PEARSON:
        right = np.corrcoef(raw)[0, 1:]
    else:
        spread = np.sqrt(np.square(raw[1:] - raw[1:].mean(axis=0)).sum(axis=1).mean())
        right = 1 / (1 + np.linalg.norm(raw[1:] - raw[0], axis=1) / spread)

    found = answers.answer(Query(photo=photo, limit=30)).products

    assert index.fitted_on == len(pictures)
    assert [product.similarity for product in found] == pytest.approx(sorted(right, reverse=True), abs=3e-3)


pictures = st.integers(0, len(FEATURES) - 1)


@pytest.mark.parametrize("metric", list(Metric))
def test_terms__are_brute_forces_for_any_weights(metric: Metric) -> None:
    _, keys, vectors = index_of(FEATURES, metric, dimensions=[6, 3])
    waiting = Term(product=factories.product(pictures=[]).pk, weight=2)

    @settings(max_examples=60, deadline=None)
    @given(
        like=st.lists(st.tuples(pictures, st.floats(0.5, 3)), min_size=1, max_size=3),
        unlike=st.lists(st.tuples(pictures, st.floats(-3, -0.1)), max_size=3),
    )
    def holds(like: list[tuple[int, float]], unlike: list[tuple[int, float]]) -> None:
        terms = [Term(product=keys[number], weight=weight) for number, weight in like + unlike]
        found = answers.answer(Query(terms=(*terms, waiting), limit=40)).products

        near, far = (np.array([vectors[number] for number, _ in each]).reshape(-1, 9) for each in (like, unlike))
        up, down = (np.array([abs(weight) for _, weight in each]) for each in (like, unlike))
        if metric == Metric.EUCLIDEAN:
            mean = up @ near / up.sum()
            target = mean + down @ (mean - far) / up.sum()
            alike = 1 / (1 + np.linalg.norm(vectors - target, axis=1))
        else:
            target = up @ near - down @ far
            assume(np.linalg.norm(target) > 0.1)  # half precision has nothing left of less
            alike = vectors @ target / np.linalg.norm(target)
        asked = {number for number, _ in like + unlike}
        right = {key: alike[number] for number, key in enumerate(keys) if number not in asked}
        assert {product.pk: product.similarity for product in found} == pytest.approx(right, abs=1e-2)
        returned = [product.similarity for product in found]
        assert returned == sorted(returned, reverse=True)

    holds()


def test_terms__that_only_look_away_in_a_euclidean_index_do_so_from_the_catalogues_mean() -> None:
    _, keys, vectors = index_of(FEATURES, Metric.EUCLIDEAN, dimensions=[6, 3])
    waiting = Term(product=factories.product(pictures=[]).pk)

    unlike = (Term(product=keys[0], weight=-1), Term(product=keys[1], weight=-3))
    found = answers.answer(Query(terms=(waiting, *unlike), limit=40)).products

    target = -(vectors[0] + 3 * vectors[1]) / 4
    right = sorted((1 / (1 + np.linalg.norm(vectors[2:] - target, axis=1))).tolist(), reverse=True)
    assert [product.similarity for product in found] == pytest.approx(right, abs=2e-3)


def test_terms__without_any_vector_find_nothing_in_a_euclidean_index() -> None:
    index_of(FEATURES, Metric.EUCLIDEAN, dimensions=[6, 3])
    waiting = [factories.product(pictures=[]).pk for _ in range(2)]

    assert answers.answer(Query(terms=tuple(Term(product=key) for key in waiting))).products == []


@each_metric
def test_words__have_a_vector_where_it_can_be_compared(metric: Metric) -> None:
    red = factories.product(name="one", pictures=[factories.picture("crimson")])
    factories.product(name="another", pictures=[factories.picture("seagreen")])
    lifecycle.create([test_words_encoded.ENCODER])
    factories.embed()

    by_words = answers.answer(Query(words="crimson")).products
    both = answers.answer(Query(terms=(Term(photo=factories.picture("royalblue")), Term(words="crimson")))).products

    # No product is called so.
    assert by_words[:1] == ([] if metric == Metric.EUCLIDEAN else [red])
    assert len(both) == 2


@each_metric
def test_terms__a_photo_is_worth_its_product(metric: Metric) -> None:
    pictures = [factories.picture(c, s) for c in factories.COLOURS for s in ("circle", "bar", "square")]
    shown = [factories.product(pictures=[picture]) for picture in pictures]
    factories.embed()
    unlike = Term(product=shown[5].pk, weight=-0.4)
    waiting = factories.product(pictures=[]).pk

    by_photo = Query(terms=(Term(photo=pictures[3]), unlike), exclude=[shown[3].pk], limit=30)
    by_product = Query(terms=(Term(product=shown[3].pk), unlike, Term(product=waiting)), limit=30)

    found, right = (answers.answer(query).products for query in (by_photo, by_product))
    assert [product.similarity for product in found] == pytest.approx([p.similarity for p in right], abs=2e-3)


@pytest.mark.parametrize("metric", list(Metric))
def test_diversify__measures_differences_by_the_metric(metric: Metric) -> None:
    index, keys, vectors = index_of(FEATURES, metric, dimensions=[6, 3])
    place = dict(zip(keys, vectors, strict=True))
    products = visual_search.similar_to(keys[0], limit=5)
    for product in products:
        product.matched_image = visual_search.ProductImage(key="a", file=None)

    found = ranking._similarities(index, products)

    assert len(found) == 20
    for (one, other), alike in found.items():
        if metric == Metric.EUCLIDEAN:
            right = 1 / (1 + np.linalg.norm(place[one] - place[other]))
        else:
            right = place[one] @ place[other]
        assert alike == pytest.approx(right, abs=2e-3)


@pytest.mark.parametrize("metric", list(Metric))
def test_colour__is_refused_where_vectors_hold_the_shares(metric: Metric) -> None:
    index, keys, _ = index_of(FEATURES, metric, dimensions=[6, 3])
    query = Query(product=keys[0], colour=0.9)

    if metric != Metric.EUCLIDEAN:
        assert answers.answer(query).products
        return
    with pytest.raises(exceptions.InvalidQuery, match="is Euclidean") as caught:
        targets.of(index, query)
    assert caught.value.code == targets.KNOB


def test_share__of_a_euclidean_index_is_in_its_vectors() -> None:
    shares = [0.8, 0.2]
    transforms = [
        parts.fit(piece, metric=Metric.EUCLIDEAN, share=share)
        for piece, share in zip(parts.split(FEATURES, [6, 3]), shares, strict=True)
    ]
    index, keys, vectors = index_of(FEATURES, Metric.EUCLIDEAN, dimensions=[6, 3], transforms=transforms)
    index.parts = [part | {"share": share} for part, share in zip(index.parts, shares, strict=True)]
    index.save()

    found = answers.answer(Query(product=keys[0], limit=40)).products

    right = sorted((1 / (1 + np.linalg.norm(vectors[1:] - vectors[0], axis=1))).tolist(), reverse=True)
    assert [product.similarity for product in found] == pytest.approx(right, abs=2e-3)


class Flat(tiny.TinyEncoder):
    """Sees nothing in a bar: "zero", or in "constant" the same in every place."""

    value = 0.0

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        found = super().encode(images)
        middle = np.array([np.asarray(image.convert("RGB").resize((8, 8)))[0, 4].min() < 200 for image in images])
        return np.where(middle[:, None], np.float32(self.value), found)


class Constant(Flat):
    value = 0.5


@each_metric
@pytest.mark.parametrize("kind", ["Flat", "Constant"])
def test_blank__pictures_and_photos_are_refused_alike(metric: Metric, kind: str) -> None:
    bar = factories.picture("black", "bar")
    for colour in factories.COLOURS * 3:
        factories.product(pictures=[factories.picture(colour)])
    blank = factories.product(pictures=[bar])
    lifecycle.create([f"{__name__}.{kind}"])
    index: Any = factories.embed()
    row = models.ProductEmbedding.objects.get(index=index, product=blank)

    if kind == "Constant" and metric != Metric.PEARSON:
        assert row.state == "ready"
        assert visual_search.search(photo=bar)
        return
    assert (row.state, row.error_code) == ("failed", "image_blank")
    with pytest.raises(exceptions.BadImage) as caught:
        visual_search.search(photo=bar)
    assert caught.value.code == "image_blank"


@each_metric
def test_hnsw__fills_a_page_as_the_exact_form_does(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    _, keys, _ = index_of(FEATURES, metric, dimensions=[6, 3])
    right = [product.similarity for product in visual_search.similar_to(keys[4], limit=20)]
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)

    assert [product.similarity for product in visual_search.similar_to(keys[4], limit=20)] == pytest.approx(right)
