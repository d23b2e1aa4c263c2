"""The shop's own admin: products with their pictures and variants."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from example_shop.catalogue.models import Category, Product, ProductImage, Variant

admin.site.site_header = admin.site.site_title = "Hearth & Thread"
admin.site.index_title = _("Shop")


class StockFilter(admin.SimpleListFilter):
    title = _("stock")
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:
        return [("yes", _("In stock")), ("no", _("Sold out"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        if self.value() == "yes":
            return queryset.filter(stock__gt=0)
        return queryset.filter(stock=0) if self.value() == "no" else queryset


class ProductImageInline(admin.TabularInline):
    model = ProductImage
    extra = 1
    fields = ("preview", "image", "alt", "position")
    readonly_fields = ("preview",)

    @admin.display(description=_("preview"))
    def preview(self, picture: ProductImage) -> str:
        return thumbnail(picture, 96) if picture.pk else "-"


class VariantInline(admin.TabularInline):
    model = Variant
    extra = 0
    fields = ("sku", "colour", "price", "stock")


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("picture", "name", "category", "brand", "price", "stock", "is_public")
    list_display_links = ("picture", "name")
    list_filter = (StockFilter, "is_public", "category", "brand")
    list_select_related = ("category",)
    list_per_page = 50
    search_fields = ("name", "brand", "slug", "colour", "variants__sku")
    autocomplete_fields = ("category",)
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    inlines = (ProductImageInline, VariantInline)
    save_on_top = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        return super().get_queryset(request).prefetch_related("images")

    @admin.display(description=_("picture"))
    def picture(self, product: Product) -> str:
        return thumbnail(product.pictures[0], 56) if product.pictures else "-"


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "shown")
    search_fields = ("name",)
    prepopulated_fields: ClassVar = {"slug": ("name",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Category]:
        shown = Count("products", filter=Q(products__is_public=True))
        return super().get_queryset(request).annotate(shown=shown)

    @admin.display(description=_("products shown"), ordering="shown")
    def shown(self, category: Category) -> int:
        return category.shown  # type: ignore[attr-defined]


def thumbnail(picture: ProductImage, side: int) -> str:
    """Return the picture as a small square image of `side` pixels."""
    return format_html('<img src="{}" alt="" width="{}" height="{}" loading="lazy">', picture.image.url, side, side)
