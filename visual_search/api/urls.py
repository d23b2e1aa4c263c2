"""Addresses of the API: `path("api/visual-search/", include("visual_search.api.urls"))`."""

from __future__ import annotations

from django.urls import path

from visual_search.api import views

app_name = "visual_search_api"

urlpatterns = [
    path("v1/products/<str:key>/similar/", views.Similar.as_view(), name="similar"),
    path("v1/search/", views.Search.as_view(), name="photo"),
    path("v1/regions/", views.Regions.as_view(), name="regions"),
    path("v1/products/<str:key>/explain/<str:result>/", views.Explain.as_view(), name="explain"),
    path("v1/events/", views.Clicks.as_view(), name="events"),
]
