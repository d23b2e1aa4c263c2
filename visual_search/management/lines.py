"""Progress in a terminal: one line that is rewritten, or one line per 5 % where nobody watches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from visual_search.indexing.generations import hnsw, progress

WIDTH = 28

STEPS = 20
"""Lines that a log gets on the way from nothing to all."""


class ProgressLine:
    """Write progress to `stream` (an OutputWrapper or a file)."""

    def __init__(self, stream: Any) -> None:
        # Past OutputWrapper, which would end the line.
        self._stream = getattr(stream, "_out", stream)
        self._rewrites = bool(getattr(stream, "isatty", lambda: False)())
        self._step = -1
        self._said = ""

    def show(self, text: str, *, share: float) -> None:
        """Show `text`, which says that `share` (0 to 1) is done."""
        if self._rewrites:
            self.say(text)
        elif (step := int(round(share * STEPS, 6))) != self._step:
            self._step = step
            self._line(text)

    def counting(self, label: str) -> Callable[..., None]:
        """Return a function of `done` and `total` that shows "Drawing  120 of 264  45 %", and a `note` after it."""

        def count(done: int, total: int, *, note: str = "") -> None:
            percent = 100 * done // total if total else 100
            text = "  ".join(part for part in (label, f"{done} of {total}", f"{percent} %", note) if part)
            self.show(text, share=done / total if total else 1.0)

        return count

    def say(self, text: str) -> None:
        """Show `text` in place of figures: on a terminal always, in a log not at all."""
        if self._rewrites:
            columns = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[2K{text[: columns - 1]}")
            self._said = text

    def close(self, text: str = "") -> None:
        """Show `text` as the last line, where there is one, and start what follows on a line of its own."""
        if not self._rewrites:
            self._line(text or self._said)
            return
        if text:
            self.say(text)
        if self._said:
            self._write("\n")
            self._said = ""

    def _line(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def describe(state: progress.Progress, building: hnsw.Build | None = None) -> str:
    """Return `state`, and the HNSW index that is being built, as one line of text."""
    filled = round(state.fraction * WIDTH)
    bar = "#" * filled + "." * (WIDTH - filled)
    text = f"[{bar}] {state.fraction:4.0%}  {state.done}/{state.listed} products, {state.ready} pictures"
    if state.failed:
        text += f", {state.failed} failed"
    if state.queued and state.rate:
        text += f", {state.rate:.0f}/s"
    if state.queued and state.seconds_left:
        text += f", {duration(state.seconds_left)} left"
    if building is not None:
        text += f"; HNSW: {building.phase}, {building.done} of {building.total}"
    return text


def duration(seconds: float) -> str:
    """Return `seconds` as people say them: "40 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
