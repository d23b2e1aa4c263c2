"""A shop with UUID keys, the default catalog, and a product model that its second migration creates."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "example_shop.catalogue"] + ["tests.zshop"]
ROOT_URLCONF = "tests.zshop.urls"

VISUAL_SEARCH = {
    "PRODUCT_MODEL": "zshop.Article",
    "PRODUCT_MIGRATION": "0002_article",
    "ENCODERS": ["tiny"],
}
