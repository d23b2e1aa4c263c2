"""Another database session for tests: what holds a lock, or a transaction open, while the test goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import connection, transaction

from visual_search import catalog


@contextmanager
def within(block: AbstractContextManager[Any]) -> Iterator[threading.Event]:
    """Enter `block` in a session of its own and stay there, until the event is set or the test's own block ends."""
    entered, done = threading.Event(), threading.Event()

    def stay() -> None:
        try:
            with block:
                entered.set()
                done.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=stay)
    thread.start()
    try:
        assert entered.wait(10)
        yield done
    finally:
        done.set()
        thread.join()


@contextmanager
def locking_all() -> Iterator[None]:
    """Lock every product in a transaction, as a shop that is closing its books."""
    with transaction.atomic():
        list(catalog.product_model()._default_manager.select_for_update())
        yield
