from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from visual_search import catalog, models
from visual_search.indexing.generations import hnsw, lifecycle, progress

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> models.SearchIndex:
    """Return an index of one product."""
    factories.product()
    index = factories.embed()
    assert index is not None
    return index


def written(index: models.SearchIndex, *ages: float) -> None:
    """Add a picture that was written that many seconds ago, for each of `ages`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO visual_search_productembedding (index_id, product_id, image_key, region, position, state,
                error_code, error_message, source_name, source_sha256, part_lengths, embedding, updated_at)
            SELECT index_id, product_id, 'written ' || number, region, position, state, error_code, error_message,
                source_name, source_sha256, part_lengths, embedding, now() - make_interval(secs => age)
            FROM visual_search_productembedding, unnest(%s::float[]) WITH ORDINALITY AS written(age, number)
            WHERE index_id = %s AND image_key NOT LIKE 'written%%'
            """,
            [list(ages), index.pk],
        )


@pytest.mark.parametrize(
    ("ages", "rate"),
    [
        ([5.0] * 10 + [4.5] * 10, 0.0),  # a burst: "20 pictures/s" is what none of the next seconds will have
        ([20.0] * 10 + [15.0] * 20 + [10.0] * 30, 5.0),  # the first batch only starts the clock
        ([50.0] * 10 + [40.0] * 20, 0.0),
    ],
)
def test_rate__is_of_the_last_half_minute_and_of_a_second_at_least(
    index: models.SearchIndex, ages: list[float], rate: float
) -> None:
    models.ProductEmbedding.objects.update(updated_at="2020-01-01T00:00Z")
    written(index, *ages)

    assert progress.of(index).rate == pytest.approx(rate)


def test_queued__counts_a_product_once_that_is_changed_and_queued(index: models.SearchIndex) -> None:
    other = factories.product()
    lifecycle.fill(index)
    other.save()
    other.save()
    assert models.ProductChange.objects.filter(product=other).count() > 1

    assert progress.of(index).queued == 2
    models.QueuedProduct.objects.filter(product=other).delete()
    assert progress.of(index).queued == 2


@pytest.fixture
def many(transactional_db: None) -> Iterator[models.SearchIndex]:
    """Yield an index with 20,000 pictures, as it lies on the disk a while after it was filled."""
    factories.product()
    index = factories.embed()
    assert index is not None
    written(index, *[86_400.0] * 20_000)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE visual_search_productembedding")
    yield index
    hnsw.drop(index.pk)


def test_of__reads_no_vectors(many: models.SearchIndex) -> None:
    with CaptureQueriesContext(connection) as asked:
        state = progress.of(many)
    assert (state.ready, state.failed, state.rate) == (20_001, 0, 0.0)

    plans = []
    with connection.cursor() as cursor:
        for query in asked.captured_queries:
            cursor.execute("EXPLAIN " + query["sql"])
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
    plan = "\n".join(plans)
    assert "Seq Scan on visual_search_productembedding" not in plan
    assert plan.count("Index Only Scan using visual_search_recent") == 2, plan


def test_listed__is_counted_anew_when_it_has_been_kept_for_long_enough(
    index: models.SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(execute: Any, sql: str, *rest: Any) -> Any:
        if catalog.product_model()._meta.db_table in sql:
            time.sleep(0.1)
        return execute(sql, *rest)

    monkeypatch.setattr(progress, "LISTED_KEPT", 10)
    with connection.execute_wrapper(slow):
        assert progress.of(index).listed == 1
        factories.product()
        assert progress.of(index).listed == 1
        time.sleep(1.1)
        assert progress.of(index).listed == 2
