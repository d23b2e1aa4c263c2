"""What Postgres makes of a search, where there are rows enough for it to choose: its own plans, its own statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import connection, transaction
from pgvector import HalfVector

from tests import factories
from visual_search import catalog, models
from visual_search.indexing.generations import graphs, hnsw, lifecycle
from visual_search.indexing.vectors import rows
from visual_search.retrieval import gate as gates
from visual_search.retrieval import live, nearest, targets
from visual_search.retrieval.query import Query

pytestmark = pytest.mark.django_db

SIZE, DIMENSIONS = 20_000, 16


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[models.SearchIndex, list[Any]]]:
    """An index of random vectors, and the products' keys, those first that are most like the first one."""
    model = catalog.product_model()
    with django_db_blocker.unblock():
        template = factories.product(pictures=[], price=0)
        copies = []
        for number in range(1, SIZE):
            values = {field.attname: getattr(template, field.attname) for field in model._meta.concrete_fields}
            del values["id"]
            copies.append(model(**values | {"price": number}))
            if hasattr(template, "slug"):
                copies[-1].slug = f"copy-{number}"
        model._default_manager.bulk_create(copies, batch_size=5_000)
        keys = list(model._default_manager.order_by("price").values_list("pk", flat=True))
        vectors = np.random.default_rng(4).normal(size=(SIZE, DIMENSIONS)).astype(np.float32)
        # The dearest products look least like the first one.
        vectors = vectors[np.argsort(-(vectors @ vectors[0]) / np.linalg.norm(vectors, axis=1))]
        index = lifecycle.create(["tiny"])
        part = {"name": "tiny", "dimensions": DIMENSIONS, "share": 1.0}
        models.SearchIndex.objects.filter(pk=index.pk).update(
            fitted_on=0, state="live", dimensions=DIMENSIONS, parts=[part]
        )
        index.refresh_from_db()
        found = [
            rows.Row(product=key, image_key="a", position=0, state="ready", part_lengths=[1.0], embedding=vector)
            for key, vector in zip(keys, vectors, strict=True)
        ]
        with transaction.atomic():
            rows.write(index.pk, [], found)
        graphs.build(index)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {model._meta.db_table}")
        yield index, keys
        with connection.cursor() as cursor:
            hnsw.drop(index.pk)
            for table in (
                models.ProductEmbedding,
                models.QueuedProduct,
                models.ProductChange,
                models.Refill,
                models.SearchIndex,
            ):
                cursor.execute(f"DELETE FROM {table._meta.db_table}")
            cursor.execute(f"DELETE FROM {model._meta.db_table}")
        connection.close()


@pytest.fixture(autouse=True)
def _nothing_kept(filled: Any) -> Iterator[None]:
    live.keep(None)
    gates._estimates.clear()
    yield
    live.keep(None)
    gates._estimates.clear()


def below(price: int) -> Any:
    return catalog.product_model()._default_manager.filter(price__lt=price)


def asked(filled: Any, *, shown: Any = None, limit: int = 10) -> tuple[list[Any], nearest.Plan]:
    index, keys = filled
    query = Query(product=keys[0], queryset=shown)
    matches, plan = nearest.products(index, targets.of(index, query), gate=gates.of(query), limit=limit, explain=True)
    return [keys.index(match.product) for match in matches], plan


def names(plan: Any) -> set[str]:
    """Return the names of the indexes that a plan of Postgres's uses."""
    if isinstance(plan, list):
        return set().union(*map(names, plan))
    if not isinstance(plan, dict):
        return set()
    return {value for key, value in plan.items() if key == "Index Name"}.union(*map(names, plan.values()))


def uses_hnsw(filled: Any, plan: nearest.Plan) -> bool:
    return hnsw.name(filled[0].pk) in names(plan.explained)


def exact(plan: nearest.Plan) -> list[bool]:
    return [attempt.exact for attempt in plan.attempts]


@pytest.mark.parametrize("share", [None, 1.0, 0.8, 0.6])
def test_many_candidates__are_searched_by_hnsw(filled: Any, share: float | None) -> None:
    page, plan = asked(filled, shown=None if share is None else below(int(SIZE * share)))

    assert exact(plan) == [False]
    assert plan.candidates > nearest.EXACT_CANDIDATES
    assert uses_hnsw(filled, plan)
    # The graph is why: of 20,000 rows it read some hundreds.
    assert plan.scanned is not None
    assert 40 <= plan.scanned < SIZE / 10
    assert len(set(page) & set(range(1, 11))) >= 9


@pytest.mark.parametrize("share", [0.4, 0.1, 0.01, 0.001])
def test_few_candidates__are_sorted_exactly(filled: Any, share: float) -> None:
    page, plan = asked(filled, shown=below(int(SIZE * share)))

    assert page == list(range(1, 11))
    assert exact(plan) == [True]
    assert plan.candidates <= nearest.EXACT_CANDIDATES
    assert not uses_hnsw(filled, plan)
    assert plan.scanned is not None
    # Whichever way Postgres joins: every candidate is read, and the source is none. Read by its key each candidate is a
    # loop of its own, and Postgres prints their average with two decimals.
    candidates = SIZE * share - 1
    assert candidates - 0.005 * (candidates + 1) <= plan.scanned <= SIZE


def test_few_candidates__of_one_hundred_are_found_by_their_keys(filled: Any) -> None:
    _, plan = asked(filled, shown=below(20))

    assert plan.scanned is not None
    assert plan.scanned <= 25


def test_scanned__is_nothing_where_nobody_asked(filled: Any) -> None:
    index, keys = filled
    query = Query(product=keys[0])

    _, plan = nearest.products(index, targets.of(index, query), gate=gates.of(query), limit=10)

    assert (plan.explained, plan.scanned) == (None, None)


def test_short_page__is_filled_exactly(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # A sale ends. Until the next ANALYZE Postgres believes most products to be in stock; those that are lie farthest.
    monkeypatch.setattr(nearest, "SCANNED", 0)
    _, keys = filled
    model = catalog.product_model()
    model._default_manager.exclude(pk__in=keys[-15:]).update(stock=0)

    page, plan = asked(filled, shown=model._default_manager.filter(stock__gt=0))

    assert plan.candidates > nearest.EXACT_CANDIDATES
    assert exact(plan) == [False, False, True]
    assert [attempt.pictures < 10 for attempt in plan.attempts] == [True, True, False]
    assert [attempt.width for attempt in plan.attempts] == [40, 160, nearest.MOST_EXACT]
    assert not uses_hnsw(filled, plan)
    assert sorted(page) == list(range(SIZE - 15, SIZE - 5))


@pytest.mark.parametrize(("near", "ways"), [(False, [False, True]), (True, [False])])
def test_a_small_share__is_sorted_where_hnsw_does_not_meet_it_on_its_way(
    filled: Any, monkeypatch: pytest.MonkeyPatch, near: bool, ways: list[bool]
) -> None:
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 500)
    first = 1 if near else SIZE // 2
    few = catalog.product_model()._default_manager.filter(price__gte=first, price__lt=first + 800)

    page, plan = asked(filled, shown=few)

    assert 500 < plan.candidates <= nearest.SMALL * SIZE
    assert exact(plan) == ways
    # Half precision may swap neighbours that are equally near.
    assert len(set(page) & set(range(first, first + 10))) >= 9


@pytest.mark.parametrize(("large", "share", "width"), [(SIZE // 2, 0.3, 50), (SIZE // 2, 0.8, 40), (SIZE * 2, 0.3, 40)])
def test_a_filter__among_many_has_hnsw_look_for_more(
    filled: Any, monkeypatch: pytest.MonkeyPatch, large: int, share: float, width: int
) -> None:
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 500)
    monkeypatch.setattr(nearest, "SORTABLE", 500)
    monkeypatch.setattr(nearest, "LARGE", large)

    _, plan = asked(filled, shown=below(int(SIZE * share)))

    assert (plan.attempts[0].exact, plan.attempts[0].width) == (False, width)


@pytest.mark.parametrize(("share", "by_hnsw"), [(0.8, True), (0.05, False)])
def test_generic_plan__of_a_filtered_search(filled: Any, share: float, by_hnsw: bool) -> None:
    index, keys = filled
    vector = HalfVector(np.ones(DIMENSIONS, np.float32))
    target = targets.Target(vector=f"%s::halfvec({DIMENSIONS})", parameters=(vector,))
    gate = gates.of(Query(product=keys[0], queryset=below(int(SIZE * share))))
    right, plan = nearest.products(index, target, gate=gate, limit=10)
    sql, parameters = nearest.statement_for(
        index, target, gate=gate, limit=10, exact=plan.attempts[-1].exact, width=plan.attempts[-1].width
    )

    with connection.cursor() as cursor, psycopg.Cursor(connection.connection) as raw:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for name, value in nearest.settings_for(plan.attempts[-1].width).items():
            cursor.execute(f"SET LOCAL {name} = {value}")
        connection.connection.prepare_threshold = 1
        try:
            raw.execute(sql, parameters, prepare=True, binary=True)
            returned = [row[2] for row in raw.fetchall()]
        finally:
            connection.connection.prepare_threshold = None
        cursor.execute(
            "SELECT name, generic_plans FROM pg_prepared_statements WHERE statement LIKE %s ORDER BY prepare_time DESC",
            [f"%embedding.index_id = {index.pk} %"],
        )
        name, generic = cursor.fetchone()
        text = vector.to_text()
        cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE {name}(%s, %s)", [text, []])
        explained = cursor.fetchone()[0]

    assert generic == 1
    assert returned == [match.product for match in right]
    assert ("$1" in str(explained), hnsw.name(index.pk) in str(explained)) == (True, by_hnsw)
