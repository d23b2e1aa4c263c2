from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import AlterField

from tests import factories, sessions
from visual_search import catalog
from visual_search.checks import database
from visual_search.indexing import worker
from visual_search.indexing.intake import changes
from visual_search.models import ProductEmbedding, ProductText, QueuedProduct, cascades

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = [
    "visual_search_fitsample",
    "visual_search_productembedding",
    "visual_search_producttext",
    "visual_search_queuedproduct",
]


@pytest.fixture
def alter() -> Iterator[Callable[[models.Field[Any, Any]], None]]:
    """Yield a function that gives the product another type of key, as a migration of the shop's does."""
    state = MigrationExecutor(connection).loader.project_state()

    def alter(field: models.Field[Any, Any]) -> None:
        nonlocal state
        operation, before = AlterField("product", "id", field), state
        state = before.clone()
        operation.state_forwards("catalogue", state)
        with connection.schema_editor() as editor:
            operation.database_forwards("catalogue", editor, before, state)

    yield alter
    alter(models.BigAutoField(primary_key=True))
    cascades.restore()
    assert cascades.missing() == []


@contextmanager
def saving(product: Any) -> Iterator[None]:
    """Stay in a transaction of the shop's that has saved a product."""
    with transaction.atomic():
        product.save()
        yield


def test_missing__none_after_our_own_migrations() -> None:
    assert cascades.missing() == []
    assert cascades.restore() == {}
    assert database.check_cascades(databases=["default"]) == []


def test_w014__a_migration_of_the_products_key_drops_our_foreign_keys(alter: Any) -> None:
    alter(models.AutoField(primary_key=True))

    (problem,) = database.check_cascades(databases=["default"])
    assert problem.id == "visual_search.W014"
    assert problem.msg == (
        "Deletes of products leave rows behind: without a foreign key that cascades are "
        "visual_search_fitsample, visual_search_productembedding, visual_search_producttext, "
        "visual_search_queuedproduct."
    )
    assert "`manage.py migrate`" in str(problem.hint)
    assert database.check_cascades(databases=None) == []


def test_restore__deletes_what_deleted_products_left(alter: Any, caplog: pytest.LogCaptureFixture) -> None:
    gone, kept = factories.product(), factories.product()
    factories.embed()
    alter(models.AutoField(primary_key=True))
    changes.record([gone.pk, kept.pk])
    changes.fold()
    catalog.product_model()._default_manager.filter(pk=gone.pk).delete()
    assert QueuedProduct.objects.count() == ProductEmbedding.objects.count() == ProductText.objects.count() == 2

    assert cascades.missing() == TABLES
    call_command("migrate", verbosity=0)

    assert cascades.missing() == []
    assert "visual_search_queuedproduct has its foreign key to products again; 1 rows" in caplog.text
    for model in (QueuedProduct, ProductEmbedding, ProductText):
        assert [row.product_id for row in model.objects.all()] == [kept.pk]
    factories.embed()
    assert not worker.step()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalogue_productimage")
        cursor.execute("DELETE FROM catalogue_product")
    assert not ProductEmbedding.objects.exists()


def test_restore__goes_on_where_it_was_ended(alter: Any) -> None:
    alter(models.AutoField(primary_key=True))
    with connection.cursor() as cursor:
        cursor.execute(cascades._addition("visual_search_queuedproduct"))

    assert cascades.missing() == TABLES
    assert cascades.restore() == dict.fromkeys(TABLES, 0)


def test_migrate__leaves_a_table_that_is_in_use_for_later(
    alter: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cascades, "PATIENCE", 50)
    product = factories.product()
    alter(models.AutoField(primary_key=True))

    with sessions.within(saving(product)):
        call_command("migrate", verbosity=0)
    assert cascades.missing() == TABLES
    assert "in use" in caplog.text
    call_command("migrate", verbosity=0)
    assert cascades.missing() == []
