"""Fail at the n-th external call, for n = 1, 2, 3 ... until a run completes untouched (SQLite's anomaly loop)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError, connection, transaction

from tests import factories
from tests.faults import harness
from visual_search.encoders import tiny
from visual_search.images import pool
from visual_search.indexing import worker
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import nudge
from visual_search.models import SearchIndex


class Calls:
    """Count external calls, and raise at the one whose turn it is."""

    def __init__(self, failing: int) -> None:
        self.failing = failing
        self.kinds: Counter[str] = Counter()
        self.failed = ""

    def made(self, kind: str, error: Callable[[], Exception]) -> None:
        """Note a call of `kind`; raise what `error` makes where it is the one to fail."""
        self.kinds[kind] += 1
        if self.kinds.total() == self.failing:
            self.failed = kind
            raise error()


@contextmanager
def watched(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have every call to the storage, a decoder, the encoder, the database and the broker counted by `calls`."""

    def before(owner: Any, name: str, kind: str, error: Callable[[], Exception]) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls.made(kind, error)
            return real(*arguments, **options)

        patch.setattr(owner, name, counted)

    def execute(run: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        calls.made("sql", lambda: OperationalError("the connection is lost"))
        return run(sql, parameters, many, context)

    with monkeypatch.context() as patch, connection.execute_wrapper(execute):
        before(FileSystemStorage, "_open", "storage", lambda: OSError("the storage is away"))
        before(pool.Decoder, "_ask", "decode", lambda: OSError("the decoder died"))
        before(tiny.TinyEncoder, "encode", "encode", lambda: RuntimeError("the encoder failed"))
        before(nudge, "_publish", "publish", lambda: ConnectionError("the broker is away"))
        yield


def embed_and_replace() -> None:
    """Fill a second index beside the live one, activate it, replace a picture, delete a product, and go back."""
    second = lifecycle.create()
    _work()
    second.refresh_from_db()
    if second.state == SearchIndex.State.READY:
        lifecycle.activate(second)
    first, last, *_ = factories.catalog.product_model()._default_manager.order_by("pk")
    # Without a transaction, Django commits a save before its signals: see test_f04__between_the_save_and_its_signal.
    with transaction.atomic():
        image = first.images.get()
        image.image.save("new.png", factories.ContentFile(factories.picture("teal", "bar", size=70)))
    with transaction.atomic():
        factories.product(pictures=[factories.picture("purple"), b"no picture"])
    with transaction.atomic():
        last.delete()
    _work()
    if SearchIndex.objects.filter(state=SearchIndex.State.PREVIOUS).exists():
        lifecycle.rollback()
    lifecycle.retire(second)


def _work() -> None:
    while worker.run(seconds=float("inf")):
        pass


def test_nth_call__fails_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    step = harness.often(17, 1)
    survived: Counter[str] = Counter()
    for failing in itertools.count(1, step):
        harness.products(3)
        harness.settle()
        calls = Calls(failing)
        with watched(calls, monkeypatch):
            try:
                embed_and_replace()
            except Exception as error:
                assert calls.failed, f"something else failed: {error!r}"  # noqa: PT017
        nudge._closed_from = 0.0
        harness.settle()
        assert SearchIndex.objects.filter(state=SearchIndex.State.LIVE).count() == 1, f"after call {failing}"
        _start_over()
        if not calls.failed:
            break
        survived[calls.failed] += 1
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(survived.items()))
    print(f"{survived.total()} points of {calls.kinds.total()} failed and were survived: {kinds}")
    assert survived["sql"] > 0


def _start_over() -> None:
    for index in SearchIndex.objects.exclude(state=SearchIndex.State.LIVE):
        lifecycle.retire(index)
        index.delete()
    for product in factories.catalog.product_model()._default_manager.order_by("-pk")[6:]:
        product.delete()
    harness.settle()
