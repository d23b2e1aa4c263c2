"""What goes in and out, as JSON. The classes bear long names since OpenAPI puts them among the shop's own."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from rest_framework import serializers

from visual_search import catalog
from visual_search.encoders import regions as boxes
from visual_search.retrieval import answers, tiers
from visual_search.retrieval import explanation as explanations

STATES = (answers.READY, answers.PENDING, answers.UNAVAILABLE)


def _key() -> serializers.Field[Any, Any, Any, Any]:
    number = isinstance(catalog.key_field(catalog.product_model()), models.IntegerField)
    return serializers.IntegerField() if number else serializers.CharField()


class VisualSearchMatchedImage(serializers.Serializer[Any]):
    """The picture of a product that is most like what was looked for."""

    key = serializers.CharField()
    url = serializers.CharField()
    alt = serializers.CharField()


class VisualSearchResult(serializers.Serializer[Any]):
    """A product: what `Catalog.serialize` says, and why it is here."""

    title = serializers.CharField()
    url = serializers.CharField(help_text="Address of the product's page.")
    price = serializers.CharField(allow_null=True)
    brand = serializers.CharField()
    category = serializers.CharField()
    thumbnail = serializers.CharField()
    rank = serializers.IntegerField(min_value=1, help_text="1 is the nearest.")
    similarity = serializers.FloatField(
        allow_null=True,
        help_text="In the index's metric, a cosine by default; at most 1, to 4 decimals; null where only words have"
        " found the product.",
    )
    tier = serializers.RegexField(
        rf"^({'|'.join(tiers.Tier)})$",
        allow_null=True,
        help_text="`exact`, `very_similar`, `same_spirit` or `nothing_good`: how near this is in this shop, whatever"
        " the share of colour; null where several things were asked with at once.",
    )
    probability = serializers.FloatField(
        allow_null=True,
        help_text="What the tier was read from, 0 to 1, to 4 decimals: that both show the same product.",
    )
    matched_image = VisualSearchMatchedImage(allow_null=True)
    matched_region = serializers.ListField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="Left, top, right and bottom of the part of that picture which is nearest, in shares of its sides;"
        " null for all of it.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with `id` of the type that the shop's primary key has."""
        return {"id": _key(), **super().get_fields()}


class VisualSearchAnswer(serializers.Serializer[Any]):
    """Products in rank order, the nearest first."""

    # No ChoiceField: drf-spectacular would name a component StateEnum, and the shop may have one of its own.
    state = serializers.RegexField(
        rf"^({'|'.join(STATES)})$",
        help_text="`ready`; `pending`: not looked at yet, ask again later; `unavailable`: the product has no picture to"
        " go by.",
    )
    nothing_good = serializers.BooleanField(
        help_text="True where results came and none of them is similar: show them as the nearest there is, or"
        " not at all."
    )
    some_words = serializers.BooleanField(
        help_text="True where words alone were asked with, no product has all of them, and those with some came."
    )
    search = serializers.UUIDField(
        allow_null=True, help_text="Names this search in reports of clicks; null where nothing was recorded."
    )
    results = VisualSearchResult(many=True)


class VisualSearchRegion(serializers.Serializer[Any]):
    """A part of a photo that may be searched with."""

    box = serializers.ListField(
        child=serializers.FloatField(min_value=0, max_value=1),
        min_length=4,
        max_length=4,
        help_text="left, top, right, bottom, as shares of the upright photo; for the parameter `region`.",
    )
    mass = serializers.FloatField(help_text="Share of what stands out on the photo, 0 to 1.")


class VisualSearchRegions(serializers.Serializer[Any]):
    """What stands out on a photo, the most prominent first."""

    regions = VisualSearchRegion(many=True)


class VisualSearchHeat(serializers.Serializer[Any]):
    """What each position of a picture contributes to the similarity."""

    image = VisualSearchMatchedImage()
    heat = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()), help_text="Rows from top to bottom."
    )
    seen = serializers.ListField(
        child=serializers.FloatField(), help_text="left, top, right, bottom of what the rows cover, 0 to 1."
    )


class VisualSearchExplanation(serializers.Serializer[Any]):
    """Why a product is like another: each map sums to the similarity."""

    part = serializers.CharField(help_text="The encoder whose part of the similarity this is.")
    similarity = serializers.FloatField(help_text="The cosine of that part, at most 1.")
    query = VisualSearchHeat()
    result = VisualSearchHeat()


class VisualSearchError(serializers.Serializer[Any]):
    """What is wrong, and what to do about it."""

    code = serializers.CharField(help_text="Stable: meant for programs.")
    detail = serializers.CharField(help_text="Meant for people.")


class VisualSearchClick(serializers.Serializer[Any]):
    """A result that was opened."""

    search = serializers.UUIDField(help_text="`search` of the answer that showed it.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with `product` of the type that the shop's primary key has."""
        return {**super().get_fields(), "product": _key()}


def answer(found: answers.Answer, search: uuid.UUID | None) -> dict[str, Any]:
    """Return `found` as JSON can hold it. A vector is nowhere in it."""
    shop = catalog.current()
    return {
        "state": found.state,
        "nothing_good": found.nothing_good,
        "some_words": found.some_words,
        "search": None if search is None else str(search),
        "results": [
            {
                **(catalog.said(shop.serialize, product, otherwise={}) or _by_its_key(shop, product)),
                "rank": rank,
                "similarity": None if product.similarity is None else round(float(product.similarity), 4),
                "tier": product.tier,
                "probability": None if product.probability is None else round(product.probability, 4),
                "matched_image": _image(product.matched_image),
                "matched_region": product.matched_region,
            }
            for rank, product in enumerate(found.products, start=1)
        ],
    }


def regions(found: list[boxes.Region]) -> dict[str, Any]:
    """Return `found` as JSON can hold it."""
    return {"regions": [{"box": list(each.box), "mass": each.mass} for each in found]}


def explanation(found: explanations.Explanation) -> dict[str, Any]:
    """Return `found`, of two products, as JSON can hold it."""
    sides = {"query": found.query, "result": found.result}
    return {
        "part": found.part,
        "similarity": round(found.similarity, 4),
        **{
            name: {
                "image": _image(side.image),
                "heat": [[round(cell, 5) for cell in row] for row in side.heat.tolist()],
                "seen": [round(share, 4) for share in side.seen],
            }
            for name, side in sides.items()
        },
    }


def _by_its_key(shop: catalog.Catalog, product: Any) -> dict[str, Any]:
    """Return what can be said of a product that `Catalog.serialize` fails for."""
    price = catalog.said(shop.price, product, otherwise=None)
    return {
        "id": product.pk if isinstance(product.pk, int) else str(product.pk),
        "title": catalog.said(shop.title, product, otherwise=str(product.pk)),
        "url": catalog.said(shop.url, product, otherwise=""),
        "price": None if price is None else str(price),
        "brand": catalog.said(shop.brand, product, otherwise=""),
        "category": catalog.said(shop.category, product, otherwise=""),
        "thumbnail": catalog.said(shop.thumbnail, product, otherwise=""),
    }


def _image(image: catalog.ProductImage | None) -> dict[str, str] | None:
    return None if image is None else {"key": image.key, "url": image.url, "alt": image.alt}
