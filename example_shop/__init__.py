"""A shop that shows what django-visual-search does."""

from __future__ import annotations

from example_shop.celery import app as celery_app

__all__ = ["celery_app"]
