from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import factories
from visual_search import catalog, models
from visual_search.indexing import worker
from visual_search.indexing.vectors import embedding

pytestmark = pytest.mark.django_db


def first_file(product: Any) -> Any:
    return next(iter(catalog.current().images(product))).file


def test_run__untouched_are_products_whose_rows_stay_as_they_are() -> None:
    data = [factories.picture(colour) for colour in factories.COLOURS[:4]]
    same, renamed, emptied, replaced = products = [factories.product(pictures=[each]) for each in data]
    index = factories.embed()
    assert index is not None
    new = factories.product()
    first_file(renamed).save("another-name.png", ContentFile(data[1]))
    first_file(emptied).delete()
    first_file(replaced).save("new.png", ContentFile(factories.picture("teal", "bar")))
    keys = [product.pk for product in [*products, new]]

    assert embedding.run(index, keys).untouched == {same.pk}
    assert embedding.run(index, keys, forced=keys).untouched == set()


def test_run__a_product_that_lost_a_picture_is_not_untouched() -> None:
    product = factories.product(pictures=[factories.picture("crimson"), factories.picture("teal", "bar")])
    if not hasattr(product, "images"):
        pytest.skip("a product of this shop has one picture")
    index = factories.embed()
    assert index is not None
    assert embedding.run(index, [product.pk]).untouched == {product.pk}

    product.images.last().delete()

    assert embedding.run(index, [product.pk]).untouched == set()


def test_run__a_product_with_a_failed_picture_is_not_untouched() -> None:
    product = factories.product(pictures=[b"not a picture at all"])
    factories.product()
    index = factories.embed()
    assert index is not None

    outcome = embedding.run(index, [product.pk])

    assert (outcome.untouched, [row.error_code for row in outcome.rows]) == (set(), ["image_format"])


def test_worker__writes_nothing_about_unchanged_products() -> None:
    for _ in range(3):
        factories.product()
    index = factories.embed()
    assert index is not None
    rows = models.ProductEmbedding.objects.defer(None).order_by("pk")
    before = list(rows.values())

    factories.refill(index)
    assert models.QueuedProduct.objects.count() == 3
    with CaptureQueriesContext(
        connection,
    ) as queries:
        while worker.run(seconds=float("inf")):
            pass

    assert [query["sql"] for query in queries if "stage" in query["sql"]] == []
    assert list(rows.values()) == before
    assert not models.QueuedProduct.objects.exists()
