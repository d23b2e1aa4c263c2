"""Addresses of the pages: `path("visual-search/", include("visual_search.urls"))`."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from visual_search import views

app_name = "visual_search"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="visual_search:search", query_string=True)),
    path("search/", views.search, name="search"),
    path("photo/", views.photo, name="photo"),
    path("products/<str:pk>/", views.similar, name="similar"),
]
