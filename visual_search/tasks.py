"""The Celery tasks: thin, idempotent, and carrying no data, since the rows are the queue."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from celery import shared_task
from celery.exceptions import WorkerShutdown
from celery.worker import state

from visual_search import conf
from visual_search.exceptions import EncoderError, NoLiveIndex
from visual_search.indexing import reconciler, worker
from visual_search.indexing.generations import calibration
from visual_search.indexing.intake import nudge, sweeper
from visual_search.insight import events
from visual_search.models import SearchIndex
from visual_search.retrieval import canary

logger = logging.getLogger("visual_search.indexing")

SECONDS = 8.0
"""A task works at most this long and then calls the next one, so that a stop or a deploy waits for nobody."""

DAY = 24 * 3600.0
"""Seconds after which the tasks of one night leave the rest to the next one's."""

STORAGE_PAUSE = 600.0
"""Seconds until a storage is asked again that does not answer: meanwhile the worker has other things to do."""

FAILED = 1
"""Status that a worker ends with where it can't go on."""


@shared_task(name=nudge.TASK, ignore_result=True)
def work() -> None:
    """Embed queued products for some seconds; nudge again where more is to be done.

    Where the encoder's device is lost for good, the worker process ends, and whoever supervises it starts a new one.
    """
    try:
        more = worker.run(seconds=SECONDS, stopped=_stopped)
    except EncoderError as error:
        if error.code != "encoder_device_lost":
            raise
        logger.critical("This worker ends: %s", error)
        # A thread's exit ends nothing: the flag has the worker itself stop.
        state.should_stop = FAILED  # type: ignore[assignment]
        raise WorkerShutdown(FAILED) from error
    if more:
        nudge.send()


def _stopped() -> bool:
    """Return whether the worker was told to end; a child of prefork isn't told, and works until its time is over."""
    return any(flag is not None and flag is not False for flag in (state.should_stop, state.should_terminate))


@shared_task(name="visual_search.sweep", ignore_result=True)
def sweep() -> None:
    """Wake a worker where work waits that no nudge announced; run it every minute."""
    sweeper.sweep()


@shared_task(name="visual_search.reconcile", ignore_result=True)
def reconcile(after: str | None = None, deep: bool = False, until: float | None = None) -> None:
    """Queue products that changed without a signal, some seconds' worth and then the next; run it every night."""
    until = time.time() + DAY if until is None else until
    found = reconciler.reconcile(after=after, deep=deep, deadline=time.monotonic() + SECONDS)
    if found is None:
        logger.info("Another reconciliation is running: this one ends.")
    elif found.after is not None and time.time() >= until:
        logger.warning(
            "A reconciliation ends at product %s after a day, as the next one begins: run "
            "`manage.py visual_search reconcile`, which compares all products in a process of its own.",
            found.after,
        )
    elif found.after is not None:
        pause = STORAGE_PAUSE if found.away else 0.0
        reconcile.apply_async((str(found.after), deep, until), queue=conf.settings.QUEUE, countdown=pause)


@shared_task(name="visual_search.calibrate", ignore_result=True)
def calibrate() -> None:
    """Fit anew what a similarity means in the live index, since the shop has changed; run it every night."""
    index = SearchIndex.objects.using(conf.settings.DATABASE).live()
    if index is not None:
        calibration.calibrate(index, seconds=SECONDS)


@shared_task(name="visual_search.prune", ignore_result=True)
def prune() -> None:
    """Delete recorded searches past their retention, some seconds' worth and then the next; run it every night."""
    deadline = time.monotonic() + SECONDS
    if events.prune(deadline=deadline) and time.monotonic() >= deadline:
        prune.apply_async(queue=conf.settings.QUEUE)


@shared_task(name="visual_search.recall", ignore_result=True)
def recall() -> None:
    """Compare HNSW with exact search on some of the shop's products; run it every night."""
    with suppress(NoLiveIndex):
        canary.measure(deadline=time.monotonic() + SECONDS)
