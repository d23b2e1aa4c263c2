"""The Celery tasks: thin, idempotent, and carrying no data, since the rows are the queue."""

from __future__ import annotations

import time

from celery import shared_task

from visual_search import conf
from visual_search.indexing import nudge, reconciler, sweeper, worker

SECONDS = 8.0
"""A task works at most this long and then calls the next one, so that a stop or a deploy waits for nobody."""


@shared_task(name=nudge.TASK, ignore_result=True)
def work() -> None:
    """Embed queued products for some seconds; nudge again where more is to be done."""
    if worker.run(seconds=SECONDS):
        nudge.send()


@shared_task(name="visual_search.sweep", ignore_result=True)
def sweep() -> None:
    """Wake a worker where work waits that no nudge announced; run it every minute."""
    sweeper.sweep()


@shared_task(name="visual_search.reconcile", ignore_result=True)
def reconcile(after: str | None = None, deep: bool = False) -> None:
    """Queue products that changed without a signal, some seconds' worth and then the next; run it every night."""
    found = reconciler.reconcile(after=after, deep=deep, deadline=time.monotonic() + SECONDS)
    if found.after is not None:
        reconcile.apply_async((str(found.after), deep), queue=conf.settings.QUEUE)
