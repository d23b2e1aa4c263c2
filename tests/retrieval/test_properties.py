"""For any catalogue, any filter, and whatever is deleted or hidden: the answer is what brute force gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from visual_search import catalog, models
from visual_search.encoders import parts
from visual_search.indexing.generations import graphs, lifecycle
from visual_search.indexing.vectors import rows
from visual_search.retrieval import answers, nearest
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query

pytestmark = pytest.mark.django_db

DIMENSIONS = (5, 3)
FEATURES = np.random.default_rng(5).normal(size=(40, sum(DIMENSIONS))) * np.repeat([4, 0.5], DIMENSIONS) + 1
"""Raw features of 40 pictures, in two parts of different size."""

METRICS = models.SearchIndex.Metric.values

pictures = st.lists(st.integers(0, len(FEATURES) - 1), min_size=0, max_size=3)
items = st.lists(st.tuples(pictures, st.integers(1, 5)), min_size=1, max_size=25)


def build(
    found: list[tuple[list[int], int]], *, metric: str = "cosine"
) -> tuple[models.SearchIndex, dict[Any, list[int]]]:
    index = lifecycle.create(["tiny"], metric=metric)
    described = [{"name": str(size), "dimensions": size, "share": 0.5} for size in DIMENSIONS]
    models.SearchIndex.objects.filter(pk=index.pk).update(
        fitted_on=0, state="live", dimensions=sum(DIMENSIONS), parts=described
    )
    index.refresh_from_db()
    pieces = parts.split(FEATURES.astype(np.float32), DIMENSIONS)
    transforms = [parts.fit(piece, metric=metric, share=0.5) for piece in pieces]
    vectors, lengths = parts.stored(FEATURES.astype(np.float32), transforms)
    shown: dict[Any, list[int]] = {}
    written = []
    for directions, price in found:
        product = factories.product(pictures=[], price=price)
        shown[product.pk] = directions
        written += [
            rows.Row(
                product=product.pk, image_key=str(position), position=position, state="ready",
                part_lengths=lengths[picture].tolist(), embedding=vectors[picture],
            )
            for position, picture in enumerate(directions)
        ]  # fmt: skip
    rows.write(index.pk, list(shown), written)
    graphs.build(index)
    return index, shown


def similarities(metric: str) -> np.ndarray[Any, Any]:
    """Return how alike each two of the pictures are, [40, 40], from the formulas alone."""
    total = np.zeros((len(FEATURES), len(FEATURES)))
    for raw in np.split(FEATURES, [DIMENSIONS[0]], axis=1):
        if metric == "euclidean":
            spread = np.square(raw - raw.mean(axis=0)).sum(axis=1).mean()
            total += np.square(raw[:, None] - raw[None]).sum(axis=2) / spread / len(DIMENSIONS)
            continue
        part = raw - raw.mean(axis=1, keepdims=True) if metric == "pearson" else raw
        part = part / np.linalg.norm(part, axis=1, keepdims=True)
        part = part - part.mean(axis=0)
        part = part / np.linalg.norm(part, axis=1, keepdims=True)
        total += part @ part.T / len(DIMENSIONS)
    return 1 / (1 + np.sqrt(total)) if metric == "euclidean" else total


ALIKE = {metric: similarities(metric) for metric in METRICS}


def best(shown: dict[Any, list[int]], source: Any, among: set[Any], *, metric: str) -> dict[Any, float]:
    """Return the similarity of the best picture of each product that may be found, by brute force."""
    if not shown[source]:
        return {}
    alike = ALIKE[metric][shown[source][0]]
    return {
        key: max(float(alike[picture]) for picture in found)
        for key, found in shown.items()
        if key in among and key != source and found
    }


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("exact", [True, False])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=items, data=st.data())
def test_answer__is_brute_forces_over_what_may_be_shown(
    metric: str, exact: bool, found: Any, data: st.DataObject
) -> None:
    manager = catalog.product_model()._default_manager
    gates._estimates.clear()
    with pytest.MonkeyPatch.context() as patched, transaction.atomic():
        if not exact:
            patched.setattr(nearest, "EXACT_CANDIDATES", 0)
        _, shown = build(found, metric=metric)
        keys = sorted(shown, key=str)
        gone = data.draw(st.sets(st.sampled_from(keys), max_size=len(keys) - 1))
        manager.filter(pk__in=gone).delete()
        source = data.draw(st.sampled_from([key for key in keys if key not in gone]))
        most, limit = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 12))
        cheap = manager.filter(price__lte=most)

        answer = answers.answer(Query(product=source, limit=limit, queryset=cheap))

        right = best(shown, source, set(cheap.values_list("pk", flat=True)), metric=metric)
        expected = sorted(right.values(), reverse=True)[:limit]
        returned = [product.pk for product in answer.products]
        assert len(returned) == len(set(returned)) == len(expected)
        assert set(returned) <= set(right)
        # Half precision swaps what is equally near: the similarities are compared, not the keys.
        assert [right[key] for key in returned] == pytest.approx(expected, abs=2e-3)
        assert [product.similarity for product in answer.products] == pytest.approx(expected, abs=2e-3)
        transaction.set_rollback(True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=items, data=st.data())
def test_answer__never_has_what_the_catalog_hides(found: Any, data: st.DataObject) -> None:
    if catalog.product_model()._meta.label != "catalogue.Product":
        return  # the other shop hides nothing
    manager = catalog.product_model()._default_manager
    with transaction.atomic():
        _, shown = build(found)
        source = next(iter(shown))
        for _ in range(5):
            hidden = data.draw(st.sets(st.sampled_from(sorted(shown))))
            manager.update(is_public=True)
            manager.filter(pk__in=hidden).update(is_public=False)
            for queryset in (None, manager.all()):
                returned = {p.pk for p in answers.answer(Query(product=source, queryset=queryset)).products}
                assert returned & hidden == set()
        transaction.set_rollback(True)
