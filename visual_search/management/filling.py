"""Embed in the process of a command, with a progress line."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError

from visual_search.indexing import worker
from visual_search.indexing.generations import builder, hnsw, progress
from visual_search.management import lines
from visual_search.models import SearchIndex

SLICE = 0.5
"""Seconds of work between two looks at how far it is, at least."""

PAUSE = 0.2
"""Seconds to wait where another worker has what is left, at least."""

LONGEST = 10.0
"""Seconds of either, at most."""

SHARE = 9
"""Work, or wait, so many times as long as a look took: counting a large shop's rows is no reason to embed fewer."""


def until_empty(stream: Any, index: SearchIndex) -> progress.Progress:
    """Embed until nothing is queued or building, in this process or in whoever else's, and show how far `index` is.

    What waits for its storage is left to the worker. Raises CommandError where the HNSW index can't be built.
    """
    line = lines.ProgressLine(stream)
    took = 0.0
    while True:
        busy = worker.run(seconds=min(max(SLICE, SHARE * took), LONGEST))
        started = time.monotonic()
        state = progress.of(index)
        took = time.monotonic() - started
        building = hnsw.progress(index.pk) if not state.queued else None
        line.show(lines.describe(state, building), share=state.fraction)
        if (error := builder.failure(index)) is not None:
            line.close(lines.describe(state))
            raise CommandError(f"The HNSW index of {index} could not be built: {error}")
        if not busy:
            # What is left is in another worker's hands, or waits to be tried again.
            if not progress.outstanding():
                break
            time.sleep(min(max(PAUSE, SHARE * took), LONGEST))
    line.close(lines.describe(state))
    return state
