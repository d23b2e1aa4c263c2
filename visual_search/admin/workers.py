"""What the pages say about workers."""

from __future__ import annotations

from celery import current_app
from django.conf import settings as django_settings
from django.utils.translation import gettext_lazy as _

from visual_search import conf
from visual_search.indexing.generations.activity import Activity

WORDS = {
    Activity.IDLE: _("Everything is embedded."),
    Activity.WORKING: _("A worker is at it."),
    Activity.WAITING: _("Waiting for a worker to take it."),
    Activity.PAUSED: _("The rest could not be read and is tried again in a while."),
    Activity.ABSENT: _("No worker seems to be taking work."),
}


def commands() -> list[str]:
    """Return the commands that embed what is queued: a worker that stays, and one run in a terminal."""
    project = current_app.main or django_settings.ROOT_URLCONF.partition(".")[0]
    return [
        f"celery -A {project} worker --queues {conf.settings.QUEUE} --pool solo",
        "python manage.py visual_search sync",
    ]
