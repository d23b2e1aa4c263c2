from __future__ import annotations

import pytest

from visual_search.admin import charts


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 4), (4, 4), (5, 8), (9, 12), (20, 20), (21, 40), (41, 60), (200, 200), (201, 400), (401, 600), (1_001, 1_200)],
)
def test_ceiling__is_round_and_divides_into_round_steps(value: int, expected: int) -> None:
    assert charts.ceiling(value) == expected


def test_stacked__puts_the_series_on_top_of_each_other() -> None:
    chart = charts.stacked(["Mon", "Tue"], {"similar": [1, 0], "photo": [3, 2]}, titles=["first", "second"])

    assert chart == charts.Chart(
        width=20,
        bars=(
            charts.Bar(
                label="Mon",
                title="first",
                x="1.50",
                segments=(
                    charts.Segment(series="similar", y="75.00", height="25.00"),
                    charts.Segment(series="photo", y="0.00", height="75.00"),
                ),
            ),
            charts.Bar(
                label="Tue",
                title="second",
                x="11.50",
                segments=(charts.Segment(series="photo", y="50.00", height="50.00"),),
            ),
        ),
        ticks=(4, 3, 2, 1, 0),
        lines=("0.00", "25.00", "50.00", "75.00"),
    )


def test_stacked__of_nothing() -> None:
    chart = charts.stacked([], {"similar": []}, titles=[])

    assert (chart.bars, chart.marks, chart.ticks, chart.width) == ((), (), (4, 3, 2, 1, 0), 10)


@pytest.mark.parametrize(("days", "marks"), [(7, ("0", "1", "2", "3", "4", "5", "6")), (30, ("0", "15", "29"))])
def test_marks__are_no_more_than_fit(days: int, marks: tuple[str, ...]) -> None:
    labels = [str(day) for day in range(days)]

    assert charts.stacked(labels, {"similar": [1] * days}, titles=labels).marks == marks
