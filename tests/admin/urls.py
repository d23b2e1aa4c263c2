"""A project with two admin sites, the second one with the shop's own page for products."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_shop.catalogue.models import Product
from visual_search.admin.embeddings import ProductEmbeddingAdmin
from visual_search.admin.indexes import SearchIndexAdmin
from visual_search.models import ProductEmbedding, SearchIndex

office = admin.AdminSite(name="office")
office.register(ProductEmbedding, ProductEmbeddingAdmin)
office.register(SearchIndex, SearchIndexAdmin)
office.register(Product)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("office/", office.urls),
    path("", include("example_shop.urls")),
]
