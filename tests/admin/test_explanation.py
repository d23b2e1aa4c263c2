from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def address(db: None) -> str:
    return reverse("admin:visual_search_explain")


@pytest.fixture
def client(staff: Callable[..., Client]) -> Client:
    return staff("view_analytics")


@pytest.fixture
def shop(db: None) -> SimpleNamespace:
    shop = SimpleNamespace(
        red=factories.product(name="Red & round", pictures=[factories.picture("crimson")]),
        dark=factories.product(name="<b>Dark</b>", pictures=[factories.picture("firebrick")]),
        hidden=factories.product(name="hidden", is_public=False, pictures=[factories.picture("crimson")]),
    )
    factories.embed()
    return shop


def test_page__asks_for_a_product(address: str, client: Client) -> None:
    html = client.get(address).content.decode()

    assert 'name="product" value=""' in html
    assert "Similar to" not in html


def test_page__shows_the_results_of_a_product(address: str, client: Client, shop: SimpleNamespace) -> None:
    html = client.get(address, {"product": shop.red.pk}).content.decode()

    assert f'href="?product={shop.red.pk}&amp;result={shop.dark.pk}"' in html
    assert "<b>Dark</b>" not in html
    assert "hidden" not in re.sub(
        r"<(script|style|svg|input|span)\b[^>]*>|class=\"[^\"]*\"", "", html.split("content-main")[-1]
    )


def test_page__shows_where_the_similarity_comes_from(address: str, client: Client, shop: SimpleNamespace) -> None:
    response = client.get(address, {"product": shop.red.pk, "result": shop.dark.pk})

    html = response.content.decode()
    found = response.context["explanation"]
    assert f"Similarity {found.similarity:.3f} as tiny sees it" in html
    assert html.count('<div class="vs-heat">') == 2
    for product in (shop.red, shop.dark):
        assert f'src="{product.images.get().image.url}"' in html
    opacities = [float(each) for each in re.findall(r'<rect class="vs-\w+" [^>]*opacity="([\d.]+)"', html)]
    assert len(opacities) > 2
    assert max(opacities) == 1
    assert "style=" not in html.split('<div class="vs-page">')[1]


@pytest.mark.parametrize("language", ["de", "ar"])
def test_page__draws_in_every_language(
    address: str, client: Client, shop: SimpleNamespace, settings: Any, language: str
) -> None:
    settings.LANGUAGE_CODE = language

    html = client.get(address, {"product": shop.red.pk, "result": shop.dark.pk}).content.decode()

    cells = re.findall(r'<rect class="vs-\w+" x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"', html)
    assert {float(width) for _, _, width, _ in cells} == {25.0}


@pytest.mark.parametrize("asked", [{"product": "0"}, {"product": "x"}, {"product": "HIDDEN"}])
def test_page__knows_no_such_product(
    address: str, client: Client, shop: SimpleNamespace, asked: dict[str, Any]
) -> None:
    keys = {name: shop.hidden.pk if key == "HIDDEN" else key for name, key in asked.items()}

    response = client.get(address, keys)

    assert response.status_code == 200
    assert response.context["problem"] == "There is no such product. Check its key."


def test_page__says_so_where_a_picture_is_gone(address: str, client: Client, shop: SimpleNamespace) -> None:
    image = shop.dark.images.get().image
    image.storage.delete(image.name)

    html = client.get(address, {"product": shop.red.pk, "result": shop.dark.pk}).content.decode()

    assert "missing from the storage" in html
    assert f"result={shop.dark.pk}" in html


def test_page__is_for_those_who_may_see_the_analytics(address: str, staff: Callable[..., Client]) -> None:
    assert staff("reindex").get(address).status_code == 403
    assert Client().get(address).status_code == 302


def test_list__leads_to_the_page(address: str, client: Client) -> None:
    assert f'href="{address}"' in client.get(reverse("admin:visual_search_searchindex_changelist")).content.decode()
