"""A page is full wherever there are products enough for it: by whichever way, and whatever thins the results out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import hypothesis
import numpy as np
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from visual_search import catalog, models
from visual_search.indexing.generations import graphs, hnsw, lifecycle
from visual_search.indexing.vectors import rows
from visual_search.retrieval import answers, nearest
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query

pytestmark = pytest.mark.django_db

PRODUCTS, DIMENSIONS = 240, 8

WAYS = ("exact", "hnsw", "hnsw that gives up early")


class Thinned(catalog.Catalog):
    """Products are numbered by their price: every `articles`-th is the same article, and each seller has a few."""

    articles = sellers = 0
    failing = frozenset[int]()

    def products(self, request: Any = None) -> Any:
        return catalog.product_model()._default_manager.all()

    def group(self, product: Any) -> Any:
        if product.price in self.failing:
            raise LookupError(product.price)
        return int(product.price) % self.articles if self.articles else None

    def seller(self, product: Any) -> Any:
        article = int(product.price) % self.articles if self.articles else int(product.price)
        return article % self.sellers if self.sellers else None


@pytest.fixture
def numbered() -> dict[int, Any]:
    """Return the keys of products by their number; a third of them have more pictures than a search allows for."""
    random = np.random.default_rng(7)
    index = lifecycle.create(["tiny"])
    models.SearchIndex.objects.filter(pk=index.pk).update(
        fitted_on=0, state="live", dimensions=DIMENSIONS, parts=[{"name": "tiny", "dimensions": DIMENSIONS, "share": 1}]
    )
    index.refresh_from_db()
    keys = {number: factories.product(pictures=[], price=number).pk for number in range(PRODUCTS)}
    written = []
    for key in keys.values():
        looks = random.normal(size=DIMENSIONS)
        written += [
            rows.Row(
                product=key, image_key=str(place), position=place, state="ready", part_lengths=[1.0],
                embedding=(looks + 0.3 * random.normal(size=DIMENSIONS)).astype(np.float32),
            )
            for place in range(random.choice([1, 2, 9]))
        ]  # fmt: skip
    rows.write(index.pk, list(keys.values()), written)
    graphs.build(index)
    return keys


def expected(numbers: set[int], *, limit: int, per_seller: int | None) -> int:
    """Return how many products the page has: an article once, of each seller at most `per_seller` articles."""
    lone = {number for number in numbers if number in Thinned.failing or not Thinned.articles}
    articles = {number % Thinned.articles for number in numbers - lone} if Thinned.articles else set()
    if per_seller is None or not Thinned.sellers:
        return min(limit, len(lone) + len(articles))
    of_articles = [number % Thinned.articles if Thinned.articles else number for number in lone]
    counts = Counter(article % Thinned.sellers for article in [*of_articles, *articles])
    return min(limit, sum(min(count, per_seller) for count in counts.values()))


def scans(index: models.SearchIndex) -> int:
    """Return how often this transaction has scanned the HNSW index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_numscans(to_regclass(%s))", [hnsw.name(index.pk)])
        return int(cursor.fetchone()[0])


numbers = st.integers(0, PRODUCTS - 1)


@pytest.mark.parametrize("way", WAYS)
def test_page__is_full_wherever_there_is_enough(
    way: str, numbered: dict[int, Any], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "CATALOG": f"{__name__}.Thinned"}
    index = models.SearchIndex.objects.live()
    assert index is not None
    if way != "exact":
        monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")  # so few rows are sorted otherwise, index or not
    if way == "hnsw that gives up early":
        narrow = {"hnsw.iterative_scan": "relaxed_order", "hnsw.ef_search": "5", "hnsw.max_scan_tuples": "10"}
        monkeypatch.setattr(nearest, "settings_for", lambda width, beam: narrow)
    fallen_short = 0

    @hypothesis.settings(max_examples=100, deadline=None)
    @given(
        source=numbers,
        shown=st.tuples(numbers, numbers).map(sorted),
        exclude=st.sets(numbers, max_size=30),
        articles=st.sampled_from([0, 0, 3, 17, 100]),
        sellers=st.sampled_from([0, 2, 9]),
        failing=st.frozensets(numbers, max_size=5),
        per_seller=st.sampled_from([None, 1, 4]),
        limit=st.sampled_from([1, 12, 60, 100]),
        diversity=st.sampled_from([0, 0.5]),
    )
    def holds(
        source: int,
        shown: list[int],
        exclude: set[int],
        articles: int,
        sellers: int,
        failing: frozenset[int],
        per_seller: int | None,
        limit: int,
        diversity: float,
    ) -> None:
        nonlocal fallen_short
        gates._estimates.clear()
        Thinned.articles, Thinned.sellers, Thinned.failing = articles, sellers, failing
        queryset = catalog.product_model()._default_manager.filter(price__gte=shown[0], price__lte=shown[1])

        answer = answers.answer(
            Query(
                product=numbered[source],
                queryset=queryset,
                exclude=[numbered[number] for number in exclude],
                per_seller=per_seller,
                limit=limit,
                diversity=diversity,
            )
        )

        candidates = set(range(shown[0], shown[1] + 1)) - exclude - {source}
        found = [int(product.price) for product in answer.products]
        assert set(found) <= candidates
        assert len(found) == len(set(found)) == expected(candidates, limit=limit, per_seller=per_seller)
        assert answer.plan is not None
        fallen_short += len(answer.plan.attempts) > 1

    before = scans(index)
    holds()

    assert (scans(index) > before) == (way != "exact")
    # Four pictures a result are enough for a page of products that have three at most: sorted, none is ever short.
    assert fallen_short > 0 or way == "exact"
