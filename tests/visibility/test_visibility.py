"""What is hidden never appears, though the shop changes while it is searched: `make visibility` asks 100,000 times."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from example_shop.catalogue.models import Category, Product, ProductImage
from example_shop.catalogue.visual_search import ShopCatalog
from tests import factories
from tests.visibility import customers, keepers
from tests.visibility.history import History, State
from visual_search.indexing.generations import hnsw
from visual_search.indexing.intake import nudge
from visual_search.retrieval import nearest

RESPONSES = int(os.environ.get("VISIBILITY", "600"))
PRODUCTS = 300
KEEPERS, CUSTOMERS = 2, 3

judged: Counter[str] = Counter()
"""What the summary says."""


@pytest.fixture
def stocked(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[History, Any]]:
    """Products of 24 looks, four in ten of them hidden, embedded; what they are; and photos to search with."""
    settings.VISUAL_SEARCH = {
        **settings.VISUAL_SEARCH,
        "API_RATES": {"visual_search": None, "visual_search_upload": None},
        "RECORD_EVENTS": False,
    }
    # There is no worker process to wake.
    monkeypatch.setattr(nudge, "_closed_from", float("inf"))
    looks = list(itertools.product(factories.COLOURS, ("circle", "square", "bar")))
    photos = [factories.picture(colour, shape) for colour, shape in looks]
    files = [default_storage.save(f"products/{n}.png", ContentFile(photo)) for n, photo in enumerate(photos)]
    chance, category = random.Random(1), Category.objects.create(name="Things", slug="things")
    products = Product.objects.bulk_create(
        Product(
            slug=f"thing-{number}",
            name=" ".join(("thing", *looks[number % len(looks)])),
            category=category,
            is_public=chance.random() < 0.6,
            price=chance.choice(keepers.PRICES),
        )
        for number in range(PRODUCTS)
    )
    ProductImage.objects.bulk_create(
        ProductImage(product=product, image=files[number % len(files)]) for number, product in enumerate(products)
    )
    index: Any = factories.embed()
    history = History()
    for product in products:
        with history.change(product.pk, State(product.is_public, product.price)):
            pass
    yield history, photos
    hnsw.drop(index.pk)


def run(history: History, photos: list[bytes], *, responses: int) -> list[str]:
    """Search `responses` times while the shop changes; return what was wrong."""
    keys, stop, tickets = list(Product.objects.values_list("pk", flat=True)), threading.Event(), iter(range(responses))
    with ThreadPoolExecutor(KEEPERS + CUSTOMERS + 1) as threads:
        busy = [threads.submit(keepers.keep, history, keys[n::KEEPERS], stop, seed=n) for n in range(KEEPERS)]
        busy.append(threads.submit(keepers.embed, stop))
        searching = [
            threads.submit(customers.shop, history, tickets, keys, photos, seed=number) for number in range(CUSTOMERS)
        ]
        try:
            found = [wrong for future in searching for wrong in future.result()]
        finally:
            stop.set()
    for future in busy:
        future.result()
    return found


@contextlib.contextmanager
def only_by_hnsw(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have HNSW asked on every connection that is opened meanwhile: so few rows Postgres would rather sort."""
    monkeypatch.setattr(nearest, "EXACT_CANDIDATES", 0)
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} SET enable_sort = off")
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {database} RESET enable_sort")


@pytest.mark.parametrize("path", ["exact", "hnsw"])
def test_hidden_products__never_appear(stocked: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    history, photos = stocked
    before = history.changes

    with only_by_hnsw(monkeypatch) if path == "hnsw" else contextlib.nullcontext():
        wrong = run(history, photos, responses=RESPONSES // 2)

    judged.update(responses=RESPONSES // 2, violations=len(wrong), changes=history.changes - before)
    assert wrong == []
    assert history.changes - before > RESPONSES / 50
    assert (scans() > RESPONSES / 10) == (path == "hnsw")


class Leaky(ShopCatalog):
    def products(self, request: Any = None) -> Any:
        return Product.objects.for_cards()


def test_hidden_products__would_be_noticed(stocked: Any, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "CATALOG": f"{__name__}.Leaky"}

    wrong = run(*stocked, responses=500)

    kinds = {each.partition(":")[0] for each in wrong}
    assert kinds == {"similar", "terms", "photo", "words", "mixed", "GET similar", "POST photo", "GET text"}
    assert any("and searched by" in each for each in wrong)


def test_judge__what_changed_meanwhile_is_nobodys_fault() -> None:
    history, page = History(), customers.Page(kind="similar", products=[(1, Decimal(5))])
    with history.change(1, State(shown=True, price=Decimal(5))):
        pass
    times = [change.ended for change in history._changes[1]]
    with history.change(1, State(shown=False, price=Decimal(5))):
        # It is being hidden: whether it is yet, nobody can say.
        assert customers.judge(history, page, times[-1], float("inf")) == []
    hidden = history._changes[1][-1]

    assert customers.judge(history, page, hidden.began, hidden.ended) == []
    assert customers.judge(history, page, hidden.ended, float("inf")) == ["similar: product 1 was hidden"]
    with history.change(1, State(shown=True, price=Decimal(7))):
        assert customers.judge(history, page, hidden.ended, float("inf")) == []
    shown = history._changes[1][-1]
    assert customers.judge(history, page, shown.ended, float("inf")) == ["similar: product 1 was not to be had at 5"]
    assert customers.judge(history, customers.Page(kind="photo", products=[(2, Decimal(1))]), 0, 1) == [
        "photo: product 2 was hidden"
    ]


def scans() -> int:
    """Return how often an HNSW index was scanned."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'visual_search_hnsw_%'"
        )
        return int(cursor.fetchone()[0])
