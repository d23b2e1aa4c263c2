from __future__ import annotations

import io
import time
from typing import Any

import pytest
from django.db import connection

from tests import factories
from visual_search.indexing.generations import lifecycle
from visual_search.management import filling

pytestmark = pytest.mark.django_db


def test_until_empty__spends_a_tenth_of_its_time_on_saying_how_far_it_is() -> None:
    for _ in range(50):
        factories.product()
    index = lifecycle.create([{"name": "tests.faults.encoders.Slow", "seconds": 0.08}])
    looks = 0

    def slow(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal looks
        if "recent AS" in sql:
            looks += 1
            time.sleep(0.3)
        return execute(sql, *rest)

    with connection.execute_wrapper(slow):
        state = filling.until_empty(io.StringIO(), index)

    assert (state.listed, state.ready) == (50, 50)
    # After the first slice and the second, which is longer; once all is embedded; once the index is complete.
    assert looks <= 4
