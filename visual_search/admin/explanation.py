"""The page that shows why a product is like another: both pictures, and where the similarity comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from visual_search.admin import pages
from visual_search.asking import parameters
from visual_search.catalog import ProductImage
from visual_search.exceptions import VisualSearchError
from visual_search.models import SearchIndex
from visual_search.retrieval import answers, explanation
from visual_search.retrieval.query import Query

RESULTS = 12

FAINT = 0.02
"""Share of the strongest position below which a cell isn't drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A position of a map on its picture, in per cent of it; `opacity` 0 to 1, `against` where it lowers the sum."""

    x: str
    y: str
    width: str
    height: str
    opacity: str
    against: bool


@require_GET
@pages.permitted(pages.ANALYTICS)
def page(request: HttpRequest, *, site: admin.AdminSite) -> HttpResponse:
    """Show the results of the product `?product=`, and why `&result=` is among them."""
    asked, chosen = request.GET.get("product", "").strip(), request.GET.get("result", "").strip()
    context: dict[str, Any] = {
        "title": _("Why is this a result?"),
        "opts": SearchIndex._meta,
        "asked": asked,
        "chosen": chosen,
    }
    try:
        if asked:
            product = parameters.product(request, asked)
            answer = answers.answer(Query(product=product, request=request, limit=RESULTS))
            context |= {"product": product, "state": answer.state, "products": answer.products}
        if asked and chosen:
            context |= _explained(request, product, chosen)
    except VisualSearchError as error:
        context["problem"] = str(error)
    return pages.render(request, "explanation.html", site=site, context=context)


def _explained(request: HttpRequest, product: Any, chosen: str) -> dict[str, Any]:
    result = parameters.product(request, chosen)
    found = explanation.explain(Query(product=product, request=request), result)
    sides = [(product, found.query), (result, found.result)]
    return {
        "result": result,
        "explanation": found,
        "sides": [(each, _picture(side.image), _cells(side)) for each, side in sides],
    }


def _picture(image: ProductImage | None) -> str:
    return "" if image is None else image.url


def _cells(side: explanation.Side) -> list[Cell]:
    left, top, right, bottom = (100 * share for share in side.seen)
    rows, columns = side.heat.shape
    width, height = (right - left) / columns, (bottom - top) / rows
    most = max(float(abs(side.heat).max()), 1e-12)
    # In the form that SVG reads, whatever the page's language: a comma would end the number.
    return [
        Cell(
            x=f"{left + column * width:.3f}",
            y=f"{top + row * height:.3f}",
            width=f"{width:.3f}",
            height=f"{height:.3f}",
            opacity=f"{abs(share) / most:.3f}",
            against=share < 0,
        )
        for row, line in enumerate(side.heat.tolist())
        for column, share in enumerate(line)
        if abs(share) > FAINT * most
    ]
