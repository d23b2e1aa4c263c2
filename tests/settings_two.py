"""The example shop with two databases: its products and their vectors in Postgres, all else in SQLite."""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import DATA_DIR, DATABASES, VISUAL_SEARCH

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "accounts.sqlite3"},
    "shop": DATABASES["default"],
}
DATABASE_ROUTERS = ["tests.settings_two.Router"]

VISUAL_SEARCH = {**VISUAL_SEARCH, "DATABASE": "shop"}


class Router:
    apps = ("catalogue", "visual_search")

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "shop" if model._meta.app_label in self.apps else "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "shop") == (app_label in self.apps)
