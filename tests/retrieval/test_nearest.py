from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pgvector import HalfVector

from tests import factories
from visual_search import catalog, models
from visual_search.indexing.generations import graphs, hnsw, lifecycle
from visual_search.indexing.vectors import rows
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, statement, targets
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

SIZE, DIMENSIONS = 2_000, 32


METRICS = models.SearchIndex.Metric.values


@pytest.fixture
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[models.SearchIndex, dict[Any, np.ndarray[Any, Any]]]]:
    """An index of clustered unit vectors, one a product, without pictures; a test may give its metric."""
    model = catalog.product_model()
    template = factories.product(pictures=[])
    others = []
    for number in range(SIZE):
        copy = model(**{f.attname: getattr(template, f.attname) for f in model._meta.concrete_fields if f.name != "id"})
        copy.price = number
        if hasattr(copy, "slug"):
            copy.slug = f"synthetic-{number}"
        others.append(copy)
    model._default_manager.bulk_create(others)
    keys = list(model._default_manager.exclude(pk=template.pk).order_by("price").values_list("pk", flat=True))
    random = np.random.default_rng(3)
    centres = random.normal(size=(40, DIMENSIONS))
    vectors = centres[random.integers(40, size=SIZE)] + 0.4 * random.normal(size=(SIZE, DIMENSIONS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    index = lifecycle.create(["tiny"], metric=getattr(request, "param", None))
    models.SearchIndex.objects.filter(pk=index.pk).update(
        fitted_on=0,
        state="live",
        dimensions=DIMENSIONS,
        parts=[{"name": "tiny", "dimensions": DIMENSIONS, "share": 1.0}],
    )
    index.refresh_from_db()
    found = [
        rows.Row(product=key, image_key="a", position=0, state="ready", part_lengths=[1.0], embedding=vector)
        for key, vector in zip(keys, vectors, strict=True)
    ]
    with transaction.atomic():
        rows.write(index.pk, keys, found)
    graphs.build(index)
    gates._estimates.clear()
    yield index, dict(zip(keys, vectors, strict=True))
    gates._estimates.clear()


def truth(vectors: dict[Any, np.ndarray[Any, Any]], key: Any, among: set[Any], limit: int) -> list[Any]:
    scores = {other: float(vectors[other] @ vectors[key]) for other in among if other != key}
    return sorted(scores, key=lambda other: -scores[other])[:limit]


def ask(index: models.SearchIndex, key: Any, **options: Any) -> list[Any]:
    gate = gates.of(Query(product=key, queryset=options.get("queryset")))
    query = Query(product=key, queryset=options.get("queryset"))
    found, _ = nearest.products(index, targets.of(index, query), gate=gate, limit=options.get("limit", 10))
    return [match.product for match in found]


@pytest.mark.parametrize("share", [1.0, 0.2, 0.01])
@pytest.mark.parametrize("exact", [True, False])
def test_products__are_the_nearest_of_what_may_be_shown(
    filled: Any, monkeypatch: pytest.MonkeyPatch, share: float, exact: bool
) -> None:
    index, vectors = filled
    if not exact:
        monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)
    shown = catalog.product_model()._default_manager.filter(price__lt=SIZE * share)
    among = set(shown.values_list("pk", flat=True)) & set(vectors)

    hits = total = 0
    for key in list(vectors)[::100]:
        found = ask(index, key, queryset=shown)
        right = truth(vectors, key, among, 10)
        assert len(found) == len(set(found)) == len(right)
        assert set(found) <= among - {key}
        hits += len(set(found) & set(right))
        total += len(right)
        if exact:
            # Half precision may swap neighbours that are equally near.
            assert len(set(found) & set(right)) >= len(right) - 1

    assert hits / total >= 0.97


def scans(plan: Any) -> set[str]:
    """Return the names of the indexes that a plan of Postgres's uses."""
    if isinstance(plan, list):
        return set().union(*map(scans, plan))
    if not isinstance(plan, dict):
        return set()
    return {value for key, value in plan.items() if key == "Index Name"}.union(*map(scans, plan.values()))


def prepared(index: models.SearchIndex) -> tuple[str, int, int]:
    """Return the name of the prepared search in `index`, and how often it ran with a generic and a custom plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE %s",
            [f"%embedding.index_id = {index.pk} %"],
        )
        (found,) = cursor.fetchall()
    return found


def hnsw_scans(index: models.SearchIndex) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_numscans(to_regclass(%s))", [hnsw.name(index.pk)])
        return cursor.fetchone()[0]


def explained(index: models.SearchIndex, *keys: Any) -> nearest.Plan:
    query = Query(terms=tuple(Term(product=key) for key in keys))
    target = targets.of(index, query)
    return nearest.products(index, target, gate=gates.of(query), limit=10, explain=True)[1]


@pytest.mark.parametrize("filled", METRICS, indirect=True)
def test_products__with_many_candidates_use_the_hnsw_index(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index, vectors = filled
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)

    plan = explained(index, next(iter(vectors)))

    assert hnsw.name(index.pk) in scans(plan.explained)
    assert [(attempt.exact, attempt.width, attempt.pictures) for attempt in plan.attempts] == [(False, 40, 40)]


@pytest.mark.parametrize("filled", METRICS, indirect=True)
def test_products__near_to_several_terms_use_the_hnsw_index(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index, vectors = filled
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)

    plan = explained(index, *list(vectors)[:3])

    assert hnsw.name(index.pk) in scans(plan.explained)


@pytest.mark.parametrize("filled", METRICS, indirect=True)
def test_products__with_few_candidates_are_sorted_exactly(filled: Any) -> None:
    index, vectors = filled

    plan = explained(index, next(iter(vectors)))

    assert hnsw.name(index.pk) not in scans(plan.explained)
    assert [(attempt.exact, attempt.width) for attempt in plan.attempts] == [(True, 40)]
    assert 0 < plan.candidates <= SIZE


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("asked", ["with a product", "with a photo"])
@pytest.mark.parametrize("filled", METRICS, indirect=True)
def test_statement__a_generic_plan_uses_the_hnsw_index_alike(
    filled: Any, monkeypatch: pytest.MonkeyPatch, asked: str, exact: bool
) -> None:
    index, vectors = filled
    key, vector = next(iter(vectors.items()))
    query = Query(product=key)
    target, gate = targets.of(index, query), gates.of(query)
    values = [key, [key], *target.compared_parameters]
    if asked == "with a photo":
        target = targets.Target(vector=f"%s::halfvec({DIMENSIONS})", parameters=(HalfVector(vector),))
        values = [HalfVector(vector).to_text(), []]
    right, _ = nearest.ask(index, target, gate=gate, limit=10, exact=exact, width=40)
    sql, parameters = nearest.statement_for(index, target, gate=gate, limit=10, exact=exact, width=40)
    before = hnsw_scans(index)

    # Django turns prepared statements off; a shop can turn them on, in its OPTIONS.
    monkeypatch.setattr(connection.connection, "prepare_threshold", 5)
    with connection.cursor() as cursor, psycopg.Cursor(connection.connection) as raw:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        for _ in range(3):
            raw.execute(sql, parameters, binary=True, prepare=True)
            assert [row[2] for row in raw.fetchall()] == [match.product for match in right]

    name, generic, custom = prepared(index)
    assert (generic, custom) == (3, 0)
    assert hnsw_scans(index) - before == (0 if exact else 3)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN EXECUTE {name}({', '.join(['%s'] * len(values))})", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "$2" in plan  # generic: the values are not in it
    assert (hnsw.name(index.pk) in plan) is not exact


def test_products__a_product_with_many_pictures_fills_one_place(filled: Any) -> None:
    index, vectors = filled
    first, crowd, *_ = list(vectors)
    near = [
        rows.Row(
            product=crowd, image_key=str(number), position=number, state="ready", part_lengths=[1.0],
            embedding=vectors[first],
        )
        for number in range(100)
    ]  # fmt: skip
    rows.write(index.pk, [crowd], near)

    found = ask(index, first, limit=12)

    assert found[0] == crowd
    assert len(set(found)) == 12


def test_estimate__is_asked_once_a_minute(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index, vectors = filled
    key = next(iter(vectors))
    with CaptureQueriesContext(connection) as first:
        ask(index, key)
    with CaptureQueriesContext(connection) as second:
        ask(index, key)

    assert sum("EXPLAIN" in query["sql"] for query in first) == 1
    assert sum("EXPLAIN" in query["sql"] for query in second) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("threshold", [None, 0])
def test_ask__alone_scans_with_its_own_settings(
    filled: Any, monkeypatch: pytest.MonkeyPatch, threshold: int | None
) -> None:
    index, vectors = filled
    query = Query(product=next(iter(vectors)))
    target, gate = targets.of(index, query), gates.of(query)
    monkeypatch.setattr(connection.connection, "prepare_threshold", threshold)
    narrow = {"hnsw.iterative_scan": "off", "hnsw.ef_search": "3", "hnsw.max_scan_tuples": "10"}
    with connection.cursor() as cursor:
        # Two thousand rows are sorted as soon as Postgres has counted them, which it does when it likes.
        cursor.execute("ANALYZE visual_search_productembedding; SET enable_sort = off")

    wide, whole = nearest.ask(index, target, gate=gate, limit=10, exact=False, width=40)
    monkeypatch.setattr(nearest, "settings_for", lambda width, beam: narrow)
    with CaptureQueriesContext(connection) as captured:
        short, little = nearest.ask(index, target, gate=gate, limit=10, exact=False, width=40)

    assert (len(wide), whole.pictures) == (10, 40)
    # The product itself is one of the three, and no result.
    assert [match.product for match in short] == [match.product for match in wide][: little.pictures]
    assert little.pictures == 2
    assert captured.captured_queries == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        assert cursor.fetchone() == ("40", "off")
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert (cursor.fetchone()[0] > 0) is (threshold is not None)
        cursor.execute("RESET enable_sort")
    hnsw.drop(index.pk)


def test_run__asks_after_the_health_of_a_connection_that_was_kept(transactional_db: None) -> None:
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    # As at the beginning of a request, with CONN_HEALTH_CHECKS.
    connection.health_check_enabled, connection.health_check_done = True, False

    assert statement.run("SELECT 5", [], settings={}) == [(5,)]
