"""Turn the parameters of the product list into a page of products, facets with counts, and chips.

Three queries a page, whatever is asked: the facets (whose counts also give the number of results), the products,
their pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Q, QuerySet
from django.forms import BoundField
from django.http import QueryDict
from django.utils.translation import gettext as _

from example_shop.catalogue import forms
from example_shop.catalogue.models import Product

PAGE_SIZE = 24
HIGHLIGHTS = 5
MOST_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One category or brand: how many products it would show beside the other filters, and whether it is chosen."""

    value: str
    label: str
    count: int
    chosen: bool
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One filter in force, and the query string without it."""

    label: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the product list shows."""

    form: forms.FilterForm
    page: Page[Product]
    page_range: list[int | str]
    categories: list[Facet]
    brands: list[Facet]
    chips: list[Chip]
    category: Facet | None
    sort: str
    everything: bool

    @property
    def price_fields(self) -> list[BoundField]:
        """Return the two ends of the price range."""
        return [self.form["price_min"], self.form["price_max"]]

    @property
    def highlights(self) -> list[Product]:
        """Return some products with pictures from the end of the page, each of another category."""
        found: dict[int, Product] = {}
        for product in reversed(self.page.object_list):
            if product.pictures:
                found.setdefault(product.category_id, product)
        return list(found.values())[:HIGHLIGHTS]


@dataclass(frozen=True, slots=True)
class _Cell:
    category: str
    category_name: str
    brand: str
    count: int


def of(parameters: QueryDict) -> Listing:
    """Return the list for the parameters of a GET; those that make no sense are left aside."""
    form = forms.FilterForm(parameters)
    form.is_valid()
    wanted = form.cleaned_data
    rest = _words(wanted.get("q") or "") & _ranges(wanted)

    cells = _cells(rest)
    category = parameters.get("category", "")
    known_brands = {cell.brand for cell in cells}
    brands = {brand for brand in parameters.getlist("brand") if brand in known_brands and brand}
    here = [cell for cell in cells if category in ("", cell.category)]
    total = sum(cell.count for cell in here if not brands or cell.brand in brands)

    products: QuerySet[Product] = Product.objects.public().for_cards().filter(rest)
    if category:
        # Only slugs that there are reach the database: others may hold what it refuses, such as NUL.
        known = any(cell.category == category for cell in cells)
        products = products.filter(category__slug=category) if known else products.none()
    if brands:
        products = products.filter(brand__in=brands)
    sort = wanted.get("sort") or "newest"
    paginator = Paginator(products.order_by(*_nulls_last(forms.SORTS[sort][1])), PAGE_SIZE)
    paginator.count = total  # already known from the facets
    page = paginator.get_page(parameters.get("page"))
    page.object_list = list(page.object_list)

    categories = _categories(parameters, cells, category, brands)
    chosen = next((facet for facet in categories if facet.chosen), None)
    chips = _chips(parameters, form, chosen, brands)
    return Listing(
        form=form,
        page=page,
        page_range=list(paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)),
        categories=categories,
        brands=_brands(here, brands),
        chips=chips,
        category=chosen,
        sort=sort,
        everything=not chips and not category and page.number == 1,
    )


def _words(text: str) -> Q:
    found = Q()
    for word in text.split()[:MOST_WORDS]:
        found &= (
            Q(name__icontains=word)
            | Q(brand__icontains=word)
            | Q(colour__icontains=word)
            | Q(category__name__icontains=word)
        )
    return found


def _ranges(wanted: dict[str, Any]) -> Q:
    ranges = Q()
    if (lowest := wanted.get("price_min")) is not None:
        ranges &= Q(price__gte=lowest)
    if (highest := wanted.get("price_max")) is not None:
        ranges &= Q(price__lte=highest)
    if wanted.get("in_stock"):
        ranges &= Q(stock__gt=0)
    return ranges


def _cells(rest: Q) -> list[_Cell]:
    """Count what `rest` leaves of each category and brand, 0 too: what is chosen is named in any case."""
    rows = (
        Product.objects.public()
        .order_by()
        .values_list("category__slug", "category__name", "brand")
        .annotate(found=Count("pk", filter=rest) if rest else Count("pk"))
    )
    return [_Cell(*row) for row in rows]


def _categories(parameters: QueryDict, cells: list[_Cell], category: str, brands: set[str]) -> list[Facet]:
    names, counts = {}, dict[str, int]()
    for cell in cells:
        names[cell.category] = cell.category_name
        counted = cell.count if not brands or cell.brand in brands else 0
        counts[cell.category] = counts.get(cell.category, 0) + counted
    return [
        Facet(
            value=slug,
            label=name,
            count=counts[slug],
            chosen=slug == category,
            query=_query(parameters, category=slug),
        )
        for slug, name in sorted(names.items(), key=lambda item: item[1].casefold())
        if counts[slug] or slug == category
    ]


def _brands(cells: Iterable[_Cell], chosen: set[str]) -> list[Facet]:
    counts: dict[str, int] = {}
    for cell in cells:
        if cell.brand:
            counts[cell.brand] = counts.get(cell.brand, 0) + cell.count
    counts |= {brand: 0 for brand in chosen if brand not in counts}
    return [
        Facet(value=brand, label=brand, count=count, chosen=brand in chosen)
        for brand, count in sorted(counts.items(), key=lambda item: item[0].casefold())
        if count or brand in chosen
    ]


def _chips(parameters: QueryDict, form: forms.FilterForm, category: Facet | None, brands: set[str]) -> list[Chip]:
    chips = []
    wanted = form.cleaned_data
    if wanted.get("q"):
        chips.append(Chip(label=f"“{wanted['q']}”", query=_query(parameters, q=None)))
    if category:
        chips.append(Chip(label=category.label, query=_query(parameters, category=None)))
    for brand in sorted(brands, key=str.casefold):
        others = [other for other in parameters.getlist("brand") if other != brand]
        chips.append(Chip(label=brand, query=_query(parameters, brand=others)))
    if (lowest := wanted.get("price_min")) is not None:
        label = _("from £%(price)s") % {"price": lowest}
        chips.append(Chip(label=label, query=_query(parameters, price_min=None)))
    if (highest := wanted.get("price_max")) is not None:
        label = _("up to £%(price)s") % {"price": highest}
        chips.append(Chip(label=label, query=_query(parameters, price_max=None)))
    if wanted.get("in_stock"):
        chips.append(Chip(label=_("in stock"), query=_query(parameters, in_stock=None)))
    return chips


def _query(parameters: QueryDict, **changes: str | list[str] | None) -> str:
    """Return the parameters as a query string with some of them changed, back on the first page, none empty."""
    changed = parameters.copy()
    for name, value in {**changes, "page": None}.items():
        changed.setlist(name, value if isinstance(value, list) else [value] if value else [])
    for name, values in list(changed.lists()):
        changed.setlist(name, [value for value in values if value])
    return changed.urlencode()


def _nulls_last(order: Iterable[str]) -> list[Any]:
    """Return the order with products without a price at its end, whichever way it goes."""
    return [
        F(name.removeprefix("-")).desc(nulls_last=True) if name.startswith("-") else F(name).asc(nulls_last=True)
        for name in order
    ]
