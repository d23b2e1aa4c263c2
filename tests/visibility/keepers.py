"""Those who change the shop while others search it: each with a thread and a connection of its own."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from example_shop.catalogue.models import Product, ProductImage
from tests.visibility.history import History, State
from visual_search.indexing import worker

PRICES = [Decimal(price) for price in range(10, 100, 10)]

PAUSE = 0.03
"""Most seconds between two changes of one keeper: a page has to have products on it that nobody touches meanwhile."""

_keys = itertools.count(1_000_000)


def keep(history: History, keys: Sequence[Any], stop: threading.Event, *, seed: int) -> None:
    """Hide, show, price, delete and create products at random, `keys` and those created, until `stop`."""
    chance, own = random.Random(seed), list(keys)
    try:
        while not stop.wait(chance.uniform(0, PAUSE)):
            key, draw = chance.choice(own), chance.random()
            state = history.state(key)
            if draw < 0.02:
                own.remove(key)
                own.append(_replace(history, key, raw=chance.random() < 0.5))
            elif draw < 0.45:
                _set(history, key, State(not state.shown, state.price), by_save=chance.random() < 0.1)
            elif draw < 0.75:
                _set(history, key, State(state.shown, chance.choice(PRICES)), by_save=chance.random() < 0.1)
            else:
                _set(history, key, State(not state.shown, chance.choice(PRICES)), by_save=False)
    finally:
        connection.close()


def embed(stop: threading.Event) -> None:
    """Run the worker's loop until `stop`, so that vectors and texts change too."""
    try:
        while not stop.wait(0.2):
            worker.run(seconds=1)
    finally:
        connection.close()


def _set(history: History, key: Any, state: State, *, by_save: bool) -> None:
    values = {"is_public": state.shown, "price": state.price}
    if not by_save:
        with history.change(key, state):
            Product.objects.filter(pk=key).update(**values)
        return
    product = Product.objects.get(pk=key)
    product.is_public, product.price = state.shown, state.price
    with history.change(key, state):
        product.save()


def _replace(history: History, key: Any, *, raw: bool) -> Any:
    """Delete the product `key` and create one like it; return its key."""
    product = Product.objects.get(pk=key)
    picture = product.images.get()
    with history.change(key, State(shown=False)):
        if raw:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {ProductImage._meta.db_table} WHERE product_id = %s", [key])
                cursor.execute(f"DELETE FROM {Product._meta.db_table} WHERE id = %s", [key])
        else:
            product.delete()
    new = next(_keys)
    product.pk, product.slug, product.is_public, product.price = new, f"new-{new}", True, PRICES[0]
    picture.pk, picture.product = None, product
    with history.change(new, State(shown=True, price=PRICES[0])), transaction.atomic():
        product.save(force_insert=True)
        picture.save(force_insert=True)
    return new
