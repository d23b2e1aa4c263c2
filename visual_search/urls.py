"""Addresses of the pages: `path("visual-search/", include("visual_search.urls"))`."""

from __future__ import annotations

from django.urls import path

from visual_search import views

app_name = "visual_search"

urlpatterns = [
    path("search/", views.search, name="search"),
    path("photo/", views.photo, name="photo"),
    path("products/<str:pk>/", views.similar, name="similar"),
]
