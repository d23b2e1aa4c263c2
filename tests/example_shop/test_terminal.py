from __future__ import annotations

import io

import pytest
from django.core.management.base import OutputWrapper

from example_shop import terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line__of_a_log_has_a_line_per_five_per_cent() -> None:
    log = io.StringIO()
    line = terminal.ProgressLine(OutputWrapper(log), "Drawing")
    line.say("starting")
    for done in range(201):
        line.show(done, 200)
    line.close()
    lines = log.getvalue().splitlines()
    assert lines == [f"Drawing  {done} of 200  {done // 2} %" for done in range(0, 201, 10)]


def test_progress_line__of_a_terminal_is_rewritten_and_ends_with_a_new_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    screen = Screen()
    line = terminal.ProgressLine(OutputWrapper(screen), "Embedding")
    line.say("the worker is starting")
    line.show(1, 4, note="12 pictures/s, 3 s left")
    line.close()
    line.close()
    assert screen.getvalue() == ("\r\x1b[2KEmbedding  the worker is star\r\x1b[2KEmbedding  1 of 4  25 %  12 p\n")


def test_progress_line__of_nothing_to_do_is_done() -> None:
    log = io.StringIO()
    terminal.ProgressLine(OutputWrapper(log), "Embedding").show(0, 0)
    assert log.getvalue() == "Embedding  0 of 0  100 %\n"
