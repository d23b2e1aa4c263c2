from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests import factories, sessions
from visual_search.indexing.intake import changes, refills
from visual_search.models import ProductEmbedding, QueuedProduct, Refill, SearchIndex

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(db: None) -> str:
    return reverse("admin:visual_search_reindex")


@pytest.fixture
def progress(db: None) -> str:
    return reverse("admin:visual_search_progress")


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def queued() -> list[tuple[int, int]]:
    return sorted(QueuedProduct.objects.values_list("product_id", "priority"))


def test_page__changes_nothing_on_get(address: str, staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()

    response = staff("reindex").get(address)

    assert response.status_code == 200
    assert queued() == []
    assert not LogEntry.objects.exists()


def test_queue__holds_every_product_at_bulk_priority(address: str, staff: Callable[..., Client]) -> None:
    first, second = factories.product(), factories.product()
    index = factories.embed()

    done = staff("reindex").post(address, follow=True)

    assert done.redirect_chain == [(address, 302)]
    assert said(done) == ["A worker queues every product, for 1 index."]
    assert refills.go_on()
    assert queued() == [(first.pk, 10), (second.pk, 10)]
    assert not ProductEmbedding.objects.filter(source_sha256="").exists()
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.get_change_message()) == (str(index.pk), "Queued every product.")


def test_queue__is_for_every_kept_index(address: str, staff: Callable[..., Client]) -> None:
    factories.product()
    live = factories.embed()
    ready = SearchIndex.objects.create(encoders=["tiny"], state="ready")
    retired = SearchIndex.objects.create(encoders=["tiny"], state="retired")

    done = staff("reindex").post(address, follow=True)

    assert said(done) == ["A worker queues every product, for 2 indexes."]
    while refills.go_on():
        pass
    assert set(QueuedProduct.objects.values_list("index_id", flat=True)) == {live.pk, ready.pk}
    assert not QueuedProduct.objects.filter(index=retired).exists()


def test_queue__encodes_unchanged_pictures_again_when_asked(address: str, staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()
    original = ProductEmbedding.objects.values_list("embedding", flat=True).get()
    client = staff("reindex")

    def embeds(**options: str) -> bool:
        ProductEmbedding.objects.update(embedding=[0.5] * len(original))
        client.post(address, options)
        factories.embed()
        return ProductEmbedding.objects.values_list("embedding", flat=True).get() == original

    assert not embeds()
    assert embeds(encode_again="on")
    assert LogEntry.objects.first().get_change_message() == "Queued every product, unchanged pictures too."


@pytest.mark.django_db(transaction=True)
def test_queue__lists_and_waits_for_no_product(
    address: str, staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(after: str | None = None) -> list[Any]:
        raise AssertionError("nobody waits for that")

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    product = factories.product()
    index: Any = factories.embed()
    client = staff("reindex")

    with sessions.within(sessions.locking_all()), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        with monkeypatch.context() as patch:
            patch.setattr(changes, "wanted", fail)
            assert client.post(address).status_code == 302
        cursor.execute("RESET lock_timeout")

    assert queued() == []
    assert Refill.objects.get().index == index
    factories.embed()
    assert not Refill.objects.exists()
    assert product.pk in ProductEmbedding.objects.values_list("product_id", flat=True)


def test_queue__creates_the_first_index(address: str, staff: Callable[..., Client]) -> None:
    product = factories.product()
    client = staff("reindex")
    assert "There is no index yet." in client.get(address).content.decode()

    client.post(address)

    assert SearchIndex.objects.get().state == "building"
    assert refills.go_on()
    assert queued() == [(product.pk, 10)]


def test_queue__with_every_index_retired(address: str, staff: Callable[..., Client]) -> None:
    SearchIndex.objects.create(encoders=["tiny"], state="retired")

    done = staff("reindex").post(address, follow=True)

    assert said(done) == ["Every index is retired, so none wants products. Create one first."]
    assert not LogEntry.objects.exists()


def test_page__is_refused(address: str, progress: str, client: Client, staff: Callable[..., Client]) -> None:
    looker = staff("view_searchindex", "activate_index", "view_analytics")
    signed_in = staff("reindex", enforce_csrf_checks=True)
    factories.product()
    factories.embed()

    for each in (address, progress):
        assert client.get(each).url.startswith("/admin/login/")
        assert looker.get(each).status_code == 403
    assert client.post(address).url.startswith("/admin/login/")
    assert looker.post(address).status_code == 403
    assert signed_in.post(address).status_code == 403
    assert signed_in.get(address).status_code == 200
    assert staff("reindex", "view_searchindex").post(progress).status_code == 405
    assert staff("reindex", "activate_index").delete(address).status_code == 405
    assert queued() == []


def test_progress__says_how_far_each_index_is(address: str, progress: str, staff: Callable[..., Client]) -> None:
    factories.product()
    bad = factories.product(pictures=[b"no picture at all"])
    index = factories.embed()
    client = staff("reindex")
    error = ProductEmbedding.objects.get(product=bad).error_message
    ProductEmbedding.objects.update(updated_at="2026-01-01T00:00Z")

    response = client.get(progress)

    assert "no-store" in response.headers["Cache-Control"]
    line = {
        "id": index.pk,
        "name": f"#{index.pk} tiny",
        "state": "live",
        "listed": 2,
        "done": 2,
        "queued": 0,
        "ready": 1,
        "failed": 1,
        "rate": 0.0,
        "last_error": error,
        "words": {
            "state": "live",
            "done": "2 of 2 products",
            "queued": "0",
            "ready": "1",
            "failed": "1",
            "rate": "-",
            "left": "done",
        },
    }
    assert response.json() == {
        "finished": True,
        "worker": "idle",
        "said": "Everything is embedded.",
        "indexes": [line],
    }

    client.post(address)
    words = line["words"] | {"done": "0 of 2 products", "queued": "2", "left": "not known yet"}
    assert client.get(progress).json() == {
        "finished": False,
        "worker": "waiting",
        "said": "Waiting for a worker to take it.",
        "indexes": [line | {"done": 0, "queued": 2, "words": words}],
    }


def test_page__says_that_no_worker_takes_work(address: str, staff: Callable[..., Client]) -> None:
    factories.product()
    client = staff("reindex")
    client.post(address)
    assert "data-vs-absent hidden" in client.get(address).content.decode()

    Refill.objects.update(moved_at="2026-01-01T00:00Z")

    html = client.get(address).content.decode()
    assert "data-vs-absent>" in html
    assert "celery -A example_shop worker --queues visual_search --pool solo" in html
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in html


def test_page__reloads_nothing_once_all_is_done(address: str, staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()

    html = staff("reindex").get(address).content.decode()

    assert "http-equiv" not in html
    assert 'data-vs-finished="true"' in html


def test_page__has_numbers_for_machines_in_any_language(
    address: str, staff: Callable[..., Client], settings: Any
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    index = SearchIndex.objects.create(pk=12345, encoders=["tiny"], state="building")

    with translation.override("de"):
        html = staff("reindex").get(address, headers={"accept-language": "de"}).content.decode()

    assert f'data-vs-index="{index.pk}"' in html


def test_pages__have_no_inline_code(address: str, staff: Callable[..., Client]) -> None:
    html = staff("reindex").get(address).content.decode()

    assert " style=" not in html
    assert " onclick=" not in html
    assert "<style" not in html
    assert html.count("<script") == html.count("<script src=") + html.count('<script type="module" src=')
