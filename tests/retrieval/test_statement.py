from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from pgvector import HalfVector

from tests import factories
from visual_search import catalog
from visual_search.indexing.generations import lifecycle
from visual_search.retrieval import live, statement

SETTINGS = {"hnsw.ef_search": "77", "hnsw.iterative_scan": "relaxed_order"}
ASK = "SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')"
VECTOR = [HalfVector([1, 2])]


INSIDE, ALONE = pytest.mark.django_db, pytest.mark.django_db(transaction=True)

pytestmark = pytest.mark.parametrize(
    "inside",
    [pytest.param(True, marks=INSIDE, id="inside a transaction"), pytest.param(False, marks=ALONE, id="alone")],
)


@pytest.fixture
def index(inside: bool) -> Any:
    factories.product()
    index: Any = factories.embed()
    assert connection.in_atomic_block is inside
    yield index
    if not inside:
        lifecycle.hnsw.drop(index.pk)


def setting() -> Any:
    with connection.cursor() as cursor:
        cursor.execute(ASK)
        return cursor.fetchone()


def test_run__has_its_settings_and_leaves_none(index: Any) -> None:
    before = setting()

    assert statement.run(ASK, [], settings=SETTINGS) == [("77", "relaxed_order")]
    assert setting() == before != ("77", "relaxed_order")
    assert statement.run(f"{ASK} WHERE vector_dims(%s::halfvec) = 2", VECTOR, settings=SETTINGS) == [
        ("77", "relaxed_order")
    ]
    assert setting() == before


def test_run__an_error_is_djangos_and_breaks_nothing(index: Any) -> None:
    before = setting()

    for sql, parameters in (("SELECT 1 / %s", [0]), ("SELECT 1 / (vector_dims(%s::halfvec) - 2)", VECTOR)):
        with pytest.raises(DatabaseError, match="division by zero"):
            statement.run(sql, parameters, settings=SETTINGS)
        assert setting() == before

    assert statement.run("SELECT 5", [], settings=SETTINGS) == [(5,)]


def test_run__keeps_what_the_shop_wrote(index: Any) -> None:
    products = catalog.product_model()._default_manager
    with transaction.atomic():
        products.update(price=42)
        statement.run("SELECT 1", [], settings=SETTINGS)
        assert products.get().price == 42
    assert products.get().price == 42


def test_run__refuses_another_index_than_the_live_one(index: Any) -> None:
    other = lifecycle.create(["tiny"])
    vector = f"SELECT {statement.LIVE}, vector_dims(%s::halfvec)"

    for settings in (SETTINGS, {}):
        for sql, parameters, row in ((f"SELECT {statement.LIVE}, 5", [], 5), (vector, VECTOR, 2)):
            assert statement.of_live(index, sql, parameters, settings=settings) == [(index.pk, row)]
            assert statement.of_live(None, sql, parameters, settings=settings) == [(index.pk, row)]
            assert statement.of_live(other, sql, parameters, settings=settings, live_only=False) == [(index.pk, row)]
            with pytest.raises(live.Changed):
                statement.of_live(other, sql, parameters, settings=settings)


def test_of_live__nothing_found_is_of_the_live_index_too(index: Any) -> None:
    other, nothing = lifecycle.create(["tiny"]), f"SELECT {statement.LIVE} WHERE false"

    assert statement.of_live(index, nothing, [], settings=SETTINGS) == []
    with pytest.raises(live.Changed):
        statement.of_live(other, nothing, [], settings=SETTINGS)


def test_configured__makes_settings_before_the_value_is_used(inside: bool, index: Any) -> None:
    before = setting()
    value = statement.configured("%s::text", SETTINGS)
    sql = f"SELECT given, {ASK.removeprefix('SELECT ')} FROM (SELECT {value} AS given OFFSET 0) first"

    assert statement.alone() is not inside
    assert statement.run(sql, ["x"], settings={}) == [("x", "77", "relaxed_order")]
    assert setting() == (("77", "relaxed_order") if inside else before)
    assert statement.configured("%s::text", {}) == "%s::text"


def test_run__in_a_transaction_that_is_broken(index: Any) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            statement.run("SELECT 1", [], settings=SETTINGS)


def test_literal__as_django_binds(inside: bool) -> None:
    assert statement.literal("a LIKE %s AND b = %s", ["50%", 3]) == "a LIKE '50%%' AND b = 3"
    assert statement.literal("a LIKE '50%%'", []) == "a LIKE '50%%'"


def test_run__where_the_shop_switched_autocommit_off(inside: bool, index: Any) -> None:
    if inside:
        pytest.skip("Django refuses to switch it off inside a transaction")
    before = setting()
    transaction.set_autocommit(False)
    try:
        catalog.product_model()._default_manager.update(price=43)
        assert statement.run(ASK, [], settings=SETTINGS) == [("77", "relaxed_order")]
        assert setting() == before
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert catalog.product_model()._default_manager.get().price == 43


def test_run__in_a_transaction_that_was_begun_by_hand(inside: bool, index: Any) -> None:
    before = setting()
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT a" if inside else "BEGIN")
    assert not statement.alone()
    for parameters in ([], VECTOR):
        sql = f"{ASK} WHERE vector_dims(%s::halfvec) = 2" if parameters else ASK
        assert statement.run(sql, parameters, settings=SETTINGS) == [("77", "relaxed_order")]
        assert setting() == before
    with connection.cursor() as cursor:
        # It is still there.
        cursor.execute("ROLLBACK TO a" if inside else "ROLLBACK")


def test_run__an_error_of_a_prepared_connection_breaks_nothing(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.connection, "prepare_threshold", 0)
    for _ in range(3):
        with pytest.raises(DatabaseError, match="division by zero"):
            statement.run("SELECT 1 / (vector_dims(%s::halfvec) - 2)", VECTOR, settings=SETTINGS)
        assert statement.run("SELECT vector_dims(%s::halfvec)", VECTOR, settings=SETTINGS) == [(2,)]


def test_run__vectors_on_a_connection_in_error_raise_djangos_own(index: Any) -> None:
    statement._registered.discard(connection.connection)

    def after_an_error() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            with contextlib.suppress(DatabaseError):
                cursor.execute("SELECT 1 / 0")
            statement.run("SELECT %s::halfvec", VECTOR, settings=SETTINGS)

    with pytest.raises(DatabaseError, match="aborted"):
        after_an_error()
