"""Template tags: `{% load visual_search %}`."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import template
from django.db import connections, transaction
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from visual_search import catalog, conf
from visual_search.insight import events
from visual_search.retrieval import answers, tiers
from visual_search.retrieval.query import Query

logger = logging.getLogger("visual_search.pages")

register = template.Library()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a list shows of a product: the catalog's words, and the picture that matched, or the thumbnail.

    `nearness` says in words how near it is to what was asked for, where that is worth a word.
    """

    title: str
    url: str
    price: Decimal | str | None
    brand: str
    picture: str
    nearness: str = ""


@register.simple_tag(takes_context=True)
def visual_search_assets(context: template.Context) -> SafeString:
    """Render the stylesheet and the script, with the page's CSP nonce where there is one. For <head>."""
    nonce = _nonce(context)
    attribute = format_html(' nonce="{}"', nonce) if nonce else ""
    return format_html(
        '<link rel="stylesheet" href="{}"{}><script type="module" src="{}"{}></script>',
        static("visual_search/visual_search.css"),
        attribute,
        static("visual_search/visual_search.js"),
        attribute,
    )


@register.simple_tag
def visual_search_card(product: Any) -> Card:
    """Return what a list shows of `product`: `{% visual_search_card product as card %}`.

    Where the catalog fails for it, the product goes by its key, and the log says why.
    """
    shop = catalog.current()
    matched = getattr(product, "matched_image", None)
    return Card(
        title=catalog.said(shop.title, product, otherwise=str(product.pk)),
        url=catalog.said(shop.url, product, otherwise=""),
        price=catalog.said(shop.price, product, otherwise=None),
        brand=catalog.said(shop.brand, product, otherwise=""),
        picture=(matched and matched.url) or catalog.said(shop.thumbnail, product, otherwise=""),
        nearness=_nearness(getattr(product, "tier", None)),
    )


def _nearness(tier: tiers.Tier | None) -> str:
    # Most of a page is in the same spirit: said of each card, it would say nothing.
    if tier == tiers.Tier.EXACT:
        return _("The same, or nearly so")
    return _("Very similar") if tier == tiers.Tier.VERY_SIMILAR else ""


@register.simple_tag
def visual_search_max_bytes() -> int:
    """Return the most bytes that a photo may have, for `data-max-bytes` of a form."""
    return int(conf.settings.UPLOAD_MAX_BYTES)


@register.simple_tag(takes_context=True)
def find_similar_button(context: template.Context, product: Any) -> str:
    """Render a link to the page of what looks like `product`; nothing where that isn't mounted, or without a picture.

    It makes no query to look for one, which in a list would be one for each product: where the pictures weren't brought
    along, the link is there. A failure is logged, and the shop's page goes on without it.
    """
    try:
        try:
            url = reverse("visual_search:similar", args=[product.pk])
        except NoReverseMatch:
            return ""
        if _has_no_picture(product):
            return ""
        title = catalog.said(catalog.current().title, product, otherwise=str(product.pk))
        values = {"product": product, "title": title, "url": url}
        return render_to_string("visual_search/_find_similar_button.html", values, context.get("request"))
    except Exception:
        logger.exception("The link to what looks like a product could not be shown.")
        return ""


def _has_no_picture(product: Any) -> bool:
    """Return whether the catalog has no picture of `product`; False where it would take a query to know."""
    shop = catalog.current()
    if shop.image_models and not getattr(product, "_prefetched_objects_cache", None):
        return False  # a query that is refused below is in the log of queries all the same
    queries = []

    def refuse(_execute: Any, sql: str, *_: Any) -> Any:
        queries.append(sql)
        raise LookupError("The pictures were not brought along.")

    try:
        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(refuse))
            return next(iter(shop.images(product)), None) is None and not queries
    except Exception:
        if not queries:
            logger.exception("The catalog's images() failed for product %s.", product.pk)
        return False


@register.simple_tag(takes_context=True)
def similar_products(
    context: template.Context, product: Any, limit: int = 6, heading: str = "", record: bool = False
) -> str:
    """Render a section with up to `limit` products that look like `product`; nothing where there are none.

    With `record` what it shows and what is clicked counts in the analytics; without, since most who load a product's
    page never look at the strip, nothing is written. A failure is logged, and the shop's page goes on without it.
    """
    request, key = context.get("request"), None
    try:
        # A savepoint where the shop has a transaction open: a failed query must not poison it.
        with transaction.atomic(conf.settings.DATABASE):
            key = product.pk
            answer = answers.answer(Query(product=key, request=request, limit=limit))
            if not answer.products:
                return ""
            search = events.record(answer, product=key, request=request) if record else None
            values = {
                "product": product,
                "products": answer.products,
                "state": answer.state,
                "search": search or "",
                "heading": heading,
            }
            return render_to_string("visual_search/_similar_products.html", values, request)
    except Exception:
        logger.exception("Similar products of %s could not be shown.", key)
        return ""


def _nonce(context: template.Context) -> str:
    # Django 6 and django-csp's context processor name it so; without the processor, django-csp keeps it on the request.
    for name in ("csp_nonce", "CSP_NONCE"):
        if nonce := context.get(name):
            return str(nonce)
    return str(getattr(context.get("request"), "csp_nonce", "") or "")
