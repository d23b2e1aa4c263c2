from __future__ import annotations

from typing import Any

from visual_search.admin import workers
from visual_search.indexing.generations import activity


def test_words__for_every_activity() -> None:
    assert set(workers.WORDS) == set(activity.Activity)


def test_commands__name_the_project_and_its_queue(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "QUEUE": "pictures"}

    assert workers.commands() == [
        "celery -A example_shop worker --queues pictures --pool solo",
        "python manage.py visual_search sync",
    ]
