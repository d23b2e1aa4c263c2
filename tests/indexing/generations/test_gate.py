from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from pgvector import HalfVector

from tests import factories
from visual_search import catalog, conf, exceptions
from visual_search.indexing.generations import gate, lifecycle
from visual_search.indexing.intake import changes
from visual_search.models import ProductEmbedding, SearchIndex

pytestmark = pytest.mark.django_db


def products(count: int) -> list[Any]:
    colours = [f"#{number * 2_654_435_761 % 2**24:06x}" for number in range(1, count + 1)]
    shapes = ("circle", "square", "bar") * count
    return [factories.product(pictures=[factories.picture(*one)]) for one in zip(colours, shapes, strict=False)]


def second() -> SearchIndex:
    """Return a second index, filled and ready."""
    index = lifecycle.create()
    factories.embed()
    index.refresh_from_db()
    return index


def test_evaluate__of_a_good_index_passes_and_is_stored() -> None:
    products(20)
    index: Any = factories.embed()

    found = gate.evaluate(index)

    assert found == gate.Evaluation(
        coverage=1.0, failed=0, recall=1.0, samples=20, sibling=None, difference=None, reasons=()
    )
    assert found.passed
    index.refresh_from_db()
    measured = index.evaluation.pop("measured")
    assert index.evaluation == {**asdict(found), "reasons": []}
    assert time.time() - measured.pop("at") < 60
    assert measured == {"pictures": 20, "rival": None, "ef_search": conf.settings.EF_SEARCH}


def test_evaluate__of_an_empty_shop_passes() -> None:
    lifecycle.create(["tiny"])
    index: Any = factories.embed()

    found = gate.evaluate(index)

    assert (found.coverage, found.recall, found.samples, found.passed) == (1.0, None, 0, True)


def test_evaluate__of_what_still_waits() -> None:
    products(3)
    index: Any = factories.embed()
    factories.refill(index)
    changes.record([])

    found = gate.evaluate(index)

    assert (found.coverage, found.passed) == (0.0, False)
    assert found.reasons == ("0.00% of the listed products have an outcome; 99.9% are needed.",)


def test_evaluate__of_a_product_that_nobody_queued() -> None:
    products(9)
    factories.product(pictures=[])
    index: Any = factories.embed()
    assert gate.evaluate(index).coverage == 1.0, "a product without a picture waits for nothing"
    index.embeddings.first().delete()

    found = gate.evaluate(index)

    assert (found.coverage, found.passed) == (0.9, False)


def test_missing__of_many_is_estimated_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LOOKED_AT", 5)
    products(10)
    index: Any = factories.embed()
    index.embeddings.all().delete()

    assert gate.missing(index) == 10


def test_evaluate__counts_failures_against_the_live_index() -> None:
    products(3)
    factories.embed()
    index = second()
    ProductEmbedding.objects.filter(index=index, pk__in=[index.embeddings.first().pk]).update(  # type: ignore[union-attr]
        state="failed", error_code="image_crashed", embedding=None
    )

    found = gate.evaluate(index)

    assert (found.failed, found.reasons) == (1, ("1 pictures failed, 0 in the live index.",))


def test_evaluate__failures_that_the_live_index_has_too() -> None:
    factories.product(pictures=[b"no picture"])
    products(3)
    factories.embed()

    assert gate.evaluate(second()).passed


def test_evaluate__the_same_picture_many_times_is_found_by_distance() -> None:
    data = factories.picture("teal", "bar")
    products(5)
    for _ in range(30):
        factories.product(pictures=[data])
    index: Any = factories.embed()

    assert gate.evaluate(index).recall == 1.0


@pytest.mark.skipif(
    django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article", reason="a product of this shop has one picture"
)
def test_evaluate__a_model_that_finds_siblings_less_often() -> None:
    for number in range(40):
        colour = f"#{(number + 1) * 2_654_435_761 % 2**24:06x}"
        factories.product(pictures=[factories.picture(colour, size=80), factories.picture(colour, size=90)])
    factories.embed()
    index = second()
    keys = list(index.embeddings.order_by("pk").values_list("pk", flat=True))
    vectors = list(index.embeddings.defer(None).order_by("pk").values_list("embedding", flat=True))
    for key, vector in zip(keys, vectors[7:] + vectors[:7], strict=True):
        index.embeddings.filter(pk=key).update(embedding=vector)

    found = gate.evaluate(index)

    assert found.sibling is not None
    assert found.sibling < 0.5
    assert found.difference is not None
    assert found.difference < -gate.LARGEST_LOSS
    assert found.reasons[-1].startswith("It may find siblings")
    with pytest.raises(exceptions.IndexStateError) as caught:
        lifecycle.activate(index)
    assert caught.value.code == "gate"


@pytest.mark.skipif(
    django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article", reason="a product of this shop has one picture"
)
def test_evaluate__a_part_counts_by_its_share(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "tiny"]}
    for number in range(20):
        colour = f"#{(number + 1) * 2_654_435_761 % 2**24:06x}"
        factories.product(pictures=[factories.picture(colour, size=80), factories.picture(colour, size=90)])
    index: Any = factories.embed()
    rows = list(index.embeddings.defer(None).order_by("pk"))
    vectors = [list(row.embedding) for row in rows]
    for number, row in enumerate(rows):
        # The second part is another picture's.
        mixed = [*vectors[number][:64], *vectors[(number + 7) % len(rows)][64:]]
        index.embeddings.filter(pk=row.pk).update(embedding=HalfVector(mixed))

    found = []
    for share in (0.0, 1.0):
        index.parts = [{**index.parts[0], "share": 1 - share}, {**index.parts[1], "share": share}]
        found.append(gate.evaluate(index).sibling)

    assert found[0] > 0.8 > 0.5 > found[1]


def test_evaluate__stops_when_its_time_is_over() -> None:
    products(20)
    index: Any = factories.embed()

    found = gate.evaluate(index, seconds=0)

    assert (found.recall, found.samples) == (None, 0)
    assert found.reasons[0].startswith("There was too little time to measure it. `manage.py visual_search index")
    assert gate.evaluate(index, samples=5).samples == 5
    assert catalog.product_model()._default_manager.count() == 20


def test_run__ends_a_search_that_takes_too_long() -> None:
    started = time.monotonic()

    with pytest.raises(gate.OutOfTime):
        gate._run("SELECT pg_sleep(20)", [], started + 0.3)

    assert time.monotonic() - started < 5
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_evaluate__counts_for_whoever_watches() -> None:
    products(3)
    index: Any = factories.embed()
    said: list[tuple[str, int, int]] = []

    gate.evaluate(index, counting=lambda *counts: said.append(counts))

    assert said == [("recall", 1, 3), ("recall", 2, 3), ("recall", 3, 3)]


def test_judge__goes_by_what_was_measured_within_the_last_hour() -> None:
    products(5)
    factories.embed()
    index = second()
    gate.evaluate(index)

    assert gate.judge(index, seconds=0) == gate.evaluate(index)


def _is_old(index: SearchIndex) -> None:
    index.evaluation["measured"]["at"] -= gate.FRESH_SECONDS


def _is_of_fewer_pictures(index: SearchIndex) -> None:
    index.evaluation["measured"]["pictures"] = 4


def _is_beside_another_index(index: SearchIndex) -> None:
    index.evaluation["measured"]["rival"] = index.pk


def _did_not_pass(index: SearchIndex) -> None:
    index.evaluation["recall"] = 0.5


def _was_hurried(index: SearchIndex) -> None:
    gate.evaluate(index, seconds=0)


@pytest.mark.parametrize(
    "measured", [_is_old, _is_of_fewer_pictures, _is_beside_another_index, _did_not_pass, _was_hurried]
)
def test_judge__measures_anew(measured: Callable[[SearchIndex], None]) -> None:
    products(5)
    factories.embed()
    index = second()
    gate.evaluate(index)
    measured(index)

    assert not gate.judge(index, seconds=0).passed
    assert gate.judge(index, seconds=60).passed


def test_judge__counts_anew_what_waits() -> None:
    products(5)
    factories.embed()
    index = second()
    gate.evaluate(index)
    factories.refill(index)

    assert gate.judge(index, seconds=60).coverage == 0.0
