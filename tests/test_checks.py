from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from example_shop.catalogue.visual_search import ShopCatalog
from tests.processes import ROOT
from visual_search import catalog, checks
from visual_search.checks import catalogs, database
from visual_search.encoders import sentences

SHOP = {"PRODUCT_MODEL": "catalogue.Product", "CATALOG": "example_shop.catalogue.visual_search.ShopCatalog"}


def found(check: Any, **settings: Any) -> list[tuple[str, str, str]]:
    with override_settings(VISUAL_SEARCH={**SHOP, **settings}):
        return [(problem.id, problem.msg, problem.hint) for problem in check()]


RATE = 'Give a rate as "120/min" (s, min, hour or day), or None for no limit.'


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
        checks.check_product_key,
        catalogs.check_catalog,
        catalogs.check_fields,
        catalogs.check_filters,
        checks.check_encoders,
        database.check_engine,
    ):
        assert found(check) == []


@pytest.mark.parametrize("chosen", ["catalogue.Product", ["PRODUCT_MODEL"], 5])
def test_e001__settings_that_are_no_dict(chosen: Any) -> None:
    with override_settings(VISUAL_SEARCH=chosen):
        assert [(problem.id, problem.msg, problem.hint) for problem in checks.check_keys()] == [
            (
                "visual_search.E001",
                f"VISUAL_SEARCH is {chosen!r}.",
                'Give a dict, as {"PRODUCT_MODEL": "shop.Product"}.',
            )
        ]
        assert [problem.id for problem in checks.check_values()] == []


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
        ("GPU_PIPELINE", True, "Give a value of type str."),
        ("GPU_PIPELINE", "on", "Give one of 'off', 'eager', 'compiled'."),
        ("EF_SEARCH", 1001, "pgvector allows 1 to 1000."),
        ("MAX_LIMIT", 101, "A search has at most 100 results."),
        ("COLOUR_SHARE", "0.2", "Give a number from 0 to 1."),
        ("COLOUR_SHARE", 1.5, "Give a number from 0 to 1."),
        ("COLOUR_SHARE", True, "Give a number from 0 to 1."),
        ("RUNTIME", "openvino", "Give one of 'auto', 'torch'."),
        ("ENCODER_CACHE", None, "Give a value of type str."),
        ("RECORD_EVENTS", 1, "Give a value of type bool."),
        ("PROPOSE_REGIONS", "no", "Give a value of type bool."),
        ("DEVICE", "gpu", 'Give "auto", "cpu", "mps", "cuda" or "cuda:1".'),
        ("QUEUE", "", 'Give the name of a queue, as "visual_search".'),
        ("METRIC", "manhattan", "Give one of 'cosine', 'euclidean', 'pearson'."),
        ("METRIC", None, "Give a value of type str."),
    ],
)
def test_e002__a_wrong_value(key: str, value: Any, hint: str) -> None:
    assert found(checks.check_values, **{key: value}) == [("visual_search.E002", f"{key} is {value!r}.", hint)]


@pytest.mark.parametrize(
    ("rates", "message", "hint"),
    [
        ({"visual_search": "fast"}, "API_RATES['visual_search'] is 'fast'.", RATE),
        ({"visual_search": "5/year"}, "API_RATES['visual_search'] is '5/year'.", RATE),
        ({"visual_search_upload": ""}, "API_RATES['visual_search_upload'] is ''.", RATE),
        ({"visual_search_upload": 20}, "API_RATES['visual_search_upload'] is 20.", RATE),
        ({"visual_search_upload": "-1/min"}, "API_RATES['visual_search_upload'] is '-1/min'.", RATE),
        ({"uploads": "5/min"}, "API_RATES has no scope 'uploads'.", "Scopes are visual_search, visual_search_upload."),
    ],
)
def test_e002__a_wrong_rate(rates: dict[str, Any], message: str, hint: str) -> None:
    assert found(checks.check_values, API_RATES=rates) == [("visual_search.E002", message, hint)]


@pytest.mark.parametrize("rate", [None, "0/min", "5/s", "100/minute", "7/day"])
def test_e002__takes_what_throttles_take(rate: str | None) -> None:
    assert found(checks.check_values, API_RATES={"visual_search": rate}) == []


def test_e003__no_such_product_model() -> None:
    assert found(checks.check_product_model, PRODUCT_MODEL="catalogue.Prodct") == [
        (
            "visual_search.E003",
            "PRODUCT_MODEL is 'catalogue.Prodct', which is no installed model.",
            "Did you mean 'catalogue.Product'?",
        )
    ]
    assert found(checks.check_product_model, PRODUCT_MODEL="")[0][1] == "PRODUCT_MODEL is not set."
    assert found(checks.check_product_model, PRODUCT_MODEL="a.b.c") == [
        (
            "visual_search.E003",
            "PRODUCT_MODEL is 'a.b.c', which is no installed model.",
            'Set it to your product model, as "catalogue.Product".',
        )
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PRODUCT_MODEL": None}, {"E002", "E003"}),
        ({"PRODUCT_MODEL": 5}, {"E002", "E003"}),
        ({"PRODUCT_MODEL": "a.b.c"}, {"E003"}),
        ({"PRODUCT_MODEL": "Product"}, {"E003"}),
        ({"PRODUCT_MODEL": "."}, {"E003"}),
        ({"PRODUCT_MODEL": "nowhere.Product"}, {"E003"}),
        ({"PRODUCT_MODEL": "", "CATALOG": None}, {"E002", "E003", "E004"}),
        (
            {"PRODUCT_MODEL": "", "CATALOG": "tests.test_checks.WrongImageModel", "EF_SEARCH": 0},
            {"E002", "E003", "E005"},
        ),
        ({"CATALOG": None}, {"E002", "E004"}),
        ({"CATALOG": "tests.test_checks.Nothing"}, {"E004"}),
        ({"CATALOG": "os.sep"}, {"E004"}),
        ({"CATALOG": "nowhere"}, {"E004"}),
        (
            {"ENCODERS": None, "DATABASE": None, "API_RATES": None, "QUEUE": None, "MAX_LIMIT": None},
            {"E002", "E007", "E008"},
        ),
        ("catalogue.Product", {"E001", "E003"}),
    ],
    # A set's own order differs from process to process; xdist wants one name for a test.
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_checks__report_what_would_be_a_traceback(changes: Any, expected: set[str]) -> None:
    # A process of its own: the models are made when Django starts.
    code = f"""
import django
from django.conf import settings
changes = {changes!r}
settings.VISUAL_SEARCH = {{**settings.VISUAL_SEARCH, **changes}} if isinstance(changes, dict) else changes
django.setup()
from django.core import checks
print(*sorted({{each.id for each in checks.run_checks() if each.id.startswith("visual_search.")}}))
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == [f"visual_search.{number}" for number in sorted(expected)], done.stderr


def test_e004__a_catalog_that_is_none() -> None:
    assert found(catalogs.check_catalog, CATALOG="nowhere.Catalog")[0][0] == "visual_search.E004"
    assert found(catalogs.check_catalog, CATALOG="tests.test_checks.Nothing") == [
        (
            "visual_search.E004",
            "VISUAL_SEARCH['CATALOG'] is 'tests.test_checks.Nothing', which is no visual_search.Catalog.",
            "Give the dotted path of a subclass of visual_search.Catalog.",
        )
    ]


def test_e005__image_models_that_are_none() -> None:
    problems = found(catalogs.check_catalog, CATALOG="tests.test_checks.WrongImageModel")

    assert [(problem[0], problem[2]) for problem in problems] == [
        ("visual_search.E005", 'There is no such model: write it as "app_label.Model".'),
        (
            "visual_search.E005",
            "catalogue.ProductImage has no attribute 'article_id': name the one that holds the product's key.",
        ),
    ]


class LostImageModels(WrongImageModel):
    image_models = {"catalogue.ProductImage": "product__nope", "catalogue.Variant": "sku__product"}


def test_e005__path_that_leads_nowhere() -> None:
    hints = [problem[2] for problem in found(catalogs.check_catalog, CATALOG=f"{__name__}.LostImageModels")]

    assert hints == [
        "catalogue.Product has no attribute 'nope': name the one that holds the product's key.",
        "'sku' is no relation: 'sku__product' can't go on from there.",
    ]


class ListedImageModels(WrongImageModel):
    image_models = ["catalogue.ProductImage"]  # type: ignore[assignment]


class Raising(WrongImageModel):
    def __init__(self) -> None:
        raise RuntimeError("no shop")


def test_checks__of_a_catalog_that_cannot_be_asked_raise_nothing() -> None:
    assert [problem[0] for problem in found(catalogs.check_catalog, CATALOG=f"{__name__}.ListedImageModels")] == [
        "visual_search.E005"
    ]
    ((code, message, _),) = found(catalogs.check_catalog, CATALOG=f"{__name__}.Raising")
    assert (code, message) == ("visual_search.E004", f"{__name__}.Raising can't be made: RuntimeError: no shop")
    for check in (catalogs.check_fields, catalogs.check_filters):
        assert found(check, CATALOG=f"{__name__}.Raising") == []


class Misspelt(ShopCatalog):
    image_fields = ("imge",)
    text_fields = "name"  # type: ignore[assignment]
    filters = {"price_max": "prise__lte", "price": "price__at_most", "stock": "stock", "category": "category__slug__in"}


def test_e014__fields_that_are_none() -> None:
    assert [problem[1:] for problem in found(catalogs.check_fields, CATALOG=f"{__name__}.Misspelt")] == [
        (
            "Misspelt.image_fields names 'imge', which catalogue.Product has not.",
            (
                "Its fields are brand, category, category_id, colour, created_at, description, id, is_public, name,"
                " price, slug, stock."
            ),
        ),
        ("Misspelt.text_fields is 'name'.", "Give a list, as ['name']."),
    ]


def test_e015__filters_that_are_no_lookups() -> None:
    problems = found(catalogs.check_filters, CATALOG=f"{__name__}.Misspelt")

    assert [problem[1].split(",")[0] for problem in problems] == [
        "Misspelt.filters has 'price_max': 'prise__lte'",
        "Misspelt.filters has 'price': 'price__at_most'",
    ]
    assert "Unsupported lookup 'at_most'" in problems[1][2]


def test_e006__no_image_field() -> None:
    assert [problem[0] for problem in found(catalogs.check_catalog, CATALOG="visual_search.catalog.Catalog")] == [
        "visual_search.E006"
    ]


@pytest.mark.parametrize("encoders", [[], "efficientnet_lite0", ["efficientnet_lite"], [{"weights": "x"}]])
def test_e007__encoders_that_are_none(encoders: Any) -> None:
    assert [problem[0] for problem in found(checks.check_encoders, ENCODERS=encoders)] == ["visual_search.E007"]


def test_e008__no_such_database() -> None:
    assert found(database.check_engine, DATABASE="vectors") == [
        ("visual_search.E008", "DATABASE is 'vectors'.", "DATABASES has 'default'.")
    ]


def test_e008__a_database_that_is_no_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")

    assert [problem[0] for problem in found(database.check_engine)] == ["visual_search.E008"]


class HashedKey(models.BigAutoField):
    """A number in SQL, and a word in Python."""

    def from_db_value(self, value: int, expression: object, connection: object) -> str:
        return f"p{value:x}"


@isolate_apps("tests")
def test_e009__a_primary_key_that_is_not_the_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parent(models.Model):  # noqa: DJ008
        id = HashedKey(primary_key=True)

        class Meta:
            app_label = "tests"

    class Child(Parent):  # noqa: DJ008
        class Meta:
            app_label = "tests"

    for model in (Parent, Child):
        monkeypatch.setattr(catalog, "product_model", lambda model=model: model)
        (problem,) = checks.check_product_key()
        assert problem.id == "visual_search.E009"
        assert problem.msg == f"The primary key of tests.{model.__name__} is a HashedKey, which has a from_db_value()."
        assert str(problem.hint).startswith("Searches read keys as the database has them, and would find nothing.")


@pytest.mark.django_db
def test_e010__pgvector_is_new_enough() -> None:
    assert database.check_extension(databases=["default"]) == []
    assert database.check_extension(databases=None) == []


@pytest.mark.django_db
def test_e010__pgvector_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LEAST_PGVECTOR", (99, 0, 0))

    problem = database.check_extension(databases=["default"])[0]

    assert problem.id == "visual_search.E010"
    assert "ALTER EXTENSION vector UPDATE" in str(problem.hint)


@pytest.fixture
def empty(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the alias of a database that nothing was ever created in, whose server offers no extension."""
    known = connection.settings_dict
    name = f"empty_{os.getpid()}"
    address = {"user": known["USER"], "password": known["PASSWORD"], "host": known["HOST"], "port": known["PORT"]}
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        # Before Postgres's own list of what is installed on the machine, an empty one.
        options = {**known["OPTIONS"], "options": "-c search_path=shadow,pg_catalog"}
        monkeypatch.setitem(connections.settings, "empty", {**known, "NAME": name, "OPTIONS": options})
        try:
            with psycopg.connect(**address, dbname=name, autocommit=True) as database:
                database.execute("CREATE SCHEMA shadow")
                database.execute(
                    "CREATE VIEW shadow.pg_available_extensions AS SELECT * FROM pg_available_extensions WHERE false"
                )
            with django_db_blocker.unblock():
                yield "empty"
                connections["empty"].close()
                del connections["empty"]
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_e010__pgvector_is_missing_altogether(empty: str) -> None:
    with override_settings(VISUAL_SEARCH={**SHOP, "DATABASE": empty}):
        problems = database.check_extension(databases=[empty])

    assert [(problem.id, problem.msg) for problem in problems] == [
        ("visual_search.E010", "Database 'empty' has no pgvector.")
    ]
    assert "Install pgvector 0.8.4 or newer on the server" in str(problems[0].hint)


def test_e010__pgvector_is_there_to_be_created_by_migrate(empty: str) -> None:
    with connections[empty].cursor() as cursor:
        cursor.execute("DROP SCHEMA shadow CASCADE")

    with override_settings(VISUAL_SEARCH={**SHOP, "DATABASE": empty}):
        assert database.check_extension(databases=[empty]) == []
        # Nor has it any of our tables.
        assert database.check_recall(databases=[empty]) == []


@pytest.mark.django_db
def test_e012__no_such_text_search_configuration() -> None:
    def problems(name: str) -> list[tuple[str | None, str]]:
        with override_settings(VISUAL_SEARCH={**SHOP, "TEXT_CONFIG": name}):
            return [(each.id, str(each.hint)) for each in database.check_text_config(databases=["default"])]

    assert [problems(name) for name in ("auto", "simple", "german", "pg_catalog.german")] == [[], [], [], []]
    assert problems("germn")[0][0] == "visual_search.E012"
    assert "Did you mean 'german'?" in problems("germn")[0][1]
    assert database.check_text_config(databases=None) == []


def test_e013__no_such_sentence_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def problems(name: Any) -> list[tuple[str | None, str]]:
        with override_settings(VISUAL_SEARCH={**SHOP, "TEXT_ENCODER": name}):
            return [(each.id, each.msg) for each in checks.check_text_encoder()]

    # A value of another type is E002's.
    assert [problems(name) for name in ("", "all-MiniLM-L6-v2", 7)] == [[], [], []]
    assert problems("all-MiniLM")[0][0] == "visual_search.E013"
    assert "all-MiniLM-L6-v2" in problems("all-MiniLM")[0][1]
    monkeypatch.setattr(sentences.importlib.util, "find_spec", lambda name: None)
    assert "django-visual-search[text]" in problems("all-MiniLM-L6-v2")[0][1]
