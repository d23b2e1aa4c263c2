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
_warm = False


def after_commit(*, using: str) -> None:
    """Send one nudge when the transaction on `using` commits, however often this is called in it."""
    if not any(entry[1] is send for entry in connections[using].run_on_commit):
        transaction.on_commit(send, using=using, robust=True)


def send() -> bool:
    """Publish a nudge unless the breaker is open; return whether it went out. Never raises."""
    global _closed_from, _warm
    if time.monotonic() < _closed_from:
        return False
    started = time.monotonic()
    try:
        if not _warm:
            # A process's first imports take as long as a broker may: they are not its fault.
            _connection().get_transport_cls()
            _warm, started = bool(current_app.amqp), time.monotonic()
        try:
            _publish()
        except Exception:
            if time.monotonic() - started > SLOW / 2:
                raise
            # A pooled connection may be older than the broker's last restart; the one after it is new.
            _publish()
    except Exception as error:
        _closed_from = time.monotonic() + PAUSE
        logger.warning("The broker did not take a nudge (%s); none are sent for %.0f s.", error, PAUSE)
        return False
    if time.monotonic() - started > SLOW:
        _closed_from = time.monotonic() + PAUSE
        logger.warning("The broker is slow; no nudges are sent for %.0f s.", PAUSE)
    return True


def _publish() -> None:
    with pools.producers[_connection()].acquire(block=True, timeout=SLOW) as producer:
        current_app.send_task(TASK, queue=conf.settings.QUEUE, producer=producer, retry=False, ignore_result=True)


def _connection() -> Connection:
    """Return a connection to the broker that gives up soon, whatever the project's own time-outs are."""
    kind = str(current_app.conf.broker_write_url or "").partition(":")[0].partition("+")[0]
    return current_app.connection_for_write(connect_timeout=SLOW, transport_options=_IMPATIENT.get(kind, {}))


# Else kombu sleeps for two seconds before it takes the first refusal for one.
_AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
_OF_REDIS = {"socket_timeout": SLOW, "socket_connect_timeout": SLOW, **_AT_ONCE}
_OF_AMQP = {"write_timeout": SLOW, **_AT_ONCE}
_IMPATIENT: dict[str, dict[str, float]] = {
    "redis": _OF_REDIS, "rediss": _OF_REDIS, "sentinel": _OF_REDIS,
    "amqp": _OF_AMQP, "amqps": _OF_AMQP, "pyamqp": _OF_AMQP,
}  # fmt: skip
"""Options that bound what comes after connecting; each transport knows only its own."""
