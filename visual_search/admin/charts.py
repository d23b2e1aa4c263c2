"""Geometry of a bar chart; the template draws it as SVG, the stylesheet colours it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STEPS = 4
"""Lines between the axis and the top."""

HEIGHT = 100
STRIDE = 10
WIDTH = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One series' piece of a bar; coordinates are strings, so that no locale puts a comma into them."""

    series: str
    y: str
    height: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The segments of one label, from the bottom up, and the words that say the same."""

    label: str
    title: str
    x: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A stacked bar chart in a box of `width` by 100; `ticks` are the values of its lines from the top down."""

    width: int
    bars: tuple[Bar, ...]
    ticks: tuple[int, ...]
    lines: tuple[str, ...]

    @property
    def bar_width(self) -> int:
        """Return the width of each bar."""
        return WIDTH

    @property
    def marks(self) -> tuple[str, ...]:
        """Return the labels that fit below the axis: all of up to seven, else the first, the middle and the last."""
        labels = tuple(bar.label for bar in self.bars)
        return labels if len(labels) <= 7 else (labels[0], labels[len(labels) // 2], labels[-1])


def stacked(labels: Sequence[str], series: Mapping[str, Sequence[int]], *, titles: Sequence[str]) -> Chart:
    """Return the chart of `series` (name -> one value a label), stacked in their order; `titles` describe the bars."""
    columns = list(zip(*series.values(), strict=True))
    top = ceiling(max(map(sum, columns), default=0))
    bars = []
    for place, (label, title, values) in enumerate(zip(labels, titles, columns, strict=True)):
        segments, filled = [], 0
        for name, value in zip(series, values, strict=True):
            filled += value
            if value:
                y, height = HEIGHT * (1 - filled / top), HEIGHT * value / top
                segments.append(Segment(series=name, y=f"{y:.2f}", height=f"{height:.2f}"))
        x = place * STRIDE + (STRIDE - WIDTH) / 2
        bars.append(Bar(label=label, title=title, x=f"{x:.2f}", segments=tuple(segments)))
    return Chart(
        width=max(len(bars), 1) * STRIDE,
        bars=tuple(bars),
        ticks=tuple(top * step // STEPS for step in range(STEPS, -1, -1)),
        lines=tuple(f"{HEIGHT * step / STEPS:.2f}" for step in range(STEPS)),
    )


def ceiling(value: int) -> int:
    """Return the least top from `value` whose lines, a `STEPS`-th apart, are at round numbers; at least `STEPS`."""
    unit = 1
    while True:
        for tenths in (10, 15, 20, 25, 30, 40, 50):
            step, rest = divmod(unit * tenths, 10)
            if not rest and value <= step * STEPS:
                return step * STEPS
        unit *= 10
