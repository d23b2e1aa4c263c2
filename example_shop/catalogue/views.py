from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from example_shop.catalogue import listing
from example_shop.catalogue.models import Product


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the products, narrowed, sorted and in pages as the parameters say."""
    return render(request, "catalogue/product_list.html", {"listing": listing.of(request.GET)})


@require_safe
def product(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one product with its pictures, variants and what looks like it."""
    found = get_object_or_404(Product.objects.public().for_cards().prefetch_related("variants"), pk=pk)
    return render(request, "catalogue/product_detail.html", {"product": found})
