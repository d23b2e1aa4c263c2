from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from tests import factories, processes
from visual_search import models
from visual_search.indexing.generations import hnsw
from visual_search.indexing.intake import nudge

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
