"""Addresses of a shop that mounts the pages, and not the API."""

from __future__ import annotations

from example_shop import urls as shop

urlpatterns = [each for each in shop.urlpatterns if "api/visual-search" not in str(each.pattern)]
