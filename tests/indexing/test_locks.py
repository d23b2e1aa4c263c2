from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from visual_search.indexing import locks

pytestmark = pytest.mark.django_db(transaction=True)


def free_elsewhere() -> bool:
    found: list[bool] = []

    def ask() -> None:
        with locks.alone("a lock", 3) as alone:
            found.append(alone)
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def test_alone__may_be_taken_again_within_and_is_free_afterwards() -> None:
    with locks.alone("a lock", 3) as outer, locks.alone("a lock", 3) as inner:
        assert (outer, inner, free_elsewhere()) == (True, True, False)
    assert free_elsewhere()


def test_alone__is_free_where_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), locks.in_turn("a lock", 3):
        raise ZeroDivisionError
    assert free_elsewhere()


def test_alone__is_free_where_it_could_not_be_given_back() -> None:
    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        return execute("SELECT 1 / 0" if "unlock" in sql else sql, *rest)

    with connection.execute_wrapper(refuse), locks.alone("a lock", 3) as alone:
        assert alone
    assert free_elsewhere()


def test_alone__says_where_the_lock_is_another_sessions(caplog: pytest.LogCaptureFixture) -> None:
    with locks.alone("a lock", 3), connection.cursor() as cursor:
        # As a pooler does that hands out another connection for the next transaction.
        cursor.execute("SELECT pg_advisory_unlock_all()")
    assert "pooler" in caplog.text
