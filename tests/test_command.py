from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests import factories, sessions
from visual_search import models
from visual_search.checks import database
from visual_search.indexing import locks, reconciler
from visual_search.indexing.intake import changes
from visual_search.retrieval import canary

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command("visual_search", *arguments, stdout=output, stderr=output, no_color=True, **options)
    return output.getvalue()


@pytest.fixture
def live() -> models.SearchIndex:
    for _ in range(3):
        factories.product()
    index = factories.embed()
    assert index is not None
    return index


def test_command__before_the_tables_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.SearchIndex._meta, "db_table", "not_there")

    with pytest.raises(CommandError, match=r"A table is missing: run `manage.py migrate` first\. relation"):
        run("status")


def test_status__of_a_new_shop() -> None:
    assert run("status") == "There is no index yet: run `manage.py visual_search sync`, or start a worker.\n"


def test_sync__of_an_empty_shop_makes_no_index_that_is_fitted_on_nothing() -> None:
    assert run("sync") == "The shop lists no products yet: the first index is made for the first of them.\n"
    assert not models.SearchIndex.objects.exists()

    factories.product()
    run("sync")

    assert models.SearchIndex.objects.get().fitted_on == 1


def test_status__says_what_no_signal_announced(live: models.SearchIndex) -> None:
    factories.product()
    changes.fold()
    models.QueuedProduct.objects.all().delete()

    assert "1 listed products are neither in it nor queued: `sync` finds what no signal announced" in run("status")
    run("sync")
    assert "not queued" not in run("status")


def test_status__and_check_of_an_index_that_the_shop_has_outgrown(live: models.SearchIndex) -> None:
    assert database.check_recall(databases=["default"]) == []
    for _ in range(17):
        factories.product()
    factories.embed()

    assert "It was fitted on 3 pictures: `index create` makes one that is fitted on all." in run("status")
    (warning,) = database.check_recall(databases=["default"])
    assert (warning.id, warning.hint) == (
        "visual_search.W017",
        "It can't tell yet what all pictures have in common. Run `manage.py visual_search index create`.",
    )


def test_sync_and_status__of_a_shop() -> None:
    factories.product()
    factories.product(pictures=[b"no picture"])

    lines = run("sync").splitlines()

    assert lines[-2] == "[############################] 100%  2/2 products, 1 pictures, 1 failed"
    assert lines[-1].startswith("1 pictures failed, the last one because: ")
    index = models.SearchIndex.objects.get()
    assert run("status").splitlines()[:2] == [
        f"#{index.pk} tiny: live, cosine, 64 dimensions, fitted on 1 pictures",
        "    2 of 2 products done, 0 queued; 1 pictures ready, 1 failed",
    ]


def test_sync__strict_fails_where_pictures_did() -> None:
    factories.product(pictures=[b"no picture"])

    with pytest.raises(CommandError, match="There are failed pictures") as caught:
        run("sync", "--strict")
    assert caught.value.returncode == 1


def test_sync__says_which_encoder_is_missing(live: models.SearchIndex) -> None:
    run("index", "create", "--encoder", "tests.faults.encoders.Missing")

    with pytest.raises(CommandError, match="has no 'Missing'"):
        run("sync")


def test_index__create_takes_a_metric() -> None:
    run("index", "create", "--metric", "pearson")
    with override_settings(VISUAL_SEARCH=factories.settings_with(METRIC="euclidean")):
        run("index", "create")
    run("index", "create")

    assert list(models.SearchIndex.objects.order_by("pk").values_list("metric", flat=True)) == [
        "pearson", "euclidean", "cosine"
    ]  # fmt: skip
    with pytest.raises(CommandError, match="invalid choice: 'manhattan'"):
        run("index", "create", "--metric", "manhattan")


def test_index__from_create_to_rollback(live: models.SearchIndex) -> None:
    said = run("index", "create", "--encoder", "tiny", "--encoder", "tests.faults.encoders.Other")
    second = models.SearchIndex.objects.get(state="building")
    name = f"#{second.pk} tiny + tests.faults.encoders.Other"
    assert said == (
        f"Index {name} is building: 3 products are queued. A worker fills it, or:\n"
        f"  manage.py visual_search index fill {second.pk}\n"
    )

    key = str(second.pk)
    assert run("index", "fill", key).splitlines()[-1].endswith("100%  3/3 products, 3 pictures")
    assert run("index", "evaluate", key) == (
        "coverage          100.00%, 0 pictures failed\n"
        "recall@10         100.0% on 3 pictures\n"
        "finds a sibling   not measured\n"
        "against the live  not measured (lower end of 95 %)\n"
        "It passes the gate.\n"
    )
    assert run("index", "activate", key) == (
        f"Index {name} is live.\nTo go back: manage.py visual_search index rollback\n"
    )
    assert run("index", "rollback") == f"Index {live} is live again.\n"
    assert run("index", "retire", key) == f"Index {name} is retired, and its vectors are deleted.\n"
    assert run("index", "resume", key) == f"Index {name} is building again: 3 products are queued.\n"
    assert run("index", "cancel", key) == (
        f"Index {name} is cancelled. To go on: manage.py visual_search index resume {key}\n"
    )


def test_index__evaluate_shows_how_far_it_is_in_a_terminal(
    live: models.SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)

    call_command("visual_search", "index", "evaluate", str(live.pk), stdout=io.StringIO(), stderr=terminal)

    assert "Measuring: recall, 3 of 3" in terminal.getvalue()


def test_index__calibrate_takes_the_live_one(live: models.SearchIndex) -> None:
    said = run("index", "calibrate")

    assert said.startswith("similar, from ")
    assert said == run("index", "calibrate", str(live.pk))
    models.SearchIndex.objects.update(state="ready")
    with pytest.raises(CommandError, match="No index is live yet"):
        run("index", "calibrate")


def test_index__build(live: models.SearchIndex) -> None:
    models.SearchIndex.objects.filter(pk=live.pk).update(state="building")

    assert run("index", "build", str(live.pk)) == f"Index {live} is ready.\n"


def test_index__activate_what_does_not_pass(live: models.SearchIndex) -> None:
    run("index", "create")
    factories.embed()
    second = models.SearchIndex.objects.get(state="ready")
    factories.refill(second)

    with pytest.raises(CommandError, match="does not pass the gate"):
        run("index", "activate", str(second.pk))
    output = io.StringIO()
    with pytest.raises(CommandError, match="does not pass the gate") as caught:
        call_command("visual_search", "index", "evaluate", str(second.pk), stdout=output, stderr=io.StringIO())
    assert "0.00% of the listed products" in output.getvalue()
    assert caught.value.returncode == 1
    assert run("activate", str(second.pk), "--force").startswith(f"Index {second} is live.")


def test_recall__fails_below_what_the_canary_warns_of(
    live: models.SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("recall") == "recall@10 100.0%, filtered 100.0%, on 3 products\n"
    monkeypatch.setattr(canary, "LEAST_RECALL", 1.01)
    output = io.StringIO()

    with pytest.raises(CommandError, match=r"Recall is below 101%: .*index reindex") as caught:
        call_command("visual_search", "recall", stdout=output, stderr=io.StringIO())

    assert caught.value.returncode == 1
    assert output.getvalue().startswith("recall@10 100.0%")


def test_index__a_number_that_there_is_not(live: models.SearchIndex) -> None:
    with pytest.raises(CommandError, match=rf"There is no index 999\. Indexes: {live.pk}\."):
        run("index", "fill", "999")


def test_index__a_step_that_its_state_does_not_allow(live: models.SearchIndex) -> None:
    with pytest.raises(CommandError, match="is live; this is for one that is"):
        run("index", "cancel", str(live.pk))


def test_sweep_and_reconcile__say_what_they_found(live: models.SearchIndex) -> None:
    assert run("sweep") == "0 products due, 0 changes to fold, 0 indexes to fill, 0 leases had run out.\n"
    models.ProductEmbedding.objects.all().delete()
    assert run("reconcile") == "3 products compared, 3 queued.\n"
    assert run("reconcile", "--deep") == "3 products compared, 3 queued.\n"
    assert run("sweep") == "0 products due, 6 changes to fold, 0 indexes to fill, 0 leases had run out.\n"


def test_reconcile__leaves_it_to_another_that_is_at_it(live: models.SearchIndex) -> None:
    with sessions.within(locks.alone(reconciler.LOCK, 0)):
        assert run("reconcile") == "Another reconciliation is running.\n"


def test_prune__of_nothing() -> None:
    assert run("prune", "--days", "1") == "0 searches deleted.\n"
