"""However many products a search finds, it takes as many statements; lists of the admin have tests of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from tests import factories
from visual_search import catalog
from visual_search.retrieval import answers
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

PHOTO = factories.picture("crimson", "bar")
FEW, MANY = 2, 20

client = Client()


def upload() -> SimpleUploadedFile:
    return SimpleUploadedFile("photo.png", PHOTO, "image/png")


def answered(**asked: Any) -> int:
    found = answers.answer(Query(limit=MANY, **asked)).products
    # What a page shows of each must have been brought along.
    shop = catalog.current()
    assert all(shop.serialize(product) for product in found)
    return len(found)


def page(response: Any) -> int:
    assert response.status_code == 200
    return len(response.context["products"])


def api(response: Any) -> int:
    assert response.status_code == 200, response.content
    return len(response.json()["results"])


def strip(source: Any) -> int:
    text = "{% load visual_search %}{% similar_products product limit=20 %}"
    html = Template(text).render(Context({"product": source, "request": RequestFactory().get("/")}))
    return html.count("<li")


def both(source: Any) -> tuple[Term, ...]:
    return (Term(product=source.pk), Term(photo=PHOTO), Term(words="thing"), Term(words="teapot", weight=-1))


FACES: dict[str, Callable[[Any], int]] = {
    "product": lambda source: answered(product=source.pk),
    "product, filtered": lambda source: answered(
        product=source.pk, filters={"price__gte": 0}, queryset=type(source).objects.all().for_cards()
    ),
    "product, diverse": lambda source: answered(product=source.pk, diversity=0.5),
    "photo": lambda source: answered(photo=PHOTO),
    "words": lambda source: answered(words="thing"),
    "mixed": lambda source: answered(terms=both(source)),
    "page of a product": lambda source: page(client.get(reverse("visual_search:similar", args=[source.pk]))),
    "page of words": lambda source: page(client.get(reverse("visual_search:search"), {"text": "thing"})),
    "page of a photo": lambda source: page(client.post(reverse("visual_search:photo"), {"photo": upload()})),
    "strip": strip,
    "API of a product": lambda source: api(
        client.get(reverse("visual_search_api:similar", args=[source.pk]), {"limit": MANY, "text": "thing"})
    ),
    "API of words": lambda source: api(
        client.get(reverse("visual_search_api:photo"), {"limit": MANY, "text": "thing"})
    ),
    "API of a photo": lambda source: api(
        client.post(reverse("visual_search_api:photo"), {"limit": MANY, "photo": upload()})
    ),
}


def counted(ask: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Return what `ask()` does, and every statement that it sends to Postgres, those that pass Django by too."""
    ask()  # estimates and the live index are kept from one search to the next
    sent: list[str] = []
    real = psycopg.Cursor.execute

    def execute(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return real(cursor, query, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", execute)
        return ask(), sent


@pytest.mark.parametrize("face", FACES)
def test_search__takes_as_many_statements_for_many_results_as_for_few(
    face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = factories.product(name="source")
    for _ in range(FEW):
        factories.product(name="thing")
    factories.embed()
    found, few = counted(lambda: FACES[face](source), monkeypatch)
    assert FEW <= found <= FEW + 1  # a photo finds the source too
    for _ in range(MANY - FEW):
        factories.product(name="thing", pictures=[PHOTO, factories.picture("teal")])
    factories.embed()

    found, many = counted(lambda: FACES[face](source), monkeypatch)

    assert found >= MANY
    assert len(many) == len(few), many
    assert len(many) > 2
