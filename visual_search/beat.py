"""What has to run regularly: `CELERY_BEAT_SCHEDULE = {**visual_search.beat.SCHEDULE, ...}`.

Imports nothing of Django's, so that a settings module can import it. Without a beat, cron can run
`manage.py visual_search sweep` and `reconcile`.
"""

from __future__ import annotations

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "visual_search.sweep": {
        "task": "visual_search.sweep",
        "schedule": 60.0,
        # One that nobody took is worth nothing when the next is due.
        "options": {"queue": "visual_search", "expires": 60},
    },
    "visual_search.reconcile": {
        "task": "visual_search.reconcile",
        "schedule": crontab(hour=3, minute=30),
        "options": {"queue": "visual_search", "expires": 6 * 3600},
    },
    "visual_search.recall": {
        "task": "visual_search.recall",
        "schedule": crontab(hour=4, minute=30),
        "options": {"queue": "visual_search", "expires": 6 * 3600},
    },
}
