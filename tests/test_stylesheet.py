"""What customers see of the stylesheet, in a shop that has a page of its own around ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import factories

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed: `make browser` installs it."),
]

PAGE = """{% load visual_search %}<!doctype html>
<html lang="en">
  <head>
    <meta name="viewport" content="width=device-width, initial-scale=1"><title>A shop</title>
    <style>STYLE</style>{% visual_search_assets %}
  </head>
  <body>{% block content %}{% endblock %}{% find_similar_button product %}{% similar_products product %}</body>
</html>
"""
"""A shop's page, with a style of its own before ours."""

COLOURS = """() => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "Canvas";
    const bottom = getComputedStyle(probe).color;
    probe.remove();
    const mixed = (colours) => {
        for (const colour of colours) {
            context.fillStyle = colour;
            context.fillRect(0, 0, 1, 1);
        }
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const written = (each) => each.matches("input[type=text], input[type=search]")
        || [...each.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const shown = [...document.body.querySelectorAll("*")].filter((each) => each.checkVisibility() && written(each));
    return shown.map((each) => {
        const ground = [bottom];
        for (let one = each; one; one = one.parentElement) ground.splice(1, 0, getComputedStyle(one).backgroundColor);
        const words = getComputedStyle(each).color;
        return [each.className || each.id || each.tagName, mixed([...ground, words]), mixed(ground)];
    });
}"""
"""Of each element with words: its name, the colour of the words, and that of what is behind them."""


@pytest.fixture
def shop(settings: Any, tmp_path: Path) -> SimpleNamespace:
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny", "colour"]}
    products = [factories.product(brand="Anker", pictures=[factories.picture("crimson")]) for _ in range(7)]
    factories.embed()
    (tmp_path / "visual_search").mkdir()
    return SimpleNamespace(products=products, base=tmp_path / "visual_search" / "base.html")


@pytest.fixture
def window(chromium: Any, live_server: Any) -> Iterator[Any]:
    """Yield a function that opens an address of the shop in a browser of its own."""

    def opened(path: str, **options: Any) -> Any:
        page = chromium.new_context(**options).new_page()
        page.goto(live_server.url + path)
        return page

    yield opened
    for context in chromium.contexts:
        context.close()


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: list[int]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("system", ["light", "dark"])
@pytest.mark.parametrize("style", [None, "", ":root { color-scheme: light dark }", ":root { color-scheme: dark }"])
def test_colours__can_be_read_on_the_shops_own_page(
    window: Any, shop: SimpleNamespace, style: str | None, system: str
) -> None:
    if style is not None:
        shop.base.write_text(PAGE.replace("STYLE", style))
    for path in (f"products/{shop.products[0].pk}/", "search/?text=product+suede", "search/?text=the", "photo/"):
        page = window(f"/visual-search/{path}", color_scheme=system)
        seen = page.evaluate(COLOURS)
        assert len(seen) > 3
        assert [(name, *colours) for name, *colours in seen if contrast(*colours) < 4.5] == []


def test_colours__of_a_light_shop_are_the_same_wherever_it_is_dark(window: Any, shop: SimpleNamespace) -> None:
    shop.base.write_text(PAGE.replace("STYLE", ""))
    path = f"/visual-search/products/{shop.products[0].pk}/"

    light, dark = (window(path, color_scheme=system).evaluate(COLOURS) for system in ("light", "dark"))

    assert light == dark


@pytest.mark.parametrize("width", [1280, 390])
def test_strip__is_one_row_that_a_keyboard_moves(window: Any, shop: SimpleNamespace, width: int) -> None:
    shop.base.write_text(PAGE.replace("STYLE", "body { margin: 0; display: grid } body > * { grid-column: 1 }"))
    page = window(f"/visual-search/products/{shop.products[0].pk}/", viewport={"width": width, "height": 800})
    strip, items = page.locator(".vs-strip .vs-results"), page.locator(".vs-strip li")
    rows = {item.bounding_box()["y"] for item in items.all()}
    assert (items.count(), len(rows)) == (6, 1)
    assert strip.evaluate("each => each.scrollWidth > each.clientWidth") == (width == 390)
    assert page.evaluate("document.documentElement.scrollWidth") == width

    items.nth(0).get_by_role("link").focus()
    for _ in range(5):
        page.keyboard.press("Tab")

    last = items.nth(5)
    assert last.get_by_role("link").evaluate("each => each === document.activeElement")
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= width
    ring = "each => { const ring = getComputedStyle(each, '::after'); return [ring.outlineStyle, ring.outlineOffset]; }"
    assert last.get_by_role("link").evaluate(ring) == ["solid", "-3px"]


def test_strip__of_few_products_is_no_wider_than_its_pictures(window: Any, shop: SimpleNamespace) -> None:
    for product in shop.products[3:]:
        product.delete()
    shop.base.write_text(PAGE.replace("STYLE", ""))
    page = window(f"/visual-search/products/{shop.products[0].pk}/", viewport={"width": 1280, "height": 800})

    widths = [item.bounding_box()["width"] for item in page.locator(".vs-strip li").all()]

    assert (len(widths), max(widths) < 240) == (2, True)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_colours__of_the_shop_hold_before_the_stylesheet_too(window: Any, shop: SimpleNamespace, system: str) -> None:
    shop.base.write_text(PAGE.replace("STYLE", ":root { --vs-accent: rgb(1, 2, 3) }"))
    page = window(f"/visual-search/products/{shop.products[0].pk}/", color_scheme=system)

    button = page.locator(".vs-find-similar")

    assert button.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(1, 2, 3)"
