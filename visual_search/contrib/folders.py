"""A Celery broker of folders that several processes can use: kombu's, but a message appears whole.

CELERY_BROKER_URL = "filesystem://localhost"
CELERY_BROKER_TRANSPORT = "visual_search.contrib.folders.Transport"
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """A channel whose readers never meet a message that is still being written.

    kombu writes it under its final name. A worker that takes it up at that moment can't parse it, and ends.
    """

    # kombu's stubs disagree among themselves on the second one's name.
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        path = Path(self.data_folder_out) / f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        part = path.with_suffix(".part")
        try:
            part.write_text(json.dumps(payload))
            os.replace(part, path)
        except OSError as error:
            raise ChannelError(f"Cannot write the message {path}: {error}") from error


class Transport(filesystem.Transport):
    """kombu's transport of folders with that channel."""

    Channel = Channel
