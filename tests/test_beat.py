from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from celery import current_app

from visual_search import beat, conf, tasks


def test_schedule__is_of_tasks_that_there_are() -> None:
    assert tasks.sweep.name in beat.SCHEDULE
    assert {entry["task"] for entry in beat.SCHEDULE.values()} <= set(current_app.tasks)


def test_schedule__has_all_that_has_to_run_regularly() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text()
    named = re.findall(r"^\| `(\w+)`, every (?:minute|night) \|", page, re.MULTILINE)

    assert {f"visual_search.{name}" for name in named} == set(beat.SCHEDULE)


def test_schedule__goes_to_the_workers_queue() -> None:
    assert {entry["options"]["queue"] for entry in beat.SCHEDULE.values()} == {conf.Settings.QUEUE}
    assert {entry["options"]["queue"] for entry in beat.schedule("pictures").values()} == {"pictures"}
    assert beat.schedule() == beat.SCHEDULE


def test_schedule__needs_no_settings() -> None:
    program = (
        "from visual_search import beat; from django.conf import settings\n"
        "print(len(beat.schedule()), settings.configured)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["5", "False"]
