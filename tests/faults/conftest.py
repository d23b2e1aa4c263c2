from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.faults import brokers, harness
from visual_search.encoders import registry
from visual_search.indexing.intake import nudge

_FAULT = re.compile(r"test_(f\d\d)__")
_ran: dict[str, set[str]] = defaultdict(set)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what takes long to `make faults`."""
    if harness.EVERYTHING:
        return
    long = [item for item in items if item.get_closest_marker("faults")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if found := _FAULT.search(report.nodeid):
        _ran[found[1].upper()].add(report.outcome)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many faults were survived: those none of whose tests failed and one of them ran to its end."""
    if not _ran or not harness.EVERYTHING:
        return
    passed = {fault for fault, outcomes in _ran.items() if "failed" not in outcomes and "passed" in outcomes}
    here = ", ".join(broker for broker in brokers.QUEUES if brokers.answers(broker))
    terminalreporter.section("faults")
    terminalreporter.line(f"brokers: {here}")
    if lost := sorted(set(_ran) - passed):
        terminalreporter.line(f"not survived: {', '.join(lost)}")
    terminalreporter.line(f"faults survived {len(passed)}/{len(_ran)}")


@pytest.fixture(autouse=True)
def _from_nothing(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nudge, "_closed_from", 0.0)
    for broker in brokers.QUEUES:
        if brokers.answers(broker):
            brokers.flush(broker)
    registry._loaded.clear()
    yield
    harness.end_all()
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'visual_search_hnsw_%'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {name}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for logs and marks."""
    return tmp_path


@pytest.fixture(params=brokers.QUEUES)
def broker(request: pytest.FixtureRequest) -> str:
    """Return each broker that answers here."""
    name: str = request.param
    if not brokers.answers(name):
        pytest.skip(f"no {name} answers on port {brokers.PORTS[name]}")
    return name
