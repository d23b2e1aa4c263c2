from __future__ import annotations

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from example_shop.catalogue import views

urlpatterns = [
    path("", views.home, name="home"),
    path("products/<int:pk>/", views.product, name="product"),
    path("admin/", admin.site.urls),
    path("visual-search/", include("visual_search.urls")),
    path("api/visual-search/", include("visual_search.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
