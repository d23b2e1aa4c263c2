"""Build an HNSW index from a thread, so that a worker can be stopped while Postgres goes on."""

from __future__ import annotations

import logging
import threading
import time

from django.db import Error, connections

from visual_search import conf
from visual_search.indexing import locks
from visual_search.indexing.generations import graphs, hnsw
from visual_search.indexing.intake import nudge
from visual_search.models import SearchIndex

logger = logging.getLogger("visual_search.indexing")

LOCK = "visual_search.build"
"""Name of the lock of an index that a thread builds, or waits for its turn to build."""

BRIEFLY = 1.0
"""Seconds that a worker waits for a build, before it looks after new products again."""

AGAIN_AFTER = 60.0
"""Seconds after which a build that failed is tried again."""

_threads: dict[int, threading.Thread] = {}
_failures: dict[int, tuple[float, Error]] = {}


def build(index: SearchIndex, deadline: float) -> bool:
    """Build the HNSW index of `index`, or wait for who does; return whether it is there.

    With a `deadline` it waits BRIEFLY at most: the build goes on, and its end sends a nudge; one that has just failed
    isn't tried again yet. When this process is
    ended, Postgres carries the statement through; whoever asks next finds the index valid, or INVALID and builds it
    anew.
    """
    if hnsw.valid(index.pk):
        return True
    if connections[conf.settings.DATABASE].in_atomic_block:
        graphs.build(index)
        return True
    if deadline != float("inf") and failure(index):
        return False
    thread = _threads.get(index.pk)
    if thread is None or not thread.is_alive():
        thread = threading.Thread(
            target=_build, args=(index, deadline == float("inf")), name=f"visual-search-{index.pk}", daemon=True
        )
        _threads[index.pk] = thread
        thread.start()
    thread.join(None if deadline == float("inf") else min(max(deadline - time.monotonic(), 0), BRIEFLY))
    return hnsw.valid(index.pk)


def failure(index: SearchIndex) -> Error | None:
    """Return what Postgres refused the build of the HNSW index of `index` for in this process of late, if it did."""
    at, error = _failures.get(index.pk, (0.0, None))
    return error if time.monotonic() - at < AGAIN_AFTER else None


def _build(index: SearchIndex, patient: bool) -> None:
    """Build, unless another session is at it already: `patient`, wait for its end then, else leave it to that one."""
    try:
        with (locks.in_turn if patient else locks.alone)(LOCK, index.pk) as alone:
            if not alone:
                return
            graphs.build(index)
        _failures.pop(index.pk, None)
        nudge.send()
    except Error as error:
        if connections[conf.settings.DATABASE].is_usable():
            _failures[index.pk] = (time.monotonic(), error)
        # No nudge: what fails at once would fail as fast as it is tried. The next sweep sends one.
        logger.exception("Building the HNSW index of %s failed; it will be tried again.", index)
    finally:
        connections[conf.settings.DATABASE].close()
