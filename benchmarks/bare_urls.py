"""URLs for the benchmark of the API: the example shop's, and a view that does nothing but return rows."""

from __future__ import annotations

from typing import Any

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from example_shop import urls

ROWS: dict[str, Any] = {}


class Bare(APIView):
    """Return what is there already."""

    def get(self, request: Request) -> Response:
        return Response(ROWS)


urlpatterns = [path("bare/", Bare.as_view()), *urls.urlpatterns]
