"""What a check says."""

from __future__ import annotations

from django.core import checks


def error(message: str, hint: str, number: str) -> checks.CheckMessage:
    """Return the error `number`: what was found, and what to do."""
    return checks.Error(message, hint=hint, obj="settings.VISUAL_SEARCH", id=f"visual_search.{number}")


def warning(message: str, hint: str, number: str) -> checks.CheckMessage:
    """Return the warning `number`, likewise."""
    return checks.Warning(message, hint=hint, obj="settings.VISUAL_SEARCH", id=f"visual_search.{number}")
