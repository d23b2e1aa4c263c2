from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import visual_search
from tests import factories
from visual_search import exceptions, models
from visual_search.checks import database
from visual_search.indexing.generations import lifecycle
from visual_search.retrieval import canary

pytestmark = pytest.mark.django_db


@pytest.fixture
def index() -> Any:
    for number in range(30):
        factories.product(pictures=[factories.picture(factories.COLOURS[number % 8], size=96 + number)])
    return factories.embed()


def test_measure__stores_its_figures(index: Any) -> None:
    found = canary.measure(samples=8)

    index.refresh_from_db()
    assert (found.unfiltered, found.filtered, found.samples) == (1.0, 1.0, 8)
    assert index.recall["measured_at"] == found.measured_at
    assert database.check_recall(databases=["default"]) == []


def test_measure__complains_where_recall_is_low(
    index: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(canary, "_keys", lambda *_, exact: {1, 2, 3, 4} if exact else {1})

    def listen(recall: Any, **_: Any) -> None:
        heard.append(recall)

    canary.recall_dropped.connect(listen)
    try:
        with caplog.at_level(logging.ERROR, logger="visual_search.recall"):
            found = canary.measure(samples=2)
    finally:
        canary.recall_dropped.disconnect(listen)

    assert heard == [found]
    assert found.least == 0.25
    assert "fell to 25.0 %" in caplog.text
    (warning,) = database.check_recall(databases=["default"])
    assert (warning.id, f"index reindex {index.pk}" in str(warning.hint)) == ("visual_search.W011", True)


def test_measure__goes_on_where_another_index_is_activated_meanwhile(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = lifecycle.create()
    factories.embed()
    other.refresh_from_db()
    sample = canary._sample

    def sample_and_activate(*arguments: Any) -> Any:
        lifecycle.activate(other, force=True)
        return sample(*arguments)

    monkeypatch.setattr(canary, "_sample", sample_and_activate)

    assert (canary.measure(samples=2).index, models.SearchIndex.objects.live()) == (index.pk, other)


def test_measure__without_an_index() -> None:
    with pytest.raises(exceptions.NoLiveIndex):
        canary.measure()


def test_command__says_what_was_measured(index: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("visual_search", "recall", samples=3)

    assert capsys.readouterr().out == "recall@10 100.0%, filtered 100.0%, on 3 products\n"


@pytest.mark.django_db(transaction=True)
def test_reindex__builds_anew_without_losing_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    from visual_search.indexing.generations import hnsw

    factories.product()
    index: Any = factories.embed()

    call_command("visual_search", "index", "reindex", str(index.pk))

    assert hnsw.valid(index.pk)
    assert "is new" in capsys.readouterr().out
    hnsw.drop(index.pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["dropped", "invalid"])
def test_reindex__mends_a_live_index_that_lost_its_hnsw_index(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    from visual_search.indexing.generations import hnsw

    product, other = factories.product(), factories.product()
    index: Any = factories.embed()
    assert database.check_recall(databases=["default"]) == []
    if how == "dropped":
        hnsw.drop(index.pk)
    else:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [hnsw.name(index.pk)]
            )

    # It answers all the same.
    assert visual_search.similar_to(product) == [other]
    (warning,) = database.check_recall(databases=["default"])
    assert (warning.id, warning.hint) == (
        "visual_search.W013",
        f"Run `manage.py visual_search index reindex {index.pk}`.",
    )
    call_command("visual_search", "status", no_color=True)
    assert "    The HNSW index is missing or INVALID" in capsys.readouterr().out

    call_command("visual_search", "index", "reindex", str(index.pk))

    assert hnsw.valid(index.pk)
    assert database.check_recall(databases=["default"]) == []
    hnsw.drop(index.pk)


def test_reindex__of_an_index_that_is_building() -> None:
    index = lifecycle.create(["tiny"])

    with pytest.raises(CommandError, match=f"`index build {index.pk}` makes it"):
        call_command("visual_search", "index", "reindex", str(index.pk))


def test_health__advises_where_it_is_needed() -> None:
    from visual_search.indexing.generations import hnsw

    assert hnsw.Health(index=7, valid=True, size=10, memory=20, dead=0.1).advice == ()
    invalid, memory, dead = hnsw.Health(index=7, valid=False, size=3 << 20, memory=1 << 20, dead=0.5).advice
    assert "missing or INVALID" in invalid
    assert "3 MB and shared_buffers 1 MB" in memory
    assert "50% of the rows are dead" in dead
    large, memory = 2 << 30, 4 << 30
    assert hnsw.Health(index=7, valid=True, size=large, memory=memory, dead=0).advice == ()
    assert hnsw.Health(index=7, valid=True, size=large >> 4, memory=memory, dead=0, small_pages=True).advice == ()
    (pages,) = hnsw.Health(index=7, valid=True, size=large, memory=memory, dead=0, small_pages=True).advice
    assert "2048 MB and Postgres no huge pages" in pages
    assert models.SearchIndex.objects.count() == 0


def test_health__reads_whether_postgres_has_huge_pages() -> None:
    from django.db import connection

    from visual_search.indexing.generations import hnsw

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('huge_pages_status', true)")
        (status,) = cursor.fetchone()

    assert status in (None, "on", "off", "unknown")
    assert hnsw.health(7).small_pages is (status == "off")
