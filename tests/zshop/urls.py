from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("visual-search/", include("visual_search.urls")),
    path("api/visual-search/", include("visual_search.api.urls")),
]
