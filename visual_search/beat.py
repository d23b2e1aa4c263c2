"""What has to run regularly: `CELERY_BEAT_SCHEDULE = {**visual_search.beat.SCHEDULE, ...}`.

Imports nothing of Django's, so that a settings module can import it. Without a beat, cron can run
`manage.py visual_search sweep`, `reconcile`, `prune`, `index calibrate` and `recall`.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

NIGHT = 6 * 3600
"""Seconds after which what is due once a night waits for the next one."""


def schedule(queue: str = "visual_search") -> dict[str, dict[str, Any]]:
    """Return the entries for Celery's beat; `queue` is the setting QUEUE, where that was changed."""
    return {
        "visual_search.sweep": {
            "task": "visual_search.sweep",
            "schedule": 60.0,
            # One that nobody took is worth nothing when the next is due.
            "options": {"queue": queue, "expires": 60},
        },
        "visual_search.reconcile": {
            "task": "visual_search.reconcile",
            "schedule": crontab(hour=3, minute=30),
            "options": {"queue": queue, "expires": NIGHT},
        },
        "visual_search.prune": {
            "task": "visual_search.prune",
            "schedule": crontab(hour=3, minute=50),
            "options": {"queue": queue, "expires": NIGHT},
        },
        "visual_search.calibrate": {
            "task": "visual_search.calibrate",
            "schedule": crontab(hour=4, minute=0),
            "options": {"queue": queue, "expires": NIGHT},
        },
        "visual_search.recall": {
            "task": "visual_search.recall",
            "schedule": crontab(hour=4, minute=30),
            "options": {"queue": queue, "expires": NIGHT},
        },
    }


SCHEDULE = schedule()
