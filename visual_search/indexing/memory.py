"""Give freed memory back to the machine."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any


def trim() -> None:
    """Return to the system what this process has freed; does nothing where the C library can't (only glibc can).

    Files of changing sizes, read by several threads, leave glibc's arenas full of holes: a worker kept a third more
    after 10,000 pictures than after 1,000, none of it in use.
    """
    if (release := _malloc_trim()) is not None:
        release(0)


@lru_cache(maxsize=1)
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
