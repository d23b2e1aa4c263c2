from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from tests import factories
from visual_search import catalog, models
from visual_search.indexing import reconciler
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.sources import texts

pytestmark = pytest.mark.django_db


def stored() -> dict[Any, str]:
    return dict(models.ProductText.objects.values_list("product_id", "title"))


def using(config: str) -> Any:
    from django.conf import settings

    return override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "TEXT_CONFIG": config})


def test_save__is_what_words_find(embed: Any) -> None:
    product = factories.product(name="boots")
    embed()
    assert stored() == {product.pk: "boots"}

    product.name = "sandals"
    product.save(update_fields=["name"])
    embed()
    assert stored() == {product.pk: "sandals"}
    vector = models.ProductText.objects.values_list("vector", flat=True).get()
    assert "'sandal':1A" in vector


def test_product__without_a_picture_has_words(embed: Any) -> None:
    product = factories.product(name="boots", pictures=[])
    bad = factories.product(name="lamp", pictures=[b"no picture"])
    embed()

    assert stored() == {product.pk: "boots", bad.pk: "lamp"}


def test_write__leaves_alone_what_says_the_same(embed: Any) -> None:
    product = factories.product(name="boots")
    embed()

    def version() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT xmin, ctid FROM visual_search_producttext")
            return cursor.fetchall()

    first = version()
    product.save()
    lifecycle.create()
    embed()
    assert version() == first

    with using("simple"):
        texts.write(texts.of([product]))
    assert version() != first


def test_delete__in_sql_takes_the_words_along(embed: Any) -> None:
    product = factories.product(name="boots")
    embed()
    with connection.cursor() as cursor:
        if catalog.product_model()._meta.label == "catalogue.Product":
            cursor.execute("DELETE FROM catalogue_productimage")
        cursor.execute(f"DELETE FROM {product._meta.db_table}")

    assert stored() == {}


def test_reconcile__finds_words_that_no_signal_saw(embed: Any) -> None:
    product, other = factories.product(name="boots"), factories.product(name="lamp")
    embed()
    assert reconciler.reconcile().queued == 0

    type(product)._default_manager.filter(pk=product.pk).update(name="sandals")
    models.ProductText.objects.filter(pk=other.pk).delete()
    assert reconciler.reconcile().queued == 2
    embed()
    assert stored() == {product.pk: "sandals", other.pk: "lamp"}

    with using("simple"):
        assert reconciler.reconcile().queued == 2


def test_of__a_catalog_that_fails_costs_the_words_only(embed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, product: Any) -> str:
        raise KeyError("no words today")

    monkeypatch.setattr(type(catalog.current()), "text", fail)
    product = factories.product(name="boots")
    embed()

    assert stored() == {product.pk: "boots"}
    assert models.ProductEmbedding.objects.filter(product=product, state="ready").exists()


def test_of__whatever_a_shop_has_written() -> None:
    product = factories.product(pictures=[])
    product.name = "nul \0, half \ud800, " + "x" * 3_000 + " boot " * 400_000
    texts.write(texts.of([product]))

    title = models.ProductText.objects.get().title
    assert title.startswith("nul , half ?, xxx")
    assert len(title) == texts.LONGEST


@pytest.mark.parametrize(
    ("language", "config"),
    [("en-gb", "english"), ("de", "german"), ("pt-br", "portuguese"), ("nb", "norwegian"), ("zh-hans", "simple")],
)
def test_config__is_that_of_the_language(language: str, config: str) -> None:
    with override_settings(LANGUAGE_CODE=language):
        assert texts.config() == config
    with using("danish"):
        assert texts.config() == "danish"


def test_config__of_each_language_is_there() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT cfgname FROM pg_ts_config")
        assert {row[0] for row in cursor.fetchall()} >= {*texts.STEMMED, texts.SIMPLE}


def test_write__nothing() -> None:
    texts.write({})
    assert texts.stale({}, fingerprint="") == set()
