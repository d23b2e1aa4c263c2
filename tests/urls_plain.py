"""Addresses of a shop that has no OpenAPI schema."""

from __future__ import annotations

from django.contrib import admin
from django.http import Http404, HttpRequest
from django.urls import include, path

from example_shop.catalogue import views


def no_schema(request: HttpRequest) -> None:
    raise Http404


urlpatterns = [
    path("", views.home, name="home"),
    path("products/<int:pk>/", views.product, name="product"),
    path("admin/", admin.site.urls),
    path("visual-search/", include("visual_search.urls")),
    path("api/visual-search/", include("visual_search.api.urls")),
    path("api/schema/", no_schema, name="schema"),
]
