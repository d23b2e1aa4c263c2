"""Wake a worker up. A nudge may be lost without harm; it must never harm the save that sent it."""

from __future__ import annotations

import logging
import time

from celery import current_app
from django.db import connections, transaction
from kombu import Connection, pools

from visual_search import conf

logger = logging.getLogger("visual_search.nudge")

TASK = "visual_search.work"
"""Name of the task that a nudge calls."""

SLOW = 0.2
"""Seconds that a publish may take before the breaker opens."""

PAUSE = 30.0
"""Seconds for which an open breaker sends nothing."""

_closed_from = 0.0


def after_commit(*, using: str) -> None:
    """Send one nudge when the transaction on `using` commits, however often this is called in it."""
    if not any(entry[1] is send for entry in connections[using].run_on_commit):
        transaction.on_commit(send, using=using, robust=True)


def send() -> bool:
    """Publish a nudge unless the breaker is open; return whether it went out. Never raises."""
    global _closed_from
    if time.monotonic() < _closed_from:
        return False
    started = time.monotonic()
    try:
        with pools.producers[_connection()].acquire(block=True, timeout=SLOW) as producer:
            current_app.send_task(TASK, queue=conf.settings.QUEUE, producer=producer, retry=False, ignore_result=True)
    except Exception as error:
        _closed_from = time.monotonic() + PAUSE
        logger.warning("The broker did not take a nudge (%s); none are sent for %.0f s.", error, PAUSE)
        return False
    if time.monotonic() - started > SLOW:
        _closed_from = time.monotonic() + PAUSE
        logger.warning("The broker is slow; no nudges are sent for %.0f s.", PAUSE)
    return True


def _connection() -> Connection:
    """Return a connection to the broker that gives up soon, whatever the project's own time-outs are."""
    # Only Redis' transport knows them; the others get by with the time-out for connecting.
    options = {"socket_timeout": SLOW, "socket_connect_timeout": SLOW}
    impatient = options if str(current_app.conf.broker_url or "").startswith(("redis", "sentinel")) else {}
    return current_app.connection_for_write(connect_timeout=SLOW, transport_options=impatient)
