from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories
from visual_search.admin import embeddings
from visual_search.indexing import worker
from visual_search.models import ProductEmbedding, QueuedProduct

pytestmark = pytest.mark.django_db

LIST = "admin:visual_search_productembedding_changelist"


def change(row: ProductEmbedding) -> str:
    return reverse("admin:visual_search_productembedding_change", args=[row.pk])


def again(row: ProductEmbedding) -> str:
    return reverse("admin:visual_search_embed_again", args=[row.pk])


def rows(client: Client, **query: str) -> list[tuple[Any, str]]:
    response = client.get(reverse(LIST), query)
    assert response.status_code == 200
    return sorted((row.product_id, row.state) for row in response.context["cl"].result_list)


def test_list__shows_what_became_of_each_picture(staff: Callable[..., Client]) -> None:
    good = factories.product(name="Red mug")
    factories.product(name="Broken", pictures=[b"no picture at all"])
    factories.embed()

    page = staff("view_productembedding").get(reverse(LIST))

    html = page.content.decode()
    assert "Red mug" in html
    assert f'src="{good.images.get().image.url}"' in html
    assert 'class="vs-badge vs-badge-ready"' in html
    assert 'class="vs-badge vs-badge-failed"' in html
    failed = ProductEmbedding.objects.get(state="failed")
    assert f">{failed.error_code}</code>" in html
    assert failed.source_name.endswith(".png")


@pytest.mark.urls("tests.admin.urls")
def test_list__links_to_the_shops_own_page(admin_client: Client, staff: Callable[..., Client]) -> None:
    product = factories.product()
    factories.embed()
    address = reverse(LIST, current_app="office")
    link = f'href="/office/catalogue/product/{product.pk}/change/"'

    assert link in admin_client.get(address).content.decode()
    assert link not in staff("view_productembedding").get(address).content.decode()


def test_list__takes_as_many_queries_for_many_rows_as_for_one(
    staff: Callable[..., Client], django_assert_num_queries: Any
) -> None:
    client = staff("view_productembedding")
    factories.product()
    factories.embed()
    client.get(reverse(LIST))

    # Session, user, two of permissions, count, rows, products, their pictures, indexes and error codes to filter by.
    with django_assert_num_queries(10) as few:
        client.get(reverse(LIST))
    for _ in range(8):
        factories.product(pictures=[factories.picture(), factories.picture("teal")])
    factories.embed()
    with django_assert_num_queries(10) as many:
        page = client.get(reverse(LIST))

    assert len(page.context["cl"].result_list) == 17
    assert not [query for query in few.captured_queries + many.captured_queries if '"embedding"' in query["sql"]]


def test_list__is_filtered_and_searched(staff: Callable[..., Client]) -> None:
    client = staff("view_productembedding")
    good = factories.product()
    # A key that is in no file's name.
    bad = factories.product(pk=720_415_093, pictures=[b"no picture at all"])
    factories.embed()
    code = ProductEmbedding.objects.get(product=bad).error_code
    file = ProductEmbedding.objects.get(product=good).source_name.rpartition("/")[2]

    assert rows(client) == [(good.pk, "ready"), (bad.pk, "failed")]
    assert rows(client, state__exact="failed") == [(bad.pk, "failed")]
    assert rows(client, error_code=code) == [(bad.pk, "failed")]
    assert rows(client, q=str(bad.pk)) == [(bad.pk, "failed")]
    assert rows(client, q=file) == [(good.pk, "ready")]
    assert rows(client, q=f"{file} nothing-like-it") == []
    assert rows(client, q="9" * 40) == []


def test_pages__survive_a_product_without_a_name(
    staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    product = factories.product(name="Red mug")
    factories.embed()
    monkeypatch.setattr("example_shop.catalogue.visual_search.ShopCatalog.title", lambda self, product: 1 / 0)
    client = staff("view_productembedding")

    for address in (reverse(LIST), change(ProductEmbedding.objects.get())):
        page = client.get(address)
        assert page.status_code == 200
        assert re.search(rf"\b{product.pk}\b", page.content.decode())
    assert f"failed for product {product.pk}" in caplog.text


def test_list__survives_a_catalog_that_fails(staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    factories.product(name="Red mug")
    factories.embed()
    monkeypatch.setattr("example_shop.catalogue.visual_search.ShopCatalog.images", lambda self, product: 1 / 0)

    page = staff("view_productembedding").get(reverse(LIST))

    assert page.status_code == 200
    assert "vs-no-picture" in page.content.decode()


def test_page__says_everything_but_the_vector(staff: Callable[..., Client], django_assert_max_num_queries: Any) -> None:
    product = factories.product(pictures=[b"no picture at all"])
    factories.embed()
    row = ProductEmbedding.objects.get(product=product)
    client = staff("view_productembedding")

    with django_assert_max_num_queries(12) as queries:
        page = client.get(change(row))

    html = page.content.decode()
    assert page.status_code == 200
    assert all(text in html for text in (row.error_code, row.error_message, row.source_name, row.source_sha256))
    assert 'name="_save"' not in html
    assert not [query for query in queries.captured_queries if '"embedding"' in query["sql"]]


def test_page__of_a_ready_picture_has_no_part_on_errors(staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()
    row = ProductEmbedding.objects.get()

    html = staff("view_productembedding").get(change(row)).content.decode()

    assert f"tiny {row.part_lengths[0]:.3f}" in html
    assert "vs-large" in html
    assert "field-error_message" not in html


def test_pages__refuse_who_may_not_see_them(client: Client, staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()
    row = ProductEmbedding.objects.get()

    for address in (reverse(LIST), change(row)):
        assert client.get(address).status_code == 302
        assert staff("view_analytics").get(address).status_code == 403 if address == reverse(LIST) else True
        assert Client().post(address).status_code == 302


def test_rows__can_not_be_added_changed_or_deleted(admin_client: Client) -> None:
    factories.product()
    factories.embed()
    row = ProductEmbedding.objects.get()

    assert admin_client.get(reverse("admin:visual_search_productembedding_add")).status_code == 403
    assert admin_client.post(change(row), {"state": "failed"}).status_code == 403
    assert admin_client.post(reverse("admin:visual_search_productembedding_delete", args=[row.pk])).status_code == 403
    assert ProductEmbedding.objects.filter(pk=row.pk, state="ready").exists()


def test_embed_again__encodes_unchanged_bytes(staff: Callable[..., Client]) -> None:
    client = staff("view_productembedding", "reindex")
    chosen, other = factories.product(), factories.product()
    factories.embed()
    long_ago = timezone.now() - timedelta(days=9)
    # Damaged vectors: only encoding puts them right.
    original = ProductEmbedding.objects.values_list("embedding", flat=True).get(product=chosen)
    ProductEmbedding.objects.update(embedding=[0.5] * len(original), updated_at=long_ago)
    row = ProductEmbedding.objects.get(product=chosen)

    answer = client.post(reverse(LIST), {"action": "embed_selected_again", "_selected_action": [row.pk]}, follow=True)

    assert [str(message) for message in answer.context["messages"]] == ["1 product is queued to be embedded again."]
    assert list(QueuedProduct.objects.values_list("product_id", "forced")) == [(chosen.pk, True)]
    while worker.run(seconds=float("inf")):
        pass
    vectors = dict(ProductEmbedding.objects.values_list("product_id", "embedding"))
    assert vectors[chosen.pk] == original
    assert set(vectors[other.pk]) == {0.5}
    assert ProductEmbedding.objects.get(product=chosen).updated_at > long_ago
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag, entry.get_change_message()) == (
        str(row.pk),
        2,
        "Queued to be embedded again.",
    )


def test_embed_again__refuses_too_many(staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MOST_AT_ONCE", 1)
    client = staff("view_productembedding", "reindex")
    for _ in range(2):
        factories.product()
    factories.embed()
    keys = list(ProductEmbedding.objects.values_list("pk", flat=True))

    chosen = {"action": "embed_selected_again", "_selected_action": keys}
    answer = client.post(reverse(LIST), chosen, follow=True)

    assert [str(message) for message in answer.context["messages"]] == [
        "2 embeddings are too many for one go; the limit is 1. The page Reindex queues them all."
    ]
    assert not QueuedProduct.objects.exists()


def test_embed_again__by_the_button_of_a_page(staff: Callable[..., Client]) -> None:
    client = staff("view_productembedding", "reindex")
    product = factories.product()
    factories.embed()
    row = ProductEmbedding.objects.get()

    assert f'action="{again(row)}"' in client.get(change(row)).content.decode()
    answer = client.post(again(row))

    assert (answer.status_code, answer.url) == (302, change(row))
    assert list(QueuedProduct.objects.values_list("product_id", "forced")) == [(product.pk, True)]
    assert client.post(reverse("admin:visual_search_embed_again", args=[0])).status_code == 404


def test_embed_again__is_refused(client: Client, staff: Callable[..., Client]) -> None:
    factories.product()
    factories.embed()
    row = ProductEmbedding.objects.get()
    looker = staff("view_productembedding")
    worker_ = staff("view_productembedding", "reindex", enforce_csrf_checks=True)

    assert client.post(again(row)).url.startswith("/admin/login/")
    assert looker.post(again(row)).status_code == 403
    assert looker.get(again(row)).status_code == 405
    assert worker_.post(again(row)).status_code == 403
    assert again(row) not in looker.get(change(row)).content.decode()
    assert "embed_selected_again" not in looker.get(reverse(LIST)).content.decode()
    looker.post(reverse(LIST), {"action": "embed_selected_again", "_selected_action": [row.pk]})
    assert not QueuedProduct.objects.exists()
