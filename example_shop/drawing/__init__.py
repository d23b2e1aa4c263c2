"""Draw the example shop's own catalogue: products that exist nowhere else, the same ones for the same seed."""

from __future__ import annotations

from example_shop.drawing.assortment import DrawnProduct, DrawnView, catalogue

__all__ = ["DrawnProduct", "DrawnView", "catalogue"]
