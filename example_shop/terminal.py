"""Show progress in a terminal: one line that is rewritten, or one line per 5 % where nobody watches."""

from __future__ import annotations

import shutil

from django.core.management.base import OutputWrapper

STEP = 5
"""Per cent between two lines in a log."""


class ProgressLine:
    """A line such as `Drawing  120 of 264  45 %`, for `label` and a total that may change on the way."""

    def __init__(self, out: OutputWrapper, label: str) -> None:
        self.out = out
        self.label = label
        self._rewrites = bool(out.isatty())
        self._open = False
        self._said = -1

    def show(self, done: int, total: int, *, note: str = "") -> None:
        """Say that `done` of `total` are done; `note` follows."""
        percent = 100 * done // total if total else 100
        text = "  ".join(part for part in (self.label, f"{done} of {total}", f"{percent} %", note) if part)
        if self._rewrites:
            self._rewrite(text)
        elif self._said < 0 or percent // STEP > self._said // STEP:
            self._said = percent
            self.out.write(text)

    def say(self, text: str) -> None:
        """Say `text` in place of figures: on a terminal always, in a log not at all."""
        if self._rewrites:
            self._rewrite(f"{self.label}  {text}")

    def close(self) -> None:
        """End the line, so that what follows starts on its own."""
        if self._open:
            self.out.write("")
            self._open = False

    def _rewrite(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns
        self.out.write(f"\r\x1b[2K{text[: columns - 1]}", ending="")
        self.out.flush()
        self._open = True
