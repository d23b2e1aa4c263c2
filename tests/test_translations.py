"""The words of the pages, in each language that they are shipped in; gettext's tools aren't needed to check them.

They are to change them, in `visual_search/`: `django-admin makemessages --all --no-wrap --no-obsolete --add-location
file -i "admin/*" -i "templates/admin/*" -i "models/*" -i apps.py`, and then `django-admin compilemessages`.
"""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import django
import pytest
import rest_framework
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template import Context, Engine
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.test import Client
from django.utils.text import Truncator
from django.utils.translation import trim_whitespace

from tests import factories

PACKAGE = Path(__file__).resolve().parent.parent / "visual_search"
LOCALE = PACKAGE / "locale"
LANGUAGES = sorted(path.name for path in LOCALE.iterdir())
TEMPLATES = sorted((PACKAGE / "templates" / "visual_search").glob("*.html"))
MODULES = (PACKAGE / "views.py", PACKAGE / "templatetags" / "visual_search.py")
SHOWN = {
    "alt", "aria-label", "placeholder", "title", "data-busy", "data-failed", "data-part", "data-too-large",
    "data-visual-search-stand",
}  # fmt: skip
"""Attributes with words that customers are shown, or told."""


class Message(NamedTuple):
    context: str
    singular: str
    plural: str


def messages() -> set[Message]:
    """Return what the templates and modules of the pages ask to be translated."""
    found = {message for path in TEMPLATES for message in _of_template(path)}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                found.add(Message("", ast.literal_eval(node.args[0]), ""))
    return found


def _of_template(path: Path) -> Iterator[Message]:
    nodes = Engine.get_default().from_string(path.read_text()).nodelist
    for node in nodes.get_nodes_by_type(TranslateNode):
        yield Message(_said(node.message_context), node.filter_expression.var.literal, "")
    for node in nodes.get_nodes_by_type(BlockTranslateNode):
        tokens = (node.singular, node.plural)
        singular, plural = (trim_whitespace(node.render_token_list(each)[0]) if each else "" for each in tokens)
        yield Message(_said(node.message_context), singular, plural)


def _said(context: Any) -> str:
    return str(context.resolve(Context())) if context else ""


def entries(path: Path) -> dict[Message, list[str]]:
    """Read a .po file."""
    found = {}
    for entry in path.read_text().split("\n\n")[1:]:
        lines = re.findall(r'^(msg\w+)(?:\[\d\])? ((?:".*"\n?)+)', entry, re.MULTILINE)
        parts = [(kind, "".join(map(ast.literal_eval, text.strip().split("\n")))) for kind, text in lines]
        said = dict(parts)
        message = Message(said.get("msgctxt", ""), said["msgid"], said.get("msgid_plural", ""))
        found[message] = [text for kind, text in parts if kind == "msgstr"]
    return found


def catalogue(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__has_every_word_of_the_pages_and_no_other(language: str) -> None:
    found = entries(catalogue(language))

    assert set(found) == messages()
    assert all(text.strip() for texts in found.values() for text in texts)
    assert "fuzzy" not in catalogue(language).read_text()


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__keeps_placeholders_and_fits_into_attributes(language: str) -> None:
    pattern = re.compile(r"%\(\w+\)[sd]|\{\w+\}|<[^>]*>")
    for message, texts in entries(catalogue(language)).items():
        for text in texts:
            assert sorted(pattern.findall(text)) == sorted(pattern.findall(message.singular))
            assert not set('"<>&') & set(pattern.sub("", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__is_compiled(language: str) -> None:
    path = catalogue(language)
    with path.with_suffix(".mo").open("rb") as file:
        compiled: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]

    expected: dict[Any, str] = {}
    for message, texts in entries(path).items():
        key = f"{message.context}\x04{message.singular}" if message.context else message.singular
        expected |= {(key, i): text for i, text in enumerate(texts)} if message.plural else {key: texts[0]}
    assert {key: text for key, text in compiled.items() if key} == expected


def test_words__are_not_those_that_django_translates() -> None:
    # Where there is no catalogue of ours, a page that is English but for a word or two is worse than English.
    roots = (Path(str(module.__file__)).parent for module in (django, rest_framework))
    others = {match for root in roots for path in root.rglob("locale/en/LC_MESSAGES/django.po") for match in _ids(path)}

    assert {message.singular for message in messages() if not message.context} & others == set()
    assert "Search" in others


def _ids(path: Path) -> list[str]:
    return re.findall(r'^msgid "(.+)"$', path.read_text(), re.MULTILINE)


class Words(HTMLParser):
    """Collects what a customer reads or hears of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in SHOWN and value]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.append(" ".join(data.split()))


@pytest.fixture
def pages(settings: Any, client: Client, db: None) -> Any:
    """Return a function that yields all pages, with all that they say, in the language of a customer."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    settings.LANGUAGES = [(code, code) for code in ("en-gb", "nl", *LANGUAGES)]
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"], "RECORD_EVENTS": False}
    kinds = [factories.picture("crimson"), factories.picture("crimson"), factories.picture("firebrick")]
    first, *_ = [factories.product(name="N1", brand="N2", price=None, pictures=[each]) for each in kinds]
    bare, lone = factories.product(name="N3", price=None, pictures=[]), f"/visual-search/products/{first.pk}/"
    factories.embed()
    new = factories.product(name="N4", price=None)

    def opened(language: str) -> Iterator[str]:
        search, photo = "/visual-search/search/", "/visual-search/photo/"
        for path in (lone, f"/visual-search/products/{bare.pk}/", f"/visual-search/products/{new.pk}/", photo, search):
            yield client.get(path, headers={"accept-language": language}).content.decode()
        for words in ("N1", "N1 suede", "teapot", "the", "x" * 201):
            yield client.get(search, {"text": words}, headers={"accept-language": language}).content.decode()
        for data in (factories.picture("crimson"), factories.picture("blue"), b"", b"words", factories.picture(size=8)):
            sent = {"photo": SimpleUploadedFile("photo.png", data, "image/png")}
            yield client.post(photo, sent, headers={"accept-language": language}).content.decode()

    return opened


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages__are_all_in_the_language_of_the_customer(pages: Any, language: str) -> None:
    texts = [text for texts in entries(catalogue(language)).values() for text in texts]
    pieces = [" ".join(piece.split()) for text in texts for piece in re.split(r"<[^>]*>", text)]
    known = [re.sub(r"%\\\(\w+\\\)[sd]", ".+", re.escape(piece)) for piece in pieces]
    known += [r"N\d", "x{201}", "the|teapot"]
    pattern = re.compile("|".join(f"(?:{each})" for each in known))
    for page in pages(language):
        assert f'<html lang="{language}"' in page
        found = Words(page.replace("<!doctype html>", "")).found
        assert [Truncator(each).chars(80) for each in found if not pattern.fullmatch(each)] == []


def test_pages__are_all_in_english_where_there_is_no_catalogue(pages: Any) -> None:
    tokens = re.compile(r'(?<=name="csrfmiddlewaretoken" value=")[^"]*')
    english, dutch = ([tokens.sub("", page) for page in pages(language)] for language in ("en-gb", "nl"))

    assert dutch == [page.replace('<html lang="en-gb"', '<html lang="nl"') for page in english]
