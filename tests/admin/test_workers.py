from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from tests import factories
from visual_search.admin import workers
from visual_search.indexing import changes, lifecycle, queue
from visual_search.models import QueuedProduct, SearchIndex

pytestmark = pytest.mark.django_db


def activity(rate: float = 0.0) -> workers.Activity:
    return workers.activity(rate=rate)


@pytest.fixture
def queued() -> SearchIndex:
    """Return the live index, with one product queued for it."""
    factories.product()
    index = factories.embed()
    assert index is not None
    assert changes.queue_all(index) == 1
    return index


def test_activity__with_nothing_to_do() -> None:
    assert activity() == "idle"
    factories.product()
    factories.embed()
    assert activity(rate=3.0) == "idle"


def test_activity__with_a_worker(queued: SearchIndex) -> None:
    assert activity(rate=0.1) == "working"
    assert activity() == "absent"
    assert len(queue.claim(1)) == 1
    assert activity() == "working"


def test_activity__after_a_worker_died(queued: SearchIndex) -> None:
    queue.claim(1)
    QueuedProduct.objects.update(lease_until=Now() - timedelta(seconds=1))

    assert activity() == "absent"


@pytest.mark.parametrize("lock", ["visual_search.fit", "visual_search.complete"])
def test_activity__while_an_index_is_fitted_or_completed(lock: str) -> None:
    index = lifecycle.create()
    assert activity() == "absent"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s), %s)", [lock, index.pk])

    assert activity() == "working"


def test_activity__right_after_something_was_queued_in_the_admin(queued: SearchIndex) -> None:
    user = User.objects.create_user("staff")
    entry = LogEntry.objects.log_actions(user.pk, [queued], 2, "Queued.", single_object=True)
    assert activity() == "waiting"

    LogEntry.objects.filter(pk=entry.pk).update(action_time=timezone.now() - timedelta(seconds=61))

    assert activity() == "absent"


def test_activity__while_everything_left_is_put_off(queued: SearchIndex) -> None:
    queue.release(queue.claim(1), seconds=30)

    assert activity() == "paused"


def test_activity__with_a_save_that_nobody_took(queued: SearchIndex) -> None:
    QueuedProduct.objects.all().delete()
    factories.product()

    assert activity() == "absent"


def test_commands__name_the_project_and_its_queue(settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "QUEUE": "pictures"}

    assert workers.commands() == [
        "celery -A example_shop worker --queues pictures --pool solo",
        "python manage.py visual_search sync",
    ]
