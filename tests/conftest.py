from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connections

from tests import factories
from visual_search.indexing.generations import lifecycle, progress
from visual_search.indexing.intake import nudge, refills
from visual_search.retrieval import live

OF_THE_UUID_SHOP = django_settings.VISUAL_SEARCH["PRODUCT_MODEL"] == "zshop.Article"
BOTH_SHOPS = ("indexing", "retrieval", "zshop")
"""Folders of tests that any shop has to pass: `pytest --ds=tests.settings_uuid` runs these alone."""


ALONE = ("faults", "visibility")
"""Folders of tests that would disturb each other, on the same brokers."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    here = Path(__file__).parent
    folder = collection_path.relative_to(here).parts[:1] if collection_path.is_relative_to(here) else ()
    if OF_THE_UUID_SHOP:
        return True if folder and folder[0] not in BOTH_SHOPS else None
    return True if folder == ("zshop",) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what one shop will do for; begin with what takes longest."""
    if OF_THE_UUID_SHOP:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("one_shop")])
        items[:] = [item for item in items if not item.get_closest_marker("one_shop")]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.path.parent.name not in ALONE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a module's tests in one process, and those of the folders that are `ALONE` in one for all."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return "alone" if Path(path).parent.name in ALONE else path

    return Together(config, log)


@pytest.fixture(autouse=True)
def _own_media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    # Throttles count in the cache.
    cache.clear()


@pytest.fixture(autouse=True)
def _count_products_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # What another test's shop listed, in the same process.
    monkeypatch.setattr(progress, "LISTED_KEPT", 0)
    monkeypatch.setattr(progress, "_kept_until", 0.0)


@pytest.fixture(autouse=True)
def _nothing_kept_from_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    live.keep(None)
    monkeypatch.setattr(refills, "_not_before", 0.0)
    monkeypatch.setattr(nudge, "_closed_from", 0.0)


@pytest.fixture(autouse=True)
def _no_simulated_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each index of 20 products and more would take some seconds for them.
    monkeypatch.setattr(lifecycle, "CALIBRATION_SECONDS", 0.0)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Yield a browser without windows, one for the tests of a module: starting it takes longer than most of them."""
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, and Django refuses queries beside one.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        try:
            yield browser
            browser.close()
        finally:
            # Beside an event loop Django keeps a second connection, which would be in the way of dropping the database.
            connections.close_all()


@pytest.fixture
def embed() -> Callable[[], Any]:
    """Return a function that runs the worker until nothing is due, and returns the live index."""
    return factories.embed
