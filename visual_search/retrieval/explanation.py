"""Explain a result: which parts of two pictures make them similar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.views.decorators.debug import sensitive_variables
from PIL import Image

from visual_search import catalog, conf
from visual_search.encoders import base, explanation, joined, parts, regions
from visual_search.exceptions import EncoderError, InvalidQuery
from visual_search.images import limits, source
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import arrays, encoding, scenes
from visual_search.models import ProductEmbedding, SearchIndex
from visual_search.retrieval import answers, photos
from visual_search.retrieval.query import Query, Term


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """One of the two pictures, and what each position of it contributes to the similarity.

    `heat` [h, w] covers the part `seen` (left, top, right, bottom, in shares) of `picture`. `image` is the catalog's;
    None for a photo.
    """

    picture: Image.Image = field(repr=False)
    image: catalog.ProductImage | None
    heat: parts.Floats = field(repr=False)
    seen: regions.Box

    def overlay(self) -> bytes:
        """Return the picture as a PNG that glows where the similarity comes from."""
        return explanation.overlay(self.picture, self.heat, seen=self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why `result` is near to `query`: each side's `heat` sums to `similarity`, the cosine of the parts `part`.

    Both pictures are centred on the catalogue's mean, a photo too: what all pictures have in common explains nothing.
    The similarity of a search by photo is uncentred, and higher; other parts, such as colour, come on top. Of an
    encoder that looks twice, it is what the whole pictures have in common.
    """

    part: str
    similarity: float
    query: Side
    result: Side


@sensitive_variables()
def explain(query: Query, product: Any) -> Explanation:
    """Explain why `product` (an instance or a key) answers `query`, which asks with one product or photo.

    Encodes both pictures anew, with the first of the live index's encoders whose features are the average of a map.
    Raises InvalidQuery (`product_not_found` where `product` is no result of it: hidden, or without a vector), BadImage,
    and EncoderError.
    """
    if len(query.terms) != 1 or query.terms[0].words is not None:
        raise InvalidQuery("Only a search with one product or photo can be explained: each picture has its own map.")
    query = answers.read(query)
    (term,) = query.terms
    one = Query(
        terms=query.terms,
        filters=query.filters,
        request=query.request,
        colour=query.colour,
        queryset=_only(product),
        limit=1,
    )
    found = answers.answer(one, learn=False)
    if found.index is None or not found.products or found.products[0].matched_image is None:
        raise InvalidQuery("This product is no result of that search.", code="product_not_found")
    index = SearchIndex.objects.using(conf.settings.DATABASE).get(pk=found.index)
    encoder = joined.load(index.encoders, **conf.machine())
    size = encoder.input_size
    asked, answered = _asked(index, term), found.products[0].matched_image
    region = found.products[0].matched_region
    looked_at = [
        photos.picture(term.photo, size, region=term.region) if asked is None else _read(asked, size),
        _read(answered, size, region=region),
    ]
    number, maps = _maps(encoder, looked_at)
    heats = explanation.contributions(maps[0], maps[1], transform=arrays.transforms(index.pk)[number])
    sides = [
        Side(picture=picture, image=image, heat=heat, seen=base.seen(encoder.encoders[number], picture.size))
        for picture, image, heat in zip(looked_at, (asked, answered), heats, strict=True)
    ]
    return Explanation(
        part=index.parts[number]["name"], similarity=float(heats[1].sum()), query=sides[0], result=sides[1]
    )


def _only(product: Any) -> Any:
    key: Any = getattr(product, "pk", product)
    return catalog.product_model()._default_manager.filter(pk=key)


def _maps(encoder: joined.Joined, looked_at: list[Image.Image]) -> tuple[int, base.Features]:
    """Return the maps of the pictures [n, c, h, w] by the first part that has one to average, and its number."""
    for number, part in enumerate(encoder.encoders):
        try:
            return number, explanation.maps(part, looked_at)
        except EncoderError as error:
            if error.code != "feature_map_unavailable":
                raise
    raise EncoderError(
        f"The encoder {encoder.name} has no feature map that its features are the average of, so that its results "
        "can't be explained.",
        code="feature_map_unavailable",
    )


def _asked(index: SearchIndex, term: Term) -> catalog.ProductImage | None:
    """Return the picture that stands for the product of `term` in a search; None where the term is a photo."""
    if term.photo is not None:
        return None
    rows = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(
        index=index, product_id=term.product, region=[], state=ProductEmbedding.State.READY
    )
    key = rows.order_by("position", "image_key").values_list("image_key", flat=True).first()
    for product in pictures.load([term.product]).values():
        for image in catalog.current().images(product):
            if image.key == key:
                return image
    raise InvalidQuery("The product that is asked with has no picture with a vector.", code="product_not_found")


def _read(image: catalog.ProductImage, size: int, *, region: regions.Box | None = None) -> Image.Image:
    """Return the picture, or the `region` of it that was found, which is what has the vector."""
    data = source.read(image.file, limits=limits.CATALOGUE)
    if region is None:
        return encoding.decoder().decode(data, limits=limits.CATALOGUE, min_size=size)
    return scenes.cut(encoding.decoder().decode(data, limits=limits.CATALOGUE, min_size=scenes.MEETS * size), region)
