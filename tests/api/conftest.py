from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from tests import factories


@pytest.fixture
def client() -> APIClient:
    return APIClient()


@pytest.fixture
def shop(db: None) -> SimpleNamespace:
    """A shop of a red, a dark red, and a blue product, embedded; a new one is not, a hidden one is."""
    shop = SimpleNamespace(
        red=factories.product(name="red", brand="Anker", category="Discs", price=10, pictures=[_picture("crimson")]),
        dark=factories.product(name="dark", brand="Boje", category="Discs", price=20, pictures=[_picture("firebrick")]),
        blue=factories.product(name="blue", brand="Anker", category="Bars", pictures=[_picture("royalblue", "bar")]),
        hidden=factories.product(name="hidden", is_public=False, pictures=[_picture("crimson")]),
    )
    shop.index = factories.embed()
    return shop


@pytest.fixture
def photo() -> Any:
    """Return a function that makes an upload of a drawn picture, or of any bytes."""

    def make(data: bytes | None = None, name: str = "photo.png") -> SimpleUploadedFile:
        return SimpleUploadedFile(name, _picture("crimson") if data is None else data, "image/png")

    return make


def _picture(colour: str, shape: str = "circle") -> bytes:
    return factories.picture(colour, shape)
