from __future__ import annotations

from typing import Any

import pytest
from django.db.models import PositiveIntegerField
from django.test.utils import isolate_apps
from rest_framework import serializers as fields

from visual_search import catalog
from visual_search.api import serializers


@pytest.mark.parametrize(("serializer", "name"), [("VisualSearchResult", "id"), ("VisualSearchClick", "product")])
@isolate_apps("tests")
def test_key__of_a_child_with_a_table_of_its_own_is_its_parents(
    monkeypatch: pytest.MonkeyPatch, serializer: str, name: str
) -> None:
    parent = catalog.product_model()

    class Parcel(parent):  # type: ignore[misc, valid-type]
        weight = PositiveIntegerField(default=1)

        class Meta:
            app_label = "tests"

    def child() -> Any:
        return Parcel

    monkeypatch.setattr(catalog, "product_model", child)

    assert isinstance(getattr(serializers, serializer)().get_fields()[name], fields.IntegerField)
