from __future__ import annotations

from django.apps import AppConfig


class ZshopConfig(AppConfig):
    """A shop whose label sorts after visual_search, and whose products appear in its second migration."""

    name = "tests.zshop"
    label = "zshop"
    default_auto_field = "django.db.models.BigAutoField"
