"""The default catalog, UUID keys, child products, and a product model of its app's second migration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_delete, post_save, pre_save
from django.test import override_settings
from django.urls import reverse

import visual_search
from tests import factories
from tests.zshop.models import Article, Bargain, Book
from visual_search import catalog, models, signals

pytestmark = pytest.mark.django_db


class FamilyCatalog(catalog.Catalog):
    """Children are not shown; their pictures are their parent's."""

    def products(self, request: Any = None) -> Any:
        return Article.objects.filter(parent=None).prefetch_related("children")

    def images(self, product: Article) -> Iterable[visual_search.ProductImage]:  # type: ignore[override]
        for article in (product, *product.children.all()):
            if article.picture:
                yield visual_search.ProductImage(key=article.pk, file=article.picture)

    def concerns(self, instance: Any) -> Iterable[Any]:
        return [instance.parent_id or instance.pk]


@pytest.fixture
def families(settings: Any) -> Any:
    changed = {**settings.VISUAL_SEARCH, "CATALOG": "tests.zshop.test_default_catalog.FamilyCatalog"}
    with override_settings(VISUAL_SEARCH=changed):
        yield


def test_migrations__are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_default_catalog__finds_the_image_field() -> None:
    article = factories.product()

    assert catalog.Catalog().image_field_names() == ["picture"]
    assert [image.key for image in catalog.current().images(article)] == ["picture"]
    assert list(catalog.current().images(factories.product(pictures=[]))) == []


def test_api__with_a_uuid(client: Any) -> None:
    first, second = factories.product(), factories.product(name="other")
    factories.embed()

    answer = client.get(reverse("visual_search_api:similar", args=[first.pk])).json()

    assert answer["state"] == "ready"
    assert [(row["id"], row["title"], row["url"]) for row in answer["results"]] == [
        (str(second.pk), "other", f"/articles/{second.pk}/")
    ]
    assert client.get(reverse("visual_search_api:similar", args=["no-uuid"])).status_code == 404


def test_save__of_other_fields_queues_nothing() -> None:
    article = factories.product()
    factories.embed()

    article.stock = 3
    article.save(update_fields=["stock"])
    assert not models.ProductChange.objects.exists()
    article.save(update_fields=["picture"])
    assert models.ProductChange.objects.get().product_id == article.pk


@pytest.mark.usefixtures("families")
def test_children__are_their_parents_pictures() -> None:
    parent = factories.product(name="parent", pictures=[factories.picture("crimson")])
    factories.product(name="child", pictures=[factories.picture("teal", "bar")], parent=parent)
    other = factories.product(name="other", pictures=[factories.picture("teal", "bar", size=100)])
    factories.embed()

    found = visual_search.similar_to(other)

    assert [product.name for product in found] == ["parent"]
    assert found[0].matched_image.key == str(parent.children.get().pk)
    assert models.ProductEmbedding.objects.filter(product=parent).count() == 2


@pytest.mark.usefixtures("families")
def test_children__deleted_leave_their_parent() -> None:
    parent = factories.product()
    child = factories.product(parent=parent)
    factories.product()
    factories.embed()

    child.delete()
    factories.embed()

    assert models.ProductEmbedding.objects.filter(product=parent).count() == 1


def test_foreign_key__is_typed_and_cascades() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT data_type FROM information_schema.columns"
            " WHERE table_name = 'visual_search_productembedding' AND column_name = 'product_id'"
        )
        assert cursor.fetchone() == ("uuid",)
        cursor.execute(
            "SELECT confdeltype::text FROM pg_constraint WHERE conname = 'visual_search_productembedding_product_fk'"
        )
        assert cursor.fetchone() == ("c",)


def test_subclasses__of_the_product_model_are_products() -> None:
    factories.product(pictures=[factories.picture("teal")])
    for model in (Book, Bargain):
        saved = model(name=model.__name__)
        saved.picture.save("cover.png", ContentFile(factories.picture("crimson", size=97)), save=False)
        saved.save()

    factories.embed()

    assert models.ProductEmbedding.objects.filter(state="ready").count() == 3
    found = visual_search.similar_to(Bargain.objects.get(name="Bargain"))
    assert (found[0].name, type(found[0])) == ("Book", Article)
    (book,) = visual_search.similar_to(Bargain.objects.get(name="Bargain"), queryset=Book.objects.all())
    assert (type(book), book.pages) == (Book, 100)


@pytest.fixture
def bookshop(settings: Any) -> Iterator[None]:
    """Sell books alone, whose name and picture are in another table, that of all articles."""
    books = override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "PRODUCT_MODEL": "zshop.Book"})
    with books, isolated(post_save), isolated(post_delete), isolated(pre_save):
        signals.connect()
        yield


@contextmanager
def isolated(signal: Any) -> Iterator[None]:
    """Forget who began to listen to `signal` within the block."""
    receivers = list(signal.receivers)
    yield
    signal.receivers = receivers
    signal.sender_receivers_cache.clear()


@pytest.mark.usefixtures("bookshop")
def test_save__of_a_products_parent_row_is_recorded() -> None:
    book, article = Book.objects.create(name="Book"), Article.objects.create(name="no book")
    models.ProductChange.objects.all().delete()

    for model in (Article, Bargain):
        parent = model.objects.get(pk=book.pk)
        parent.save()
        parent.save(update_fields=["stock"])
        parent.save(update_fields=["name"])
        model.objects.get(pk=article.pk).save()
    assert [change.product_id for change in models.ProductChange.objects.all()] == [book.pk] * 4

    models.ProductChange.objects.all().delete()
    book.save()
    assert [change.product_id for change in models.ProductChange.objects.all()] == [book.pk]


def test_subclasses__deleted_leave_nothing() -> None:
    book = Book.objects.create(name="Book")
    factories.embed()
    models.ProductChange.objects.all().delete()

    book.delete()

    assert not models.ProductChange.objects.exists()
