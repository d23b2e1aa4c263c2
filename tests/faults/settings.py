"""The test settings, with encoders, storage and clock of a process set by its environment: only processes use these."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, VISUAL_SEARCH

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults"]

VISUAL_SEARCH = {
    **VISUAL_SEARCH,
    "QUEUE": os.environ.get("FAULT_QUEUE", "visual_search"),
    "ENCODERS": json.loads(os.environ.get("FAULT_ENCODERS", '["tiny"]')),
}

if storage := os.environ.get("FAULT_STORAGE"):
    STORAGES = {
        "default": {"BACKEND": storage},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
