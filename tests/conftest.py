from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache

from tests import factories

OF_THE_UUID_SHOP = django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article"
BOTH_SHOPS = ("indexing", "retrieval", "zshop")
"""Folders of tests that any shop has to pass: `pytest --ds=tests.settings_uuid` runs these alone."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    here = Path(__file__).parent
    folder = collection_path.relative_to(here).parts[:1] if collection_path.is_relative_to(here) else ()
    if OF_THE_UUID_SHOP:
        return True if folder and folder[0] not in BOTH_SHOPS else None
    return True if folder == ("zshop",) else None


@pytest.fixture(autouse=True)
def _own_media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    # Throttles count in the cache.
    cache.clear()


@pytest.fixture
def embed() -> Callable[[], Any]:
    """Return a function that runs the worker until nothing is due, and returns the live index."""
    return factories.embed
