from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests import factories
from visual_search import models

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed: `make browser` installs it."),
]

OPERATIONS = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
DOCUMENTED = re.findall(r"^Content-Security-Policy: (.*)$", OPERATIONS.read_text(), re.MULTILINE)
POLICY = "; ".join([*DOCUMENTED, "base-uri 'none'", "require-trusted-types-for 'script'"])
"""A shop with a strict policy: the one of the docs, and no string that becomes HTML."""


@pytest.fixture
def shop(settings: Any, tmp_path: Path) -> SimpleNamespace:
    # The shop's own pages, and not its versions of ours: what is looked at here is the package's.
    own, others = Path(settings.TEMPLATES[0]["DIRS"][0]), tmp_path / "templates"
    shutil.copytree(own, others, ignore=shutil.ignore_patterns("visual_search"))
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [others]}]
    shop = SimpleNamespace(
        red=factories.product(name="Red", pictures=[factories.picture("crimson")]),
        dark=factories.product(name="Dark", pictures=[factories.picture("firebrick")]),
    )
    factories.embed()
    return shop


@pytest.fixture
def window(chromium: Any, live_server: Any) -> Iterator[Any]:
    """Yield a function that opens an address of the shop in a browser of its own, under a strict policy."""

    def guarded(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})

    def opened(path: str, **options: Any) -> Any:
        page = chromium.new_context(**options).new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: page.problems.append(said.text) if "Security Policy" in said.text else None)
        page.route("**/visual-search/**", lambda r: guarded(r) if r.request.method == "GET" else r.continue_())
        page.goto(live_server.url + path)
        return page

    yield opened
    for context in chromium.contexts:
        context.close()


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return a photo of 12 megapixels, as a phone takes it: sideways, with a note that says so."""
    image = Image.open(io.BytesIO(factories.picture("crimson"))).resize((4000, 3000))
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[274] = 6
    image.save(path, quality=95, exif=exif)
    return path


def titles(page: Any) -> list[str]:
    page.wait_for_selector(".vs-results, .vs-message")
    return [str(text) for text in page.locator(".vs-title").all_inner_texts()]


def sent(request: Any) -> bytes:
    """Return the file of a multipart request."""
    body = request.post_data_buffer
    boundary = request.headers["content-type"].split("boundary=")[1].encode()
    part = next(part for part in body.split(b"--" + boundary) if b'name="photo"' in part)
    return part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")


def test_upload__works_without_javascript(window: Any, shop: SimpleNamespace, big: Path) -> None:
    page = window("/visual-search/photo/", java_script_enabled=False)

    page.set_input_files("#vs-photo", big)
    page.get_by_role("button", name="Find it").click()

    assert titles(page) == ["Red", "Dark"]


def test_upload__sends_a_small_upright_picture_and_stays_on_the_page(
    window: Any, shop: SimpleNamespace, big: Path, tmp_path: Path
) -> None:
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", big)
    page.locator("[data-visual-search-preview]").wait_for(state="visible")

    with page.expect_request(lambda request: request.method == "POST") as posted:
        page.get_by_role("button", name="Find it").click()

    assert titles(page) == ["Red", "Dark"]
    (tmp_path / "sent.jpg").write_bytes(sent(posted.value))
    with Image.open(tmp_path / "sent.jpg") as image:
        assert (image.format, image.size, image.getexif().get(274, 1)) == ("JPEG", (960, 1280), 1)
    assert page.evaluate("document.activeElement.id") == "vs-results"
    # Large, with its parts, in place of the preview.
    assert page.locator(".vs-photo").is_visible()
    assert page.locator("[data-visual-search-preview]").is_hidden()
    drawn = "canvas => [canvas.width, canvas.height, ...canvas.getContext('2d').getImageData(480, 640, 1, 1).data]"
    assert page.locator(".vs-photo").evaluate(drawn) == pytest.approx([960, 1280, 220, 20, 60, 255], abs=4)
    assert page.locator("[data-visual-search-status]").inner_text() == ""
    assert page.evaluate("history.length") <= 2
    assert page.problems == []


def test_upload__sends_a_small_picture_as_it_is(window: Any, shop: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(factories.picture("crimson"))
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", tmp_path / "small.png")

    with page.expect_request(lambda request: request.method == "POST") as posted:
        page.get_by_role("button", name="Find it").click()

    assert titles(page) == ["Red", "Dark"]
    assert b'filename="small.png"' in posted.value.post_data_buffer


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_upload__takes_what_is_dropped_or_pasted(window: Any, shop: SimpleNamespace, way: str) -> None:
    page = window("/visual-search/photo/")

    page.evaluate(
        """([way, encoded]) => {
            const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], "a.png", { type: "image/png" }));
            const target = document.querySelector("[data-visual-search-drop]");
            target.dispatchEvent(way === "drop"
                ? new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true }));
        }""",
        [way, base64.b64encode(factories.picture("crimson")).decode()],
    )

    assert titles(page) == ["Red", "Dark"]
    assert page.problems == []


def test_upload__shows_what_is_wrong_and_goes_on(window: Any, shop: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("no picture")
    (tmp_path / "good.png").write_bytes(factories.picture("crimson"))
    page = window("/visual-search/photo/")

    page.set_input_files("#vs-photo", tmp_path / "words.jpg")
    page.get_by_role("button", name="Find it").click()
    page.wait_for_selector("[role=alert]")
    assert page.locator("[role=alert]").inner_text().startswith("We can read JPEG, PNG and WebP pictures.")

    page.set_input_files("#vs-photo", tmp_path / "good.png")
    page.get_by_role("button", name="Find it").click()
    page.wait_for_selector(".vs-results")
    assert titles(page) == ["Red", "Dark"]


def test_upload__does_not_send_what_is_too_large(
    window: Any, shop: SimpleNamespace, tmp_path: Path, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "UPLOAD_MAX_BYTES": 1000}
    (tmp_path / "words.jpg").write_bytes(b"x" * 1001)
    page = window("/visual-search/photo/")
    posted = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)

    page.set_input_files("#vs-photo", tmp_path / "words.jpg")
    page.get_by_role("button", name="Find it").click()
    page.get_by_text("This photo is too large.").wait_for()

    assert posted == []
    assert page.get_by_role("button", name="Find it").is_enabled()


def test_upload__says_so_when_the_shop_does_not_answer(window: Any, shop: SimpleNamespace, big: Path) -> None:
    page = window("/visual-search/photo/")
    page.route("**/photo/", lambda route: route.abort())

    page.set_input_files("#vs-photo", big)
    page.get_by_role("button", name="Find it").click()

    page.get_by_text("That did not work. Please try again.").wait_for()
    assert page.get_by_role("button", name="Find it").is_enabled()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a photo of two bright things on a dark ground, which the tests' encoder tells apart."""
    image = Image.new("RGB", (400, 400), "#101010")
    draw = ImageDraw.Draw(image)
    draw.rectangle((6, 6, 94, 190), fill="#f0e0d0")
    draw.rectangle((306, 206, 394, 394), fill="#d0e0f0")
    image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def searched(page: Any, press: Any) -> str:
    """Return the region that is sent when `press` is called, once its results are there."""
    with page.expect_response(lambda response: response.request.method == "POST") as answered:
        press()
    page.wait_for_selector("form[aria-busy=false]")
    body = answered.value.request.post_data_buffer
    return body.split(b'name="region"\r\n\r\n')[1].split(b"\r\n")[0].decode() if b'name="region"' in body else ""


def test_regions__can_be_picked_by_touch_and_given_up_again(window: Any, shop: SimpleNamespace, scene: Path) -> None:
    page = window("/visual-search/photo/", viewport={"width": 390, "height": 844}, has_touch=True)
    page.set_input_files("#vs-photo", scene)
    assert searched(page, page.get_by_role("button", name="Find it").click) == ""
    parts = page.locator(".vs-region")
    whole = page.get_by_role("button", name="Whole photo")
    assert parts.count() == 2
    assert page.locator("[data-visual-search-preview]").is_hidden()
    frame, part = page.locator(".vs-photo").bounding_box(), parts.first.bounding_box()
    left, top, _, bottom = map(float, parts.first.get_attribute("value").split(","))
    assert part["x"] == pytest.approx(frame["x"] + left * frame["width"], abs=1)
    assert part["height"] == pytest.approx((bottom - top) * frame["height"], abs=1)

    sent = searched(page, parts.first.tap)

    assert sent == parts.first.get_attribute("value")
    assert [each.get_attribute("aria-pressed") for each in (parts.first, whole)] == ["true", "false"]
    assert page.locator("[data-visual-search-found]").inner_text() == "2 products found"
    assert parts.count() == 2
    assert page.locator(".vs-photo").bounding_box()["y"] == frame["y"]

    assert searched(page, parts.first.tap) == ""
    assert whole.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.problems == []


def test_regions__leave_the_preview_where_there_are_none(
    window: Any, shop: SimpleNamespace, scene: Path, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "PROPOSE_REGIONS": False}
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", scene)

    searched(page, page.get_by_role("button", name="Find it").click)

    assert page.locator("[data-visual-search-stage]").is_hidden()
    assert page.locator("[data-visual-search-preview]").is_visible()


def test_regions__can_be_picked_with_the_keyboard(window: Any, shop: SimpleNamespace, scene: Path) -> None:
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", scene)
    searched(page, page.get_by_role("button", name="Find it").click)
    second = page.get_by_role("button", name="Part 2 of your photo")

    page.get_by_role("button", name="Part 1 of your photo").focus()
    page.keyboard.press("Tab")
    assert searched(page, lambda: page.keyboard.press("Enter")) == second.get_attribute("value")

    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Part 2 of your photo"
    assert second.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    assert searched(page, lambda: page.keyboard.press("Space")) == ""
    assert page.problems == []


def test_regions__go_with_their_photo(window: Any, shop: SimpleNamespace, scene: Path, big: Path) -> None:
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", scene)
    searched(page, page.get_by_role("button", name="Find it").click)
    searched(page, page.locator(".vs-region").first.click)

    page.set_input_files("#vs-photo", big)

    assert page.locator("[data-visual-search-stage]").is_hidden()
    page.locator("[data-visual-search-preview]").wait_for(state="visible")
    assert searched(page, page.get_by_role("button", name="Find it").click) == ""


def test_regions__stay_picked_when_the_knob_moves(
    window: Any, shop: SimpleNamespace, scene: Path, settings: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    models.SearchIndex.objects.all().delete()
    factories.embed()
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", scene)
    searched(page, page.get_by_role("button", name="Find it").click)
    picked = searched(page, page.locator(".vs-region").first.click)
    page.locator("#vs-colour").focus()

    assert searched(page, lambda: page.keyboard.press("End")) == picked != ""

    assert page.locator(".vs-region").first.get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.activeElement.id") == "vs-colour"
    assert searched(page, page.get_by_role("button", name="Find it").click) == ""
    assert page.problems == []


def test_regions__stay_as_they_were_when_the_shop_does_not_answer(
    window: Any, shop: SimpleNamespace, scene: Path
) -> None:
    page = window("/visual-search/photo/")
    page.set_input_files("#vs-photo", scene)
    searched(page, page.get_by_role("button", name="Find it").click)
    before = titles(page)
    page.route("**/photo/", lambda route: route.abort())

    page.locator(".vs-region").first.click()

    page.get_by_text("That did not work. Please try again.").wait_for()
    assert page.get_by_role("button", name="Whole photo").get_attribute("aria-pressed") == "true"
    assert titles(page) == before


@pytest.mark.parametrize(("button", "recorded"), [("left", 1), ("middle", 1), ("right", 0)])
def test_report__tells_which_result_was_opened(window: Any, shop: SimpleNamespace, button: str, recorded: int) -> None:
    page = window(f"/visual-search/products/{shop.red.pk}/")
    posted = []
    page.context.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)

    page.get_by_role("link", name="Dark").click(button=button)
    page.wait_for_timeout(100)
    for each in page.context.pages:
        each.wait_for_load_state("networkidle")

    clicked = models.ResultEvent.objects.filter(clicked_at__isnull=False)
    assert [event.product_id for event in clicked] == [shop.dark.pk] * recorded
    assert len(posted) == recorded


def test_report__is_not_made_by_a_browser_that_declines(window: Any, shop: SimpleNamespace) -> None:
    page = window(f"/visual-search/products/{shop.red.pk}/", extra_http_headers={"Sec-GPC": "1"})

    page.get_by_role("link", name="Dark").click()
    page.wait_for_url(f"**/products/{shop.dark.pk}/", wait_until="networkidle")

    assert models.SearchEvent.objects.count() == 0


def test_colour__where_the_knob_stands_is_said_in_words(window: Any, settings: Any, shop: SimpleNamespace) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    models.SearchIndex.objects.all().delete()
    factories.embed()
    page = window("/visual-search/photo/")
    knob = page.locator("#vs-colour")
    assert knob.get_attribute("aria-valuetext") == "colour 2 of 10, shape 8 of 10"

    knob.press("ArrowRight")

    assert knob.get_attribute("aria-valuetext") == "colour 3 of 10, shape 7 of 10"


def test_colour__the_results_follow_the_knob(window: Any, settings: Any, shop: SimpleNamespace) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    factories.product(name="Twin", pictures=[factories.picture("crimson", "bar")])
    models.SearchIndex.objects.all().delete()
    factories.embed()
    page = window(f"/visual-search/products/{shop.red.pk}/")
    assert titles(page) == ["Twin", "Dark"]
    assert not page.locator("[data-visual-search-knob] button").is_visible()

    page.locator("#vs-colour").focus()
    for key, share, first in (("Home", 0, "Dark"), ("End", 1, "Twin")):
        page.keyboard.press(key)
        page.wait_for_url(f"**colour={share}")
        assert titles(page)[0] == first

    assert page.evaluate("document.activeElement.id") == "vs-colour"
    assert page.problems == []
