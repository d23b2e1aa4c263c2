"""Points at which a process ends itself, or changes its habits, as its environment says."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visual_search import tasks
from visual_search.encoders import joined
from visual_search.indexing import worker
from visual_search.indexing.intake import nudge, queue
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import rows

POINTS = ("claimed", "read", "encoding", "encoded", "written", "committed")
"""Before any picture is opened; with their bytes; before and after the encoder; before and after the commit."""


def install() -> None:
    """Do what FAULT_POINT="name:count:file" says: SIGKILL at the count-th passing of a point, once for each `file`."""
    if seconds := os.environ.get("FAULT_TASK_SECONDS"):
        tasks.SECONDS = float(seconds)
    if os.environ.get("FAULT_POINT"):
        name, count, done = os.environ["FAULT_POINT"].split(":", 2)
        _install(name, _killer(int(count), Path(done)))


def _killer(count: int, done: Path) -> Callable[[], None]:
    left = [count]

    def kill() -> None:
        left[0] -= 1
        if left[0] == 0 and not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def _install(name: str, kill: Callable[[], None]) -> None:
    owner, attribute, first = {
        "claimed": (queue, "claim", False),
        "read": (pictures, "_read", False),
        "encoding": (joined.Joined, "encode", True),
        "encoded": (joined.Joined, "encode", False),
        "written": (rows, "write", False),
        "committed": (worker, "_finish", False),
        "saved": (nudge, "send", True),
    }[name]
    real = getattr(owner, attribute)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if first:
            kill()
        outcome = real(*arguments, **options)
        if not first and (name != "claimed" or outcome):
            kill()
        return outcome

    setattr(owner, attribute, wrapped)
