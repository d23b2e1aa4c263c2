from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from tests import factories, processes, sessions
from visual_search import catalog, exceptions, models
from visual_search.indexing.generations import graphs, hnsw, lifecycle, progress
from visual_search.indexing.intake import changes, refills

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


def test_build__of_many_vectors_is_a_denser_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()
    factories.product()
    index: Any = factories.embed()
    hnsw.drop(index.pk)
    monkeypatch.setattr(graphs, "GRAPHS", ((2, 24, 128), (0, 16, 64)))

    graphs.build(index)

    assert "WITH (m='24', ef_construction='128')" in definition(index)


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

    graphs.build(index)

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


def filled() -> Any:
    """Return a second index, filled and ready beside the live one."""
    for _ in range(3):
        factories.product()
    factories.embed()
    index = lifecycle.create()
    factories.embed()
    index.refresh_from_db()
    return index


def states() -> list[str]:
    return list(models.SearchIndex.objects.order_by("id").values_list("state", flat=True))


def queued(index: models.SearchIndex) -> int:
    return models.QueuedProduct.objects.filter(index=index).count()


def test_create__queues_the_whole_catalogue_at_bulk_priority() -> None:
    products = [factories.product() for _ in range(3)]

    index = factories.index(["tiny", {"name": "tiny"}])

    assert (index.state, index.encoders, index.fitted_on) == ("building", ["tiny", {"name": "tiny"}], None)
    assert set(index.queue.values_list("product_id", "priority")) == {(product.pk, 10) for product in products}


def test_create__with_a_metric_that_nobody_knows() -> None:
    with pytest.raises(
        exceptions.ConfigurationError, match=r"'manhattan'\. Give one of 'cosine', 'euclidean', 'pearson'"
    ):
        lifecycle.create(metric="manhattan")
    assert states() == []


def test_activate__an_index_of_another_metric_and_back() -> None:
    for colour in factories.COLOURS * 3:
        factories.product(pictures=[factories.picture(colour), factories.picture(colour, "bar")])
    factories.embed()
    for metric in ("euclidean", "pearson", "cosine"):
        index = lifecycle.create(metric=metric)
        factories.embed()
        assert lifecycle.activate(index) is not None
        assert index.evaluation["reasons"] == []
    assert states() == ["previous", "previous", "previous", "live"]


def test_fill__queues_again_and_embeds_nothing_twice() -> None:
    index = filled()
    before = list(index.embeddings.order_by("pk").values_list("pk", "updated_at"))

    lifecycle.fill(index)
    assert refills.go_on()
    assert queued(index) == 3
    factories.embed()

    assert list(index.embeddings.order_by("pk").values_list("pk", "updated_at")) == before
    assert queued(index) == 0


def test_build__of_an_index_that_is_not_filled() -> None:
    factories.product()
    index = lifecycle.create()

    with pytest.raises(exceptions.IndexStateError, match="is not filled yet: 1 products are queued") as caught:
        lifecycle.build(index)
    assert caught.value.code == "index_state"


def test_build__makes_a_filled_index_ready() -> None:
    index = filled()
    hnsw.drop(index.pk)
    models.SearchIndex.objects.filter(pk=index.pk).update(state="building")
    index.refresh_from_db()

    lifecycle.build(index)

    assert (index.state, hnsw.valid(index.pk), index.evaluation["coverage"]) == ("ready", True, 1.0)
    assert states() == ["live", "ready"]


def test_first_index__a_process_that_dies_before_it_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product()

    def dies(*arguments: Any, **options: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "activate", dies)
        with pytest.raises(SystemExit):
            factories.embed()
    assert states() == ["building"]

    factories.embed()

    assert states() == ["live"]


def test_activate__refuses_what_does_not_pass_the_gate() -> None:
    index = filled()
    factories.refill(index)

    with pytest.raises(exceptions.IndexStateError, match=r"does not pass the gate\. 0\.00% of") as caught:
        lifecycle.activate(index)
    assert (caught.value.code, states()) == ("gate", ["live", "ready"])

    lifecycle.activate(index, force=True)
    assert states() == ["previous", "live"]


def test_rollback__there_and_back() -> None:
    second = filled()
    first = models.SearchIndex.objects.live()
    assert lifecycle.activate(second) == first

    assert lifecycle.rollback() == first
    assert states() == ["live", "previous"]
    assert lifecycle.rollback() == second
    assert states() == ["previous", "live"]


def test_rollback__is_never_stale() -> None:
    second = filled()
    lifecycle.activate(second)
    late = factories.product()
    factories.embed()

    live = lifecycle.rollback()

    assert live.embeddings.filter(product=late, state="ready").exists()


def test_rollback__with_nothing_to_go_back_to() -> None:
    factories.product()
    factories.embed()

    with pytest.raises(exceptions.IndexStateError, match="no previous index"):
        lifecycle.rollback()


def test_cancel__keeps_what_is_embedded_for_resume() -> None:
    products = [factories.product() for _ in range(3)]
    factories.embed()
    index = factories.index()
    models.QueuedProduct.objects.filter(index=index, product=products[0]).delete()
    assert queued(index) == 2

    lifecycle.cancel(index)

    assert (states(), queued(index), refills.is_going_on(index)) == (["live", "retired"], 0, False)
    factories.product()
    factories.embed()
    assert not index.embeddings.exists()
    lifecycle.resume(index)
    assert refills.go_on()
    assert queued(index) == 4
    factories.embed()
    assert states() == ["live", "ready"]
    assert index.embeddings.count() == 4


@pytest.mark.parametrize("step", [lifecycle.cancel, lifecycle.resume, lifecycle.retire])
def test_step__refuses_the_live_index(step: Any) -> None:
    factories.product()
    index: Any = factories.embed()

    with pytest.raises(exceptions.IndexStateError, match="is live; this is for one that is"):
        step(index)
    assert states() == ["live"]


def test_retire__drops_the_hnsw_index_and_deletes_the_rows() -> None:
    index = filled()
    lifecycle.fill(index)

    lifecycle.retire(index)

    assert (index.state, hnsw.valid(index.pk), queued(index)) == ("retired", False, 0)
    assert not index.embeddings.exists()
    live: Any = models.SearchIndex.objects.live()
    assert live.embeddings.count() == 3
    lifecycle.retire(index)
    with pytest.raises(exceptions.IndexStateError, match="is retired"):
        lifecycle.fill(index)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", [lifecycle.cancel, lifecycle.retire])
def test_step__keeps_out_of_the_way_of_a_shop_that_deletes_products(step: Any) -> None:
    index = filled()
    lifecycle.fill(index)
    hnsw.drop(index.pk)
    models.SearchIndex.objects.filter(pk=index.pk).update(state="building")
    kept = step == lifecycle.cancel
    first, second, _ = catalog.product_model()._default_manager.order_by("pk")

    def run() -> None:
        try:
            step(index)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    with transaction.atomic():
        second.delete()
        thread.start()
        # Whoever waited for the rows of the second would hold those of the first, which the shop wants next.
        processes.wait_for(lambda: states() == ["live", "retired"] and index.embeddings.exists() == kept, seconds=5)
        first.delete()
    thread.join(20)

    assert (index.state, queued(index)) == ("retired", 0)
    assert index.embeddings.count() == int(kept)


@contextmanager
def creating() -> Iterator[None]:
    with transaction.atomic():
        lifecycle.create(["tiny"])
        yield


@pytest.mark.django_db(transaction=True)
def test_create__misses_no_product_that_is_saved_meanwhile() -> None:
    factories.product()
    factories.embed()

    with sessions.within(creating()):
        late = factories.product()
        assert changes.fold() > 0, "for the indexes that can be seen by now"
    factories.embed()

    assert states() == ["live", "ready"]
    assert models.ProductEmbedding.objects.filter(product=late).count() == 2


def test_ensure_first__forgets_changes_while_no_index_wants_them() -> None:
    index = lifecycle.create()
    lifecycle.retire(index)
    for _ in range(3):
        factories.product()

    assert not lifecycle.ensure_first()

    assert not models.ProductChange.objects.exists()
    lifecycle.resume(index)
    assert refills.go_on()
    assert queued(index) == 3


@pytest.mark.django_db(transaction=True)
def test_resume__misses_no_product_that_is_saved_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled()
    models.SearchIndex.objects.filter(pk=index.pk).update(state="retired")
    listed: list[bool] = []
    wanted = changes.wanted
    monkeypatch.setattr(changes, "wanted", lambda after=None: (listed.append(True), wanted(after))[1])

    with transaction.atomic():
        lifecycle.resume(index)
        with sessions.within(saving()):
            # It is folded for the indexes that are kept, as far as anybody else can see.
            pass
        assert not listed, "products are listed once everybody knows that the index wants them"
    late = catalog.product_model()._default_manager.order_by("pk").last()
    assert not models.QueuedProduct.objects.filter(index=index, product=late).exists()
    assert refills.go_on()

    assert models.QueuedProduct.objects.filter(index=index, product=late).exists()


@contextmanager
def saving() -> Iterator[None]:
    factories.product()
    changes.fold()
    yield


def test_advance__queues_what_nothing_announced_while_it_was_filled() -> None:
    products = [factories.product() for _ in range(4)]
    factories.product(pictures=[])
    index = lifecycle.create()
    # As a mass import does, once the products were listed.
    refills.drop(index)
    models.QueuedProduct.objects.filter(product__in=products[2:]).delete()
    models.ProductChange.objects.all().delete()

    factories.embed()

    index.refresh_from_db()
    assert (index.state, index.embeddings.count(), queued(index)) == ("live", 4, 0)


def test_build__of_an_index_that_was_not_queued_to_the_end() -> None:
    index = filled()
    models.SearchIndex.objects.filter(pk=index.pk).update(state="building")
    index.embeddings.first().delete()
    index.refresh_from_db()

    with pytest.raises(exceptions.IndexStateError, match="is not filled yet: 1 products are queued"):
        lifecycle.build(index)


def test_retired__can_be_built_again() -> None:
    index = filled()
    lifecycle.retire(index)

    lifecycle.resume(index)
    assert refills.go_on()
    assert queued(index) == 3
    factories.embed()

    index.refresh_from_db()
    assert (index.state, index.embeddings.count()) == ("ready", 3)
