from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from tests import factories
from visual_search.indexing.generations import gate, lifecycle
from visual_search.models import SearchIndex

pytestmark = pytest.mark.django_db

LIST = "admin:visual_search_searchindex_changelist"


def activate(index: SearchIndex) -> str:
    return reverse("admin:visual_search_activate", args=[index.pk])


def change(index: SearchIndex) -> str:
    return reverse("admin:visual_search_searchindex_change", args=[index.pk])


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def two() -> tuple[SearchIndex, SearchIndex]:
    """Return the live index and one that is ready."""
    factories.product()
    factories.product(pictures=[b"no picture at all"])
    live = factories.embed()
    assert live is not None
    ready = lifecycle.create()
    factories.embed()
    ready.refresh_from_db()
    assert (live.state, ready.state) == ("live", "ready")
    return live, ready


def test_list__counts_products_and_pictures(two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]) -> None:
    live, ready = two

    page = staff("view_searchindex").get(reverse(LIST))

    assert [(index.pk, index.counts) for index in page.context["cl"].result_list] == [
        (ready.pk, {"index": ready.pk, "products": 2, "ready": 1, "failed": 1}),
        (live.pk, {"index": live.pk, "products": 2, "ready": 1, "failed": 1}),
    ]
    html = page.content.decode()
    assert 'class="vs-badge vs-badge-live"' in html
    assert f"?index__id__exact={live.pk}&amp;state__exact=failed" in html


def test_list__takes_as_many_queries_for_many_indexes_as_for_one(
    two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client], django_assert_num_queries: Any
) -> None:
    client = staff("view_searchindex")
    client.get(reverse(LIST))
    # Session, user, two of permissions, two of counts, rows, and what they count.
    with django_assert_num_queries(8):
        client.get(reverse(LIST))
    SearchIndex.objects.bulk_create([SearchIndex(encoders=["tiny"], state="retired") for _ in range(5)])
    with django_assert_num_queries(8):
        client.get(reverse(LIST))


def test_list__links_to_the_pages_that_a_user_may_open(staff: Callable[..., Client]) -> None:
    def links(*permissions: str) -> list[str]:
        html = staff(*permissions).get(reverse(LIST)).content.decode()
        names = ("reindex", "analytics")
        return [name for name in names if f'href="{reverse(f"admin:visual_search_{name}")}"' in html]

    assert links("view_searchindex") == []
    assert links("reindex") == ["reindex"]
    assert links("view_analytics") == ["analytics"]
    assert links("reindex", "view_analytics") == ["reindex", "analytics"]


def test_app_page__links_to_the_pages(staff: Callable[..., Client]) -> None:
    html = staff("reindex", "view_analytics").get(reverse("admin:app_list", args=["visual_search"])).content.decode()

    assert f'href="{reverse("admin:visual_search_reindex")}"' in html
    assert f'href="{reverse("admin:visual_search_analytics")}"' in html


def test_page__offers_to_activate_where_that_is_possible(
    two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]
) -> None:
    live, ready = two
    SearchIndex.objects.filter(pk=ready.pk).update(evaluation={"recall": 0.991})
    client = staff("activate_index")

    html = client.get(change(ready)).content.decode()

    assert "tiny (" in html
    assert "&quot;recall&quot;: 0.991" in html
    assert activate(ready) in html
    assert activate(live) not in client.get(change(live)).content.decode()
    assert activate(ready) not in staff("view_searchindex").get(change(ready)).content.decode()


def test_activate__asks_before_it_does(two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]) -> None:
    live, ready = two
    client = staff("activate_index")

    asked = client.post(reverse(LIST), {"action": "activate_selected", "_selected_action": [ready.pk]})
    assert asked.url == activate(ready)
    page = client.get(activate(ready))
    assert page.context["compared"] == [ready, live]
    assert SearchIndex.objects.live() == live

    done = client.post(activate(ready), follow=True)

    assert SearchIndex.objects.live() == ready
    assert done.redirect_chain == [(reverse(LIST), 302)]
    back = f'<a href="{activate(live)}">To go back, activate index {live} again.</a>'
    assert said(done) == [f"Index {ready} is live.", back]
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (str(ready.pk), "Activated.")


def test_activate__takes_no_longer_than_a_page_may(
    two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    live, ready = two
    SearchIndex.objects.filter(pk=ready.pk).update(evaluation=None)
    monkeypatch.setattr(lifecycle, "ACTIVATION_SECONDS", 0.0)

    client = staff("activate_index")

    done = client.post(activate(ready), follow=True)

    assert said(done)[0].endswith(
        "There was too little time to measure it. "
        f"`manage.py visual_search index evaluate {ready.pk}` takes it; what it finds holds for an hour."
    )
    assert SearchIndex.objects.live() == live
    gate.evaluate(ready)
    client.post(activate(ready))
    assert SearchIndex.objects.live() == ready


def test_activate__of_several_is_refused(two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]) -> None:
    chosen = {"action": "activate_selected", "_selected_action": [index.pk for index in two]}

    done = staff("activate_index").post(reverse(LIST), chosen, follow=True)

    assert said(done) == ["Select one index: only one can be live."]


def test_activate__of_an_index_that_is_not_ready(staff: Callable[..., Client]) -> None:
    index = lifecycle.create()
    client = staff("activate_index")

    assert "Yes, activate it" not in client.get(activate(index)).content.decode()
    done = client.post(activate(index), follow=True)

    assert said(done)[0].startswith(f"Index {index} is building; this is for one that is ready or previous.")
    assert not LogEntry.objects.exists()


def test_activate__of_the_live_index_changes_nothing(
    two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]
) -> None:
    live, _ready = two

    done = staff("activate_index").post(activate(live), follow=True)

    assert said(done) == [f"Index {live} is live already."]
    assert not LogEntry.objects.exists()


def test_activate__is_refused(
    client: Client, two: tuple[SearchIndex, SearchIndex], staff: Callable[..., Client]
) -> None:
    live, ready = two
    looker = staff("view_searchindex")

    assert client.post(activate(ready)).url.startswith("/admin/login/")
    assert looker.get(activate(ready)).status_code == 403
    assert looker.post(activate(ready)).status_code == 403
    assert staff("activate_index", enforce_csrf_checks=True).post(activate(ready)).status_code == 403
    assert staff("activate_index", "reindex").put(activate(ready)).status_code == 405
    assert "activate_selected" not in looker.get(reverse(LIST)).content.decode()
    looker.post(reverse(LIST), {"action": "activate_selected", "_selected_action": [ready.pk]})
    assert SearchIndex.objects.live() == live


def test_activate__of_an_unknown_index(staff: Callable[..., Client]) -> None:
    addresses = [reverse("admin:visual_search_activate", args=[key]) for key in (0, "none")]
    client = staff("activate_index")

    assert [client.get(each).status_code for each in addresses] == [404, 404]


def test_indexes__can_not_be_added_changed_or_deleted(admin_client: Client) -> None:
    index = lifecycle.create()

    assert admin_client.get(reverse("admin:visual_search_searchindex_add")).status_code == 403
    assert admin_client.post(change(index), {"state": "live"}).status_code == 403
    assert admin_client.post(reverse("admin:visual_search_searchindex_delete", args=[index.pk])).status_code == 403
    assert SearchIndex.objects.filter(pk=index.pk, state="building").exists()
