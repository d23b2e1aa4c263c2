"""The shop's products as the admin shows them: name, pictures, and the shop's own page to change them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from visual_search import catalog
from visual_search.indexing.sources import pictures

logger = logging.getLogger("visual_search.admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page says about a product; `address` is "" where this user can't open it in the admin."""

    title: str
    address: str = ""
    images: dict[str, catalog.ProductImage] = field(default_factory=dict)

    @property
    def link(self) -> SafeString | str:
        """Return the title, as a link where there is an address."""
        return format_html('<a href="{}">{}</a>', self.address, self.title) if self.address else self.title

    def picture(self, key: str | None = None, *, style: str, size: int | None = None) -> SafeString:
        """Return the picture `key` (default: the first), in a square of `size` pixels where that is given."""
        image = next(iter(self.images.values()), None) if key is None else self.images.get(key)
        if image is None or not image.url:
            return format_html('<span class="vs-picture vs-{} vs-no-picture">{}</span>', style, _("no picture"))
        square = format_html(' width="{0}" height="{0}"', size) if size else ""
        return format_html(
            '<img class="vs-picture vs-{}" src="{}" alt="{}"{} loading="lazy">',
            style, image.url, image.alt or self.title, square,
        )  # fmt: skip


def shown(request: HttpRequest, keys: Iterable[Any], *, site: AdminSite) -> dict[Any, Shown]:
    """Return each of the products `keys`, from one load of the catalog's queryset; unknown ones go by their key."""
    shop, model = catalog.current(), catalog.product_model()
    keys = list(dict.fromkeys(keys))
    found = pictures.load(keys) if keys else {}
    address = ""
    if site.is_registered(model) and site.get_model_admin(model).has_view_permission(request):
        address = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return {
        key: Shown(
            title=catalog.said(shop.title, found[key], otherwise=str(key)),
            address=reverse(address, args=[key], current_app=site.name) if address else "",
            images=_images(shop, found[key]),
        )
        if key in found
        else Shown(title=str(key))
        for key in keys
    }


def _images(shop: catalog.Catalog, product: Any) -> dict[str, catalog.ProductImage]:
    try:
        return {image.key: image for image in shop.images(product)}
    except Exception:
        # The page that shows a catalog's failures must not fail with it.
        logger.exception("The catalog could not list the pictures of product %s.", product.pk)
        return {}
