from __future__ import annotations

import json
import os
from pathlib import Path
from queue import Empty

import pytest
from django.conf import settings
from kombu import Connection

from example_shop.celery import app
from visual_search.contrib import folders

QUEUE = "parcels"
"""Not the app's: kombu keeps one list of bindings a process, and binds none anew in another folder."""


def connection(folder: Path) -> Connection:
    paths = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}
    return Connection("filesystem://localhost", transport=folders.Transport, transport_options=paths)


def test_message__is_seen_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kombu's own transport shows it from the moment that its file is opened."""
    replace, seen = os.replace, []

    def look_first(part: Path, path: Path) -> None:
        assert json.loads(part.read_text())
        with connection(tmp_path) as other, pytest.raises(Empty):
            other.SimpleQueue(QUEUE).get(block=False)
        replace(part, path)
        seen.append(path)

    monkeypatch.setattr(folders.os, "replace", look_first)
    with connection(tmp_path) as broker:
        queue = broker.SimpleQueue(QUEUE)
        queue.put({"number": 7})
        message = queue.get(timeout=5)
        message.ack()

    assert message.payload == {"number": 7}
    assert len(seen) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["control"]


def test_message__that_cannot_be_written_is_a_channel_error(tmp_path: Path) -> None:
    with connection(tmp_path) as broker:
        channel = broker.channel()
        channel.data_folder_out = tmp_path / "gone"
        with pytest.raises(broker.channel_errors, match="Cannot write the message"):
            channel._put("visual_search", {})


@pytest.mark.skipif(not settings.CELERY_BROKER_URL.startswith("filesystem"), reason="another broker is configured")
def test_example_shop__uses_it() -> None:
    with app.connection_for_write() as broker:
        assert isinstance(broker.transport, folders.Transport)
