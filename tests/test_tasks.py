from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from tests import factories, processes, sessions
from tests.faults import storages
from visual_search import conf, models, tasks
from visual_search.indexing import locks, reconciler
from visual_search.indexing.generations import hnsw
from visual_search.indexing.intake import nudge
from visual_search.indexing.sources import readers
from visual_search.insight import events

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.worker]


@pytest.fixture(autouse=True)
def _clean_up(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(nudge, "_closed_from", 0.0)
    messages = Path(django_settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"])
    for message in messages.iterdir():
        message.unlink()
    yield
    for index in models.SearchIndex.objects.values_list("pk", flat=True):
        hnsw.drop(index)


def ready() -> set[object]:
    return set(models.ProductEmbedding.objects.filter(state="ready").values_list("product_id", flat=True))


def test_worker_process__embeds_what_is_saved_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    with processes.worker(tmp_path / "worker.log"):
        first, second = factories.product(), factories.product()
        processes.wait_for(lambda: ready() == {first.pk, second.pk})
        processes.wait_for(lambda: models.SearchIndex.objects.live() is not None)
        third = factories.product()
        processes.wait_for(lambda: ready() == {first.pk, second.pk, third.pk})
        gone = first.pk
        first.delete()
        assert gone not in ready()
        factories.add_picture(second, b"no picture", position=1)
        processes.wait_for(
            lambda: models.ProductEmbedding.objects.filter(product=second, error_code="image_format").exists()
        )


def test_worker_process__prefork_with_one_child(tmp_path: Path) -> None:
    with processes.worker(tmp_path / "worker.log", "-P", "prefork", "-c", "1"):
        product = factories.product()
        processes.wait_for(lambda: ready() == {product.pk})


@pytest.mark.parametrize("broker", ["amqp://guest:guest@127.0.0.1:1//", "redis://127.0.0.1:1/0"])
def test_save__with_a_broken_broker(tmp_path: Path, broker: str) -> None:
    program = (
        "import django; django.setup(); from tests import factories; import time; started = time.monotonic()\n"
        "[factories.product() for _ in range(5)]; print('saved', time.monotonic() - started)"
    )
    environment = processes.environment(CELERY_BROKER_URL=broker)

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=processes.ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert "The broker did not take a nudge" in done.stderr
    assert models.ProductChange.objects.values("product_id").distinct().count() == 5
    factories.embed()
    assert len(ready()) == 5
    shutil.rmtree(django_settings.MEDIA_ROOT, ignore_errors=True)


def sent(task: Any = tasks.reconcile) -> list[list[Any]]:
    """Return the arguments that `task` was sent to the worker with, and whether it was put off; empty the queue."""
    found = []
    with current_app.connection_for_read() as connection, connection.SimpleQueue(conf.settings.QUEUE) as queue:
        while True:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                return found
            message.ack()
            if message.headers["task"] == task.name:
                found.append([*message.payload[0], message.headers["eta"] is not None])


def test_reconcile__sends_itself_the_key_to_go_on_after(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = sorted(factories.product().pk for _ in range(3))
    sent()
    monkeypatch.setattr(tasks, "SECONDS", 0.0)

    tasks.reconcile()
    ((after, deep, until, put_off),) = sent()
    assert (after, deep, put_off) == (str(keys[0]), False, False)
    assert 0 < until - time.time() <= tasks.DAY
    tasks.reconcile(after, deep, until)
    assert sent() == [[str(keys[1]), False, until, False]]
    tasks.reconcile(str(keys[2]), deep, until)
    assert sent() == []


def test_reconcile__is_put_off_where_the_storage_is_away(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "tests.faults.storages.Unreliable"}}
    monkeypatch.setattr(reconciler, "_readers", readers.Readers(threads=1, seconds=0.2))
    for _ in range(5):
        factories.product()
    factories.embed()
    sent()
    storages.order(Path(settings.MEDIA_ROOT), **{"*": "hangs"})

    tasks.reconcile(deep=True)
    ((after, deep, _, put_off),) = sent()
    assert (deep, put_off) == (True, True)
    with pytest.raises(CommandError, match=f"does not answer: the products after {after} are not compared"):
        call_command("visual_search", "reconcile", "--deep", stdout=io.StringIO())


def test_reconcile__ends_after_a_day_and_where_another_is_at_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = sorted(factories.product().pk for _ in range(2))
    sent()
    monkeypatch.setattr(tasks, "SECONDS", 0.0)

    tasks.reconcile(until=time.time() - 1)
    assert sent() == []
    assert f"ends at product {keys[0]} after a day" in caplog.text
    with sessions.within(locks.alone(reconciler.LOCK, 0)):
        tasks.reconcile()
    assert sent() == []


def test_prune__sends_itself_until_all_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    index = models.SearchIndex.objects.create(encoders=["tiny"])
    old = timezone.now() - timedelta(days=conf.settings.EVENT_RETENTION_DAYS + 1)
    for _ in range(3):
        models.SearchEvent.objects.create(kind="photo", index=index, results=0, milliseconds=1.0, created_at=old)
    sent()
    monkeypatch.setattr(events, "PRUNED_AT_ONCE", 2)
    monkeypatch.setattr(tasks, "SECONDS", 0.0)

    tasks.prune()
    assert (models.SearchEvent.objects.count(), sent(tasks.prune)) == (1, [[False]])
    tasks.prune()
    assert models.SearchEvent.objects.count() == 0
    sent()
    tasks.prune()
    assert sent(tasks.prune) == []
