from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests import factories
from visual_search.models import ProductEmbedding, Refill

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed: `make browser` installs it."),
]


@pytest.fixture
def window(chromium: Any, live_server: Any) -> Iterator[Any]:
    """Yield a function that opens an address of the site in a browser of its own, signed in as an administrator."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}

    def opened(name: str, **options: Any) -> Any:
        context = chromium.new_context(**options)
        context.add_cookies([cookie])
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(live_server.url + reverse(name))
        return page

    yield opened
    for context in chromium.contexts:
        context.close()


def test_reindex__shows_the_progress_as_it_happens(window: Any) -> None:
    for _ in range(2):
        factories.product()
    factories.product(pictures=[b"no picture at all"])
    factories.embed()
    ProductEmbedding.objects.update(updated_at="2026-01-01T00:00Z")
    page = window("admin:visual_search_reindex")
    status, note = page.locator("[data-vs-said]"), page.locator("[data-vs-absent]")
    assert status.inner_text() == "Everything is embedded."

    page.get_by_role("button", name="Queue every product").click()
    page.get_by_text("A worker queues every product, for 1 index.").wait_for()
    assert page.locator("[data-vs-word=done]").inner_text() == "0 of 3 products"
    assert note.is_hidden()
    Refill.objects.update(moved_at="2026-01-01T00:00Z")
    note.wait_for(state="visible")

    factories.embed()

    page.locator("[data-vs-finished=true]").wait_for()
    assert status.inner_text() == "Everything is embedded."
    assert note.is_hidden()
    assert page.locator("[data-vs-word=done]").inner_text() == "3 of 3 products"
    assert page.locator("progress").evaluate("bar => bar.value / bar.max") == 1
    assert page.locator("[data-vs-error]").inner_text() == ProductEmbedding.objects.get(state="failed").error_message
    assert page.errors == []


def test_reindex__stops_asking_once_all_is_done(window: Any) -> None:
    factories.product()
    factories.embed()
    page = window("admin:visual_search_reindex")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.wait_for_timeout(1_500)

    assert asked == []


def test_reindex__tells_of_an_index_that_a_worker_creates(window: Any) -> None:
    factories.product()
    page = window("admin:visual_search_reindex")
    assert page.locator("[data-vs-index]").count() == 0

    factories.embed()

    page.locator("[data-vs-index]").wait_for()
    assert page.errors == []


def test_reindex__works_without_scripts(window: Any) -> None:
    factories.product()
    factories.embed()
    page = window("admin:visual_search_reindex", java_script_enabled=False)

    page.get_by_role("button", name="Queue every product").click()
    assert page.locator("[data-vs-word=queued]").inner_text() == "1"
    factories.embed()
    page.get_by_role("link", name="Reload").click()

    assert page.locator("[data-vs-word=done]").inner_text() == "1 of 1 product"


def test_reindex__says_so_when_signed_out(window: Any) -> None:
    page = window("admin:visual_search_reindex")

    page.context.clear_cookies()

    page.get_by_text("You are signed out, or lost the permission. Reload the page.").wait_for()


@pytest.mark.parametrize(
    "name",
    [
        "visual_search_reindex",
        "visual_search_analytics",
        "visual_search_explain",
        "visual_search_searchindex_changelist",
    ],
)
def test_pages__fit_a_phone(window: Any, name: str) -> None:
    factories.product()
    factories.embed()
    page = window(f"admin:{name}", viewport={"width": 360, "height": 700})

    assert page.evaluate("document.documentElement.scrollWidth") == 360
