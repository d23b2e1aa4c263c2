"""The Celery tasks: thin, idempotent, and carrying no data, since the rows are the queue."""

from __future__ import annotations

from celery import shared_task

from visual_search.indexing import nudge, worker

SECONDS = 8.0
"""A task works at most this long and then calls the next one, so that a stop or a deploy waits for nobody."""


@shared_task(name=nudge.TASK, ignore_result=True)
def work() -> None:
    """Embed queued products for some seconds; nudge again where more is to be done."""
    if worker.run(seconds=SECONDS):
        nudge.send()
