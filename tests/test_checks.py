from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from visual_search import catalog, checks

SHOP = {"PRODUCT_MODEL": "catalogue.Product", "CATALOG": "example_shop.catalogue.visual_search.ShopCatalog"}


def found(check: Any, **settings: Any) -> list[tuple[str, str, str]]:
    with override_settings(VISUAL_SEARCH={**SHOP, **settings}):
        return [(problem.id, problem.msg, problem.hint) for problem in check()]


class WrongImageModel(catalog.Catalog):
    image_models = {"catalogue.Picture": "product_id", "catalogue.ProductImage": "article_id", "auth.User": "username"}

    def images(self, product: Any) -> Any:
        return iter(())


class Nothing:
    pass


def test_checks__pass_for_the_example_shop() -> None:
    for check in (
        checks.check_keys,
        checks.check_values,
        checks.check_product_model,
        checks.check_catalog,
        checks.check_encoders,
        checks.check_engine,
    ):
        assert found(check) == []


def test_e001__an_unknown_key() -> None:
    assert found(checks.check_keys, BATCHSIZE=3) == [
        ("visual_search.E001", "Unknown key 'BATCHSIZE'.", "Did you mean 'BATCH_SIZE'?")
    ]
    assert found(checks.check_keys, XYZ=3)[0][2].startswith("Known keys: PRODUCT_MODEL, ")


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("BATCH_SIZE", "32", "Give a value of type int."),
        ("BATCH_SIZE", True, "Give a value of type int."),
        ("BATCH_SIZE", 0, "Give 1 or more."),
        ("EF_SEARCH", 1001, "pgvector allows 1 to 1000."),
        ("RECORD_EVENTS", 1, "Give a value of type bool."),
    ],
)
def test_e002__a_wrong_value(key: str, value: Any, hint: str) -> None:
    assert found(checks.check_values, **{key: value}) == [("visual_search.E002", f"{key} is {value!r}.", hint)]


def test_e003__no_such_product_model() -> None:
    assert found(checks.check_product_model, PRODUCT_MODEL="catalogue.Prodct") == [
        (
            "visual_search.E003",
            "PRODUCT_MODEL is 'catalogue.Prodct', which is no installed model.",
            "Did you mean 'catalogue.Product'?",
        )
    ]
    assert found(checks.check_product_model, PRODUCT_MODEL="")[0][1] == "PRODUCT_MODEL is not set."


def test_e004__a_catalog_that_is_none() -> None:
    assert found(checks.check_catalog, CATALOG="nowhere.Catalog")[0][0] == "visual_search.E004"
    assert found(checks.check_catalog, CATALOG="tests.test_checks.Nothing") == [
        (
            "visual_search.E004",
            "CATALOG is 'tests.test_checks.Nothing', which is no visual_search.Catalog.",
            "Subclass visual_search.Catalog.",
        )
    ]


def test_e005__image_models_that_are_none() -> None:
    problems = found(checks.check_catalog, CATALOG="tests.test_checks.WrongImageModel")

    assert [(problem[0], problem[2]) for problem in problems] == [
        ("visual_search.E005", 'There is no such model: write it as "app_label.Model".'),
        (
            "visual_search.E005",
            "catalogue.ProductImage has no attribute 'article_id': name the one that holds the product's key.",
        ),
    ]


def test_e006__no_image_field() -> None:
    assert [problem[0] for problem in found(checks.check_catalog, CATALOG="visual_search.catalog.Catalog")] == [
        "visual_search.E006"
    ]


@pytest.mark.parametrize("encoders", [[], "efficientnet_lite0", ["efficientnet_lite"], [{"weights": "x"}]])
def test_e007__encoders_that_are_none(encoders: Any) -> None:
    assert [problem[0] for problem in found(checks.check_encoders, ENCODERS=encoders)] == ["visual_search.E007"]


def test_e008__no_such_database() -> None:
    assert found(checks.check_engine, DATABASE="vectors") == [
        ("visual_search.E008", "DATABASE is 'vectors'.", "DATABASES has 'default'.")
    ]


def test_e008__a_database_that_is_no_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")

    assert [problem[0] for problem in found(checks.check_engine)] == ["visual_search.E008"]


@pytest.mark.django_db
def test_e010__pgvector_is_new_enough() -> None:
    assert checks.check_extension(databases=["default"]) == []
    assert checks.check_extension(databases=None) == []


@pytest.mark.django_db
def test_e010__pgvector_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_PGVECTOR", (99, 0, 0))

    problem = checks.check_extension(databases=["default"])[0]

    assert problem.id == "visual_search.E010"
    assert "ALTER EXTENSION vector UPDATE" in str(problem.hint)
