from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from PIL import Image, ImageDraw

from example_shop.catalogue.models import Category
from tests import factories, watching
from visual_search import models
from visual_search.encoders import tiny
from visual_search.exceptions import EncoderError

PHOTO = "/visual-search/photo/"
SEARCH = "/visual-search/search/"


@pytest.fixture
def shop(db: None) -> SimpleNamespace:
    shop = SimpleNamespace(
        red=factories.product(name="Red & round", pictures=[factories.picture("crimson")]),
        dark=factories.product(name="<b>Dark</b>", pictures=[factories.picture("firebrick")]),
        hidden=factories.product(name="hidden", is_public=False, pictures=[factories.picture("crimson")]),
    )
    factories.embed()
    return shop


@pytest.fixture
def coloured(settings: Any, db: None) -> dict[str, Any]:
    """A shop whose index has a part for colours: things of three colours and two shapes."""
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    things = {
        f"{colour} {shape}": factories.product(name=f"{colour} {shape}", pictures=[factories.picture(colour, shape)])
        for colour in ("crimson", "seagreen", "royalblue")
        for shape in ("circle", "bar")
    }
    factories.embed()
    return things


def knob(response: Any) -> str | None:
    found = re.search(r'name="colour"[^>]* value="([^"]*)"', response.content.decode())
    return found[1] if found else None


def upload(data: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile("photo.png", factories.picture("crimson") if data is None else data, "image/png")


def two_things() -> bytes:
    """Draw two bright things on a dark ground: the tests' encoder takes brightness for activation."""
    image = Image.new("RGB", (128, 128), "#101010")
    draw = ImageDraw.Draw(image)
    draw.rectangle((2, 2, 30, 60), fill="#f0e0d0")
    draw.rectangle((98, 66, 126, 126), fill="#d0e0f0")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def titles(response: Any) -> list[str]:
    """Return the names of the products on the page, in their order."""
    return [product.name for product in response.context.get("products") or []]


def message(response: Any) -> str:
    found = re.search(r'role="alert">(.*?)</p>', response.content.decode(), re.DOTALL)
    return found[1].strip() if found else ""


def test_photo__asks_for_one(client: Client, db: None) -> None:
    response = client.get(PHOTO)

    page = response.content.decode()
    assert (response.status_code, reverse("visual_search:photo")) == (200, PHOTO)
    assert 'type="file" name="photo"' in page
    assert 'name="csrfmiddlewaretoken"' in page
    assert "What looks like your photo" not in page


def test_photo__shows_what_looks_like_it(client: Client, shop: SimpleNamespace) -> None:
    response = client.post(PHOTO, {"photo": upload()})

    page = response.content.decode()
    search = models.SearchEvent.objects.get()
    assert response.status_code == 200
    assert titles(response) == ["Red & round", "<b>Dark</b>"]
    assert "<b>Dark</b>" not in page
    assert f'data-visual-search-event="{search.pk}:{shop.red.pk}"' in page
    assert 'data-visual-search-events="/api/visual-search/v1/events/"' in page
    assert response.headers["Cache-Control"] == "private, no-store"
    assert (search.kind, search.results) == ("photo", 2)


def test_photo__shows_no_token_to_a_browser_that_declines(client: Client, shop: SimpleNamespace) -> None:
    response = client.post(PHOTO, {"photo": upload()}, headers={"Sec-GPC": "1"})

    assert titles(response) == ["Red & round", "<b>Dark</b>"]
    assert "data-visual-search-event" not in response.content.decode()
    assert models.SearchEvent.objects.count() == 0


def test_photo__offers_the_parts_that_stand_out(client: Client, shop: SimpleNamespace) -> None:
    page = client.post(PHOTO, {"photo": upload(two_things())}).content.decode()

    offered = re.search(r'data-visual-search-regions="([^"]*)"', page)
    assert offered is not None
    assert len(offered[1].split(" ")) == 2
    for region in offered[1].split(" "):
        left, top, right, bottom = map(float, region.split(","))
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def test_photo__finds_what_is_like_a_part_of_it(client: Client, shop: SimpleNamespace) -> None:
    whole = client.post(PHOTO, {"photo": upload(two_things()), "region": ""})
    part = client.post(PHOTO, {"photo": upload(two_things()), "region": "0,0,0.5,0.5"})

    assert titles(part)
    assert [p.similarity for p in whole.context["products"]] != [p.similarity for p in part.context["products"]]
    # The page has them: they are of the whole photo.
    assert "data-visual-search-regions" not in part.content.decode()


@pytest.mark.parametrize(("limit", "said"), [(2, "The 2 best matches"), (3, "2 products found")])
def test_results__are_counted_where_they_are_all(
    client: Client, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, limit: int, said: str
) -> None:
    monkeypatch.setattr("visual_search.views.RESULTS", limit)

    assert f'role="status">{said}</p>' in client.post(PHOTO, {"photo": upload()}).content.decode()


@pytest.mark.parametrize("region", ["0,0,2,1", "1,0,0,1", "x"])
def test_photo__refuses_a_part_that_is_none(client: Client, shop: SimpleNamespace, region: str) -> None:
    response = client.post(PHOTO, {"photo": upload(), "region": region})

    assert response.status_code == 400
    assert message(response)


def test_photo__offers_no_parts_where_that_is_switched_off(
    client: Client, shop: SimpleNamespace, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "PROPOSE_REGIONS": False}

    response = client.post(PHOTO, {"photo": upload(two_things())})

    assert titles(response)
    assert "data-visual-search-regions" not in response.content.decode()


def test_photo__shows_results_where_the_parts_can_not_be_found(
    client: Client, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(encoder: Any, images: Any) -> Any:
        raise EncoderError("The device is lost.")

    monkeypatch.setattr(tiny.TinyEncoder, "feature_map", broken)

    assert titles(client.post(PHOTO, {"photo": upload()})) == ["Red & round", "<b>Dark</b>"]


def test_photo__works_without_the_api(client: Client, shop: SimpleNamespace, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.pages_only"

    page = client.post(PHOTO, {"photo": upload()}).content.decode()

    assert "data-visual-search-events" not in page
    assert "Red &amp; round" in page


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (None, 400, "Please choose a photo first."),
        (b"", 422, "We can&#x27;t read this picture. Please save it again, or choose another one."),
        (b"words", 415, "We can read JPEG, PNG and WebP pictures. Please save yours as one of these."),
        (factories.picture(size=8), 422, "This picture is very small. Please choose one that shows a little more."),
        (b"1" * (10 * 2**20 + 1), 413, "This photo is larger than 10 MB. Please choose a smaller one."),
        (b"1" * (11 * 2**20), 413, "This photo is larger than 10 MB. Please choose a smaller one."),
    ],
)
def test_photo__says_what_is_wrong(
    client: Client, shop: SimpleNamespace, data: bytes | None, status: int, text: str
) -> None:
    response = client.post(PHOTO, {} if data is None else {"photo": upload(data)})

    assert (response.status_code, message(response)) == (status, text)
    assert 'type="file" name="photo"' in response.content.decode()


def test_photo__wants_one_at_a_time(client: Client, shop: SimpleNamespace) -> None:
    response = client.post(PHOTO, {"photo": [upload(), upload()]})

    assert (response.status_code, message(response)) == (400, "Please choose one photo at a time.")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"x", "multipart/form-data", 400), (b"photo=x", "application/x-www-form-urlencoded", 400), (b"x", "a/b", 400)],
)
def test_photo__survives_a_request_that_it_can_not_read(
    client: Client, shop: SimpleNamespace, body: bytes, content_type: str, status: int
) -> None:
    assert client.generic("POST", PHOTO, body, content_type).status_code == status


def test_photo__is_pending_before_the_first_index(client: Client, db: None) -> None:
    response = client.post(PHOTO, {"photo": upload()})

    assert (response.status_code, titles(response)) == (200, [])
    assert "still looking at our own pictures" in response.content.decode()


def test_photo__finds_nothing_in_an_empty_shop(client: Client, shop: SimpleNamespace) -> None:
    shop.red.delete()
    shop.dark.delete()

    response = client.post(PHOTO, {"photo": upload()})

    assert "We found nothing that looks like it." in response.content.decode()


def test_photo__is_unavailable_without_its_encoder(client: Client, shop: SimpleNamespace) -> None:
    models.SearchIndex.objects.update(encoders=["timm:nothing_of_this_name"])

    response = client.post(PHOTO, {"photo": upload()})

    assert (response.status_code, response.headers["Retry-After"], message(response)) == (
        503,
        "60",
        "Search by photo is having a rest. Please try again in a minute.",
    )


def test_photo__is_unavailable_while_the_database_is_away(client: Client, shop: SimpleNamespace) -> None:
    def away(execute: Any, *arguments: Any) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(away):
        response = client.post(PHOTO, {"photo": upload()})

    assert (response.status_code, message(response)) == (
        503,
        "We can&#x27;t look into our shelves right now. Please try again in a minute.",
    )


def shelves(request: Any) -> dict[str, Any]:
    """Count what a shop's own templates have in every page's head."""
    return {"shelves": Category.objects.count()}


def times_out(needle: str) -> Any:
    """Have the first statement with `needle` in it, and none after it, meet Postgres's own timeout."""
    met = []

    def execute_slowly(execute: Any, sql: Any, *arguments: Any) -> Any:
        if needle not in str(sql) or met:
            return execute(sql, *arguments)
        met.append(sql)
        execute("SET LOCAL statement_timeout = 50", None, *arguments[1:])
        return execute("SELECT pg_sleep(5)", None, *arguments[1:])

    return connection.execute_wrapper(execute_slowly)


@pytest.mark.parametrize(
    ("needle", "ask"),
    [
        ('FROM "catalogue_product"', lambda client, red: client.get(similar(red.pk))),
        ("visual_search_searchindex", lambda client, red: client.get(similar(red.pk))),
        ("querytree", lambda client, red: client.get(SEARCH, {"text": "red"})),
        ('FROM "catalogue_product"', lambda client, red: client.post(PHOTO, {"photo": upload()})),
        ("visual_search_searchindex", lambda client, red: client.get(PHOTO)),
    ],
)
def test_pages__in_a_transaction_that_a_timeout_has_broken(
    client: Client, shop: SimpleNamespace, settings: Any, needle: str, ask: Any
) -> None:
    options = settings.TEMPLATES[0]["OPTIONS"]
    processors = [*options["context_processors"], "tests.test_views.shelves"]
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": {**options, "context_processors": processors}}]
    assert connection.in_atomic_block  # as ATOMIC_REQUESTS has it

    with times_out(needle):
        response = ask(client, shop.red)

    # The form and the page need no colour.
    assert response.status_code == (200 if needle == "visual_search_searchindex" else 503)
    assert response.context["shelves"] == 1


def test_photo__is_throttled(client: Client, shop: SimpleNamespace, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search_upload": "1/min"}}

    first, second = (client.post(PHOTO, {"photo": upload()}) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 429)
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert message(second) == "That was a lot in a short time. Please wait a minute, then try again."


def test_photo__is_protected_from_forged_requests(shop: SimpleNamespace) -> None:
    client = Client(enforce_csrf_checks=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(PHOTO).content.decode())
    assert token

    forged = client.post(PHOTO, {"photo": upload()})
    honest = client.post(PHOTO, {"photo": upload(), "csrfmiddlewaretoken": token[1]})

    assert (forged.status_code, honest.status_code) == (403, 200)


def test_photo__of_six_megabytes_never_becomes_a_file(shop: SimpleNamespace) -> None:
    # With the check of the CSRF token, which is what reads the body.
    client = Client(enforce_csrf_checks=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(PHOTO).content.decode())
    assert token
    photo = upload(factories.picture(kind="JPEG") + b"\0" * (6 * 2**20))

    with watching.files() as created:
        response = client.post(PHOTO, {"photo": photo, "csrfmiddlewaretoken": token[1]})

    assert len(titles(response)) == 2
    assert created == []


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_photo__does_not_answer_to_other_methods(client: Client, db: None, method: str) -> None:
    assert getattr(client, method)(PHOTO).status_code == 405


def similar(key: object) -> str:
    return f"/visual-search/products/{key}/"


def test_similar__shows_the_product_and_what_looks_like_it(client: Client, shop: SimpleNamespace) -> None:
    response = client.get(similar(shop.red.pk))

    page = response.content.decode()
    search = models.SearchEvent.objects.get()
    assert reverse("visual_search:similar", args=[shop.red.pk]) == similar(shop.red.pk)
    assert titles(response) == ["<b>Dark</b>"]
    assert "Similar to Red &amp; round" in page
    assert shop.red.images.get().image.url in page
    assert f'href="/products/{shop.red.pk}/"' in page
    assert f'data-visual-search-event="{search.pk}:{shop.dark.pk}"' in page
    assert (search.kind, search.product_id, search.results) == ("similar", shop.red.pk, 1)


def test_similar__is_pending_until_the_product_is_embedded(client: Client, shop: SimpleNamespace) -> None:
    new = factories.product()

    assert "This one is new" in client.get(similar(new.pk)).content.decode()


def test_similar__is_unavailable_without_a_picture(client: Client, shop: SimpleNamespace) -> None:
    bare = factories.product(pictures=[])
    factories.embed()

    assert "We have no picture of this one" in client.get(similar(bare.pk)).content.decode()


def test_similar__of_the_only_product(client: Client, shop: SimpleNamespace) -> None:
    shop.dark.delete()

    assert "We have nothing else" in client.get(similar(shop.red.pk)).content.decode()


@pytest.mark.parametrize("key", ["987654", "none", "%00", "9" * 40])
def test_similar__knows_no_such_product(client: Client, shop: SimpleNamespace, key: str) -> None:
    unknown, hidden = client.get(similar(key)), client.get(similar(shop.hidden.pk))

    assert (unknown.status_code, hidden.status_code) == (404, 404)
    tokens = re.compile(rb'(?<=name="csrfmiddlewaretoken" value=")[^"]*')
    assert tokens.sub(b"", unknown.content) == tokens.sub(b"", hidden.content)


def test_similar__is_throttled_with_the_api(client: Client, shop: SimpleNamespace, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search": "2/min"}}
    api = reverse("visual_search_api:similar", args=[shop.red.pk])

    answers = [client.get(similar(shop.red.pk)), client.get(api), client.get(similar(shop.red.pk))]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
    assert message(answers[2]) == "That was a lot in a short time. Please wait a minute, then try again."
    assert models.SearchEvent.objects.count() == 2


def test_similar__records_nothing_that_only_asks_for_headers(client: Client, shop: SimpleNamespace) -> None:
    assert client.head(similar(shop.red.pk)).status_code == 200
    assert models.SearchEvent.objects.count() == 0


def test_similar__is_unavailable_while_the_vectors_are_away(client: Client, shop: SimpleNamespace) -> None:
    def away(execute: Any, sql: str, *arguments: Any) -> Any:
        if "catalogue_product" in sql:
            raise OperationalError("connection refused")
        return execute(sql, *arguments)

    with connection.execute_wrapper(away):
        response = client.get(similar(shop.red.pk))

    assert (response.status_code, response.headers["Retry-After"], message(response)) == (
        503,
        "10",
        "We can&#x27;t look into our shelves right now. Please try again in a minute.",
    )


@pytest.mark.parametrize("templates", ["shop", "package"])
@pytest.mark.parametrize("hook", ["images", "title", "url", "thumbnail"])
def test_similar__shows_products_that_the_catalog_can_not_describe(
    client: Client, shop: SimpleNamespace, settings: Any, monkeypatch: pytest.MonkeyPatch, templates: str, hook: str
) -> None:
    if templates == "package":
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    monkeypatch.setattr(f"example_shop.catalogue.visual_search.ShopCatalog.{hook}", lambda self, product: 1 / 0)

    response = client.get(similar(shop.red.pk))

    assert (response.status_code, titles(response)) == (200, ["<b>Dark</b>"])
    assert (f"Similar to {shop.red.pk}" in response.content.decode()) == (hook == "title")


@pytest.mark.parametrize("templates", ["shop", "package"])
def test_pages__are_not_indexed(client: Client, shop: SimpleNamespace, settings: Any, templates: str) -> None:
    if templates == "package":
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]

    for address in (PHOTO, similar(shop.red.pk)):
        assert '<meta name="robots" content="noindex">' in client.get(address).content.decode()


@pytest.mark.parametrize("templates", ["shop", "package"])
def test_photo__tells_the_script_how_large_it_may_be(client: Client, db: None, settings: Any, templates: str) -> None:
    if templates == "package":
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    settings.USE_THOUSAND_SEPARATOR = True
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "UPLOAD_MAX_BYTES": 5_000_000}

    page = client.get(PHOTO).content.decode()

    assert page.count("data-visual-search-upload") == page.count('data-max-bytes="5000000"') > 0


def test_similar__is_only_read(client: Client, shop: SimpleNamespace) -> None:
    assert client.post(similar(shop.red.pk)).status_code == 405


@pytest.mark.parametrize("name", ["photo", "similar"])
def test_pages__stand_on_their_own(client: Client, shop: SimpleNamespace, settings: Any, name: str) -> None:
    # Without the shop's own base.html and cards.
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]

    response = client.post(PHOTO, {"photo": upload()}) if name == "photo" else client.get(similar(shop.red.pk))

    content = response.content.decode()
    assert re.match(r'<!doctype html>\n<html lang="en[-a-z]*" dir="ltr">', content)
    assert '<article class="vs-product">' in content
    assert "&lt;b&gt;Dark&lt;/b&gt;" in content
    assert not re.search(r"<style|<script(?! type=\"module\" src=)|\sstyle=|\son\w+=", content)


@pytest.mark.parametrize("own", [True, False], ids=["the package's templates", "the shop's"])
def test_search__asks_for_words(client: Client, db: None, settings: Any, own: bool) -> None:
    if own:
        settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    response = client.get(SEARCH)

    page = response.content.decode()
    assert (response.status_code, reverse("visual_search:search")) == (200, SEARCH)
    assert len(re.findall(r'<input [^>]*type="search" name="text"[^>]* value=""', page)) == 1
    assert 'type="file" name="photo"' in page
    assert "Results for" not in page
    assert models.SearchEvent.objects.count() == 0


def test_search__shows_what_is_called_so(client: Client, shop: SimpleNamespace) -> None:
    response = client.get(SEARCH, {"text": "red ROUND"})

    page = response.content.decode()
    search = models.SearchEvent.objects.get()
    assert titles(response) == ["Red & round"]
    assert (search.kind, search.results) == ("text", 1)
    assert f'data-visual-search-event="{search.pk}:{shop.red.pk}"' in page
    assert "Results for “red ROUND”" in page
    assert page.count('value="red ROUND"') == 1
    assert response.headers["Cache-Control"] == "private, no-cache"


def test_search__shows_what_has_some_of_the_words_and_says_so(client: Client, shop: SimpleNamespace) -> None:
    response = client.get(SEARCH, {"text": "red suede teapot"})

    assert titles(response) == ["Red & round"]
    assert "No product has all of these words; here is what has some of them." in response.content.decode()
    assert "No product has all" not in client.get(SEARCH, {"text": "red"}).content.decode()


def test_search__finds_nothing_and_says_so(client: Client, shop: SimpleNamespace) -> None:
    for words in ("hidden", "nothing of the kind"):
        response = client.get(SEARCH, {"text": words})
        assert (response.status_code, titles(response)) == (200, [])
        assert "We found nothing that is called so." in response.content.decode()


@pytest.mark.parametrize(
    ("words", "said"), [("the", "There is nothing in these words"), ("x" * 201, "That was a lot of words.")]
)
def test_search__for_words_that_make_no_sense(client: Client, shop: SimpleNamespace, words: str, said: str) -> None:
    response = client.get(SEARCH, {"text": words})

    assert response.status_code == 400
    assert message(response).startswith(said)


def test_search__escapes_what_was_asked(client: Client, shop: SimpleNamespace) -> None:
    assert "<script>alert" not in client.get(SEARCH, {"text": '"><script>alert(1)</script>'}).content.decode()


def test_search__too_often(client: Client, shop: SimpleNamespace, settings: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search": "1/min"}}

    assert [client.get(SEARCH, {"text": "red"}).status_code for _ in range(2)] == [200, 429]
    assert client.get(SEARCH).status_code == 200


def test_photo__with_words(client: Client, shop: SimpleNamespace) -> None:
    response = client.post(PHOTO, {"photo": upload(), "text": " -dark round "})

    assert titles(response)[0] == "Red & round"
    assert 'value="-dark round"' in response.content.decode()
    refused = client.post(PHOTO, {"photo": upload(), "text": "the"})
    assert (refused.status_code, message(refused)[:10]) == (400, "There is n")


def test_colour__is_chosen_on_the_page_of_similar_products(client: Client, coloured: dict[str, Any]) -> None:
    address = reverse("visual_search:similar", args=[coloured["crimson circle"].pk])

    usual, alike = client.get(address), client.get(address, {"colour": "1"})
    wrong = client.get(address, {"colour": ["9", "x"]})

    assert (knob(usual), knob(alike), knob(wrong)) == ("0.2", "1.0", "0.2")
    assert titles(alike)[0] == "crimson bar"
    assert titles(alike) != titles(client.get(address, {"colour": "0"}))
    assert titles(wrong) == titles(usual)


def test_colour__is_chosen_beside_the_photo(client: Client, coloured: dict[str, Any]) -> None:
    assert knob(client.get(PHOTO)) == "0.2"
    found = client.post(PHOTO, {"photo": upload(factories.picture("royalblue", "bar")), "colour": "1.0"})

    assert knob(found) == "1.0"
    assert {name.split()[0] for name in titles(found)[:2]} == {"royalblue"}


def test_photo__keeps_what_was_typed_where_something_is_wrong(client: Client, coloured: dict[str, Any]) -> None:
    response = client.post(PHOTO, {"photo": upload(b"words"), "text": " of leather ", "colour": "0.7"})

    assert (response.status_code, knob(response)) == (415, "0.7")
    assert 'value="of leather"' in response.content.decode()


def test_photo__offers_the_knob_to_whoever_asks_too_often(
    client: Client, coloured: dict[str, Any], settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "API_RATES": {"visual_search_upload": "1/min"}}
    client.post(PHOTO, {"photo": upload()})

    response = client.post(PHOTO, {"photo": upload(), "colour": "0.7"})

    # Without a look at what was sent: reading it is some of the work that is saved.
    assert (response.status_code, knob(response)) == (429, "0.2")
    assert not hasattr(response.wsgi_request, "_files")


def test_colour__is_not_offered_where_it_does_nothing(
    client: Client, shop: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    similar = reverse("visual_search:similar", args=[shop.red.pk])
    asked = client.get(similar, {"colour": "0.9"})

    assert (asked.status_code, knob(asked), knob(client.get(PHOTO))) == (200, None, None)

    def lost(*_: Any, **__: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(type(models.SearchIndex.objects.all()), "live", lost)
    assert client.get(PHOTO).status_code == 200
