"""Progress in a terminal: one line that is rewritten, or one line per 5 % where nobody watches."""

from __future__ import annotations

from typing import Any

from visual_search.indexing import hnsw, progress

WIDTH = 28


class ProgressLine:
    """Write progress to `stream` (an OutputWrapper or a file)."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.live = bool(getattr(stream, "isatty", lambda: False)())
        self.step = -1
        self.said = ""

    def show(self, state: progress.Progress, building: hnsw.Build | None = None) -> None:
        """Show `state`, or the HNSW index being built; off a terminal only at every 5 %."""
        if self.live:
            said = describe(state)
            if building is not None:
                said = f"{said}; HNSW: {building.phase}, {building.done} of {building.total}"
            self._write(f"\r\x1b[2K{said}")
        elif (step := int(state.fraction * 20)) != self.step:
            self.step = step
            self._line(describe(state))

    def finish(self, state: progress.Progress) -> None:
        """Show `state` as the last line."""
        if self.live:
            self._write(f"\r\x1b[2K{describe(state)}\n")
        else:
            self._line(describe(state))

    def _line(self, said: str) -> None:
        if said != self.said:
            self.said = said
            self._write(f"{said}\n")

    def _write(self, text: str) -> None:
        # Past OutputWrapper, which would end the line.
        stream = getattr(self.stream, "_out", self.stream)
        stream.write(text)
        stream.flush()


def describe(state: progress.Progress) -> str:
    """Return `state` as one line of text."""
    filled = round(state.fraction * WIDTH)
    bar = "#" * filled + "." * (WIDTH - filled)
    text = f"[{bar}] {state.fraction:4.0%}  {state.done}/{state.listed} products, {state.ready} pictures"
    if state.failed:
        text += f", {state.failed} failed"
    if state.queued and state.rate:
        text += f", {state.rate:.0f}/s"
    if state.queued and state.seconds_left:
        text += f", {duration(state.seconds_left)} left"
    return text


def duration(seconds: float) -> str:
    """Return `seconds` as people say them: "40 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
