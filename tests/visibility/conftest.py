from __future__ import annotations

from typing import Any

from tests.visibility import test_visibility


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many responses were judged, and how many of them showed what they must not."""
    judged = test_visibility.judged
    if judged:
        terminalreporter.section("visibility")
        terminalreporter.line(f"{judged['changes']} changes of products meanwhile")
        terminalreporter.line(f"{judged['responses']} responses, {judged['violations']} violations")
