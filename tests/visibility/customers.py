"""Those who search: each with a thread and a connection of its own, through Python and through the API."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient

from example_shop.catalogue.models import Product
from tests.visibility.history import History
from tests.visibility.keepers import PRICES
from visual_search.retrieval import answers
from visual_search.retrieval.query import Query, Term

LIMITS = (4, 12, 12, 12, 48)

WORDS = ("circle", "crimson", "square or bar", "seagreen thing", "thing -bar")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came back: products with their prices, and the product that the API looked up to search by it."""

    kind: str
    products: list[tuple[Any, Decimal]]
    cheap: Decimal | None = None
    asked: Any = None


def shop(
    history: History, tickets: Iterator[int], keys: Sequence[Any], photos: Sequence[bytes], *, seed: int
) -> list[str]:
    """Search at random while there are `tickets`; return what was wrong with the responses."""
    chance, client, wrong = random.Random(seed), APIClient(), []
    kinds = (_similar, _photo, _words, _mixed, _similar_by_api, _photo_by_api, _words_by_api)
    weights = (5, 2, 3, 1, 4, 2, 2)
    try:
        for _ in tickets:
            (ask,) = chance.choices(kinds, weights)
            began = time.monotonic()
            page = ask(chance, client, keys, photos)
            wrong += judge(history, page, began, time.monotonic())
    finally:
        connection.close()
    return wrong


def judge(history: History, page: Page, began: float, ended: float) -> list[str]:
    """Return what on `page`, that was asked for at `began` and there at `ended`, wasn't so at any time between."""
    wrong = []
    if page.asked is not None and not any(state.shown for state in history.during(page.asked, began, ended)):
        wrong.append(f"{page.kind}: product {page.asked} was hidden, and searched by")
    for key, price in page.products:
        states = history.during(key, began, ended)
        if not any(state.shown for state in states):
            wrong.append(f"{page.kind}: product {key} was hidden")
        elif price not in {state.price for state in states}:
            wrong.append(f"{page.kind}: product {key} was not to be had at {price}")
        elif page.cheap is not None and price > page.cheap:
            wrong.append(f"{page.kind}: product {key} costs {price}, and {page.cheap} was the most")
    return wrong


def _answer(kind: str, chance: random.Random, **asked: Any) -> Page:
    cheap = chance.choice([None, *PRICES])
    if cheap is not None and chance.random() < 0.5:
        asked["filters"] = {"price__lte": cheap}
    elif cheap is not None:
        asked["queryset"] = Product.objects.filter(price__lte=cheap)
    found = answers.answer(Query(limit=chance.choice(LIMITS), diversity=chance.choice((0, 0, 0, 0.4)), **asked))
    return Page(kind=kind, products=[(product.pk, product.price) for product in found.products], cheap=cheap)


def _similar(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    if chance.random() < 0.8:
        return _answer("similar", chance, product=chance.choice(keys))
    like, unlike = chance.sample(keys, 2)
    return _answer("terms", chance, terms=(Term(product=like), Term(product=unlike, weight=-0.5)))


def _photo(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    return _answer("photo", chance, photo=chance.choice(photos))


def _words(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    return _answer("words", chance, words=chance.choice(WORDS))


def _mixed(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    terms = (Term(photo=chance.choice(photos)), Term(words=chance.choice(WORDS)), Term(words="square", weight=-1))
    return _answer("mixed", chance, terms=terms)


def _by_api(kind: str, chance: random.Random, send: Callable[[dict[str, Any]], Any], *, asked: Any = None) -> Page:
    cheap = chance.choice([None, *PRICES])
    response = send({"limit": chance.choice(LIMITS)} | ({} if cheap is None else {"price_max": cheap}))
    if response.status_code == 404 and asked is not None:
        return Page(kind=kind, products=[])
    assert response.status_code == 200, response.content
    found = [(result["id"], Decimal(result["price"])) for result in response.json()["results"]]
    return Page(kind=kind, products=found, cheap=cheap, asked=asked)


def _similar_by_api(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    key = chance.choice(keys)
    address = reverse("visual_search_api:similar", args=[key])
    return _by_api("GET similar", chance, lambda fields: client.get(address, fields), asked=key)


def _photo_by_api(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    sent: dict[str, Any] = {"photo": SimpleUploadedFile("photo.png", chance.choice(photos), "image/png")}
    if chance.random() < 0.3:
        sent["text"] = chance.choice(WORDS)
    return _by_api("POST photo", chance, lambda fields: client.post(reverse("visual_search_api:photo"), fields | sent))


def _words_by_api(chance: random.Random, client: APIClient, keys: Sequence[Any], photos: Sequence[bytes]) -> Page:
    said = {"text": chance.choice(WORDS)}
    return _by_api("GET text", chance, lambda fields: client.get(reverse("visual_search_api:photo"), fields | said))
