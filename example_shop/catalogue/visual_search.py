"""What visual search has to know about this shop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import visual_search
from example_shop.catalogue.models import Product, ProductQuerySet


class ShopCatalog(visual_search.Catalog):
    image_models: ClassVar = {"catalogue.ProductImage": "product_id"}
    text_fields: ClassVar = ("name", "description", "brand", "category", "colour")
    filters: ClassVar = {
        "category": "category__slug",
        "brand": "brand",
        "price_min": "price__gte",
        "price_max": "price__lte",
        "stock_min": "stock__gte",
    }

    def products(self, request: Any = None) -> ProductQuerySet:
        return Product.objects.public().for_cards()

    def images(self, product: Product) -> Iterator[visual_search.ProductImage]:
        for image in product.images.all():
            yield visual_search.ProductImage(key=str(image.pk), file=image.image, alt=image.alt)

    def text(self, product: Product) -> str:
        return f"{super().text(product)}\n{product.colour}"
