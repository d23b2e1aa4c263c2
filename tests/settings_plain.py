"""The example shop without drf-spectacular, which is not needed."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "drf_spectacular"]
REST_FRAMEWORK: dict[str, str] = {}
ROOT_URLCONF = "tests.urls_plain"
