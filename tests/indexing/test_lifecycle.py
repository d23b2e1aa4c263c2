from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from tests import factories
from visual_search import exceptions, models
from visual_search.indexing import hnsw, lifecycle, progress

pytestmark = pytest.mark.django_db


def definition(index: models.SearchIndex) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [hnsw.name(index.pk)])
        return cursor.fetchone()[0]


def test_build__a_partial_expression_index() -> None:
    factories.product()
    index: Any = factories.embed()

    assert hnsw.valid(index.pk)
    assert definition(index).endswith(
        "USING hnsw (((embedding)::halfvec(64)) halfvec_cosine_ops) WITH (m='16', ef_construction='64')"
        f" WHERE (index_id = {index.pk})"
    )


def test_build__refuses_a_vector_of_the_wrong_size_from_then_on() -> None:
    factories.product()
    index: Any = factories.embed()

    with pytest.raises(Exception, match="expected 64 dimensions, not 3"):
        models.ProductEmbedding.objects.filter(index=index).update(embedding=[1, 2, 3])


def test_drop__and_build_again() -> None:
    factories.product()
    index: Any = factories.embed()
    hnsw.drop(index.pk)
    assert not hnsw.valid(index.pk)

    hnsw.build(index)

    assert hnsw.valid(index.pk)


def test_embedding__stays_inline_up_to_eight_kilobytes() -> None:
    factories.product()
    index: Any = factories.embed()
    hnsw.drop(index.pk)
    models.ProductEmbedding.objects.update(embedding=[0.001 * number for number in range(3_900)])

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE relname = 'visual_search_productembedding'"
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("state", ["building", "retired"])
def test_activate__only_what_is_ready(state: str) -> None:
    index = lifecycle.create(["tiny"])
    models.SearchIndex.objects.filter(pk=index.pk).update(state=state)

    with pytest.raises(exceptions.IndexStateError, match=f"is {state}"):
        lifecycle.activate(index)


def test_activate__only_with_a_valid_hnsw_index() -> None:
    index = lifecycle.create(["tiny"])
    models.SearchIndex.objects.filter(pk=index.pk).update(state="ready")

    with pytest.raises(exceptions.IndexStateError, match="no valid HNSW index"):
        lifecycle.activate(index)


def test_activate__what_is_live_already() -> None:
    factories.product()
    index: Any = factories.embed()

    assert lifecycle.activate(index) is None


def test_index__two_can_not_be_live() -> None:
    factories.product()
    factories.embed()

    with pytest.raises(Exception, match="visual_search_one_live_index"):
        models.SearchIndex.objects.create(encoders=["tiny"], state="live")


def test_progress__of_an_index_half_way() -> None:
    factories.product()
    factories.product(pictures=[b"no picture"])
    index: Any = factories.embed()
    factories.product()

    state = progress.of(index)

    assert (state.listed, state.done, state.queued, state.ready, state.failed) == (3, 2, 1, 1, 1)
    assert state.fraction == pytest.approx(2 / 3)
    assert (state.rate, state.seconds_left) == (0, None)  # one transaction has one time
    assert "JPEG" in state.last_error
    assert progress.outstanding()
    factories.embed()
    assert (progress.of(index).seconds_left, progress.outstanding()) == (0.0, False)
