from __future__ import annotations

import io

import pytest
from django.core.management.base import OutputWrapper

from visual_search.indexing.generations import hnsw, progress
from visual_search.management import lines


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line__of_a_log_has_a_line_per_five_per_cent() -> None:
    log = io.StringIO()
    line = lines.ProgressLine(OutputWrapper(log))
    line.say("starting")
    count = line.counting("Drawing")
    for done in range(201):
        count(done, 200)
    line.close()
    assert log.getvalue().splitlines() == [f"Drawing  {done} of 200  {done // 2} %" for done in range(0, 201, 10)]


def test_progress_line__of_a_log_ends_with_what_is_so_in_the_end() -> None:
    log = io.StringIO()
    line = lines.ProgressLine(log)
    for text, share in (("half", 0.5), ("a little more", 0.51), ("all", 1.0)):
        line.show(text, share=share)
    line.close("all")
    line.close("all, and 1 failed")
    assert log.getvalue() == "half\nall\nall, and 1 failed\n"


def test_progress_line__of_a_terminal_is_rewritten_and_ends_with_a_new_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    screen = Screen()
    line = lines.ProgressLine(OutputWrapper(screen))
    line.say("Embedding  the worker is starting")
    line.counting("Embedding")(1, 4, note="12 pictures/s, 3 s left")
    line.close()
    line.close()
    assert screen.getvalue() == "\r\x1b[2KEmbedding  the worker is star\r\x1b[2KEmbedding  1 of 4  25 %  12 p\n"


def test_progress_line__of_a_terminal_closes_with_a_last_line() -> None:
    screen = Screen()
    line = lines.ProgressLine(screen)
    line.close("done")
    assert screen.getvalue() == "\r\x1b[2Kdone\n"


@pytest.mark.parametrize(("done", "total", "said"), [(0, 0, "0 of 0  100 %"), (29, 100, "29 of 100  29 %")])
def test_progress_line__counts(done: int, total: int, said: str) -> None:
    log = io.StringIO()
    lines.ProgressLine(OutputWrapper(log)).counting("Embedding")(done, total)
    assert log.getvalue() == f"Embedding  {said}\n"


def test_describe__says_what_there_is_to_say() -> None:
    state = progress.Progress(listed=100, queued=75, ready=50, failed=2, rate=4.0, last_error="")
    building = hnsw.Build(phase="loading tuples", done=3, total=9)

    assert lines.describe(state) == (
        "[#######.....................]  25%  25/100 products, 50 pictures, 2 failed, 4/s, 39 s left"
    )
    assert lines.describe(
        progress.Progress(listed=1, queued=0, ready=1, failed=0, rate=0, last_error=""), building
    ) == ("[############################] 100%  1/1 products, 1 pictures; HNSW: loading tuples, 3 of 9")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "1 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3660, "1 h 1 min")]
)
def test_duration__is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert lines.duration(seconds) == said
