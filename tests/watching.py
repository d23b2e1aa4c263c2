"""Watch every file that this process opens for writing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_seen: list[str] | None = None
_hooked = False


@contextmanager
def files() -> Iterator[list[str]]:
    """Yield a list that each path opened for writing is appended to."""
    global _seen, _hooked
    if not _hooked:
        # A hook can't be removed again.
        sys.addaudithook(_hook)
        _hooked = True
    seen: list[str] = []
    _seen = seen
    try:
        yield seen
    finally:
        _seen = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None or event != "open":
        return
    path, _, flags = arguments
    if isinstance(path, (str, bytes)) and flags & _WRITES and not os.fsdecode(path).startswith(("/dev/", "/proc/")):
        _seen.append(os.fsdecode(path))
