"""The embeddings in the admin: what became of each picture, and a way to embed it again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from visual_search import catalog, conf
from visual_search.admin import pages, products
from visual_search.indexing.intake import changes
from visual_search.models import ProductEmbedding

MOST_AT_ONCE = 1_000
"""Rows that one action embeds again: each costs a millisecond and an entry in the log, while somebody waits."""


def embed_again(rows: models.QuerySet[ProductEmbedding]) -> int:
    """Have the products of `rows` encoded again, unchanged pictures too; return how many products that queues."""
    keys = list(rows.order_by().values_list("product_id", flat=True).distinct())
    changes.force(keys)
    return len(keys)


class ErrorCodeFilter(admin.SimpleListFilter):
    """Filter by the codes that there are, read from the partial index on failed rows."""

    title = _("error code")
    parameter_name = "error_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        failed = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(state=ProductEmbedding.State.FAILED)
        codes = failed.order_by("error_code").values_list("error_code", flat=True).distinct()
        return [(code, code) for code in codes if code]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any] | None:
        if value := self.value():
            return queryset.filter(state=ProductEmbedding.State.FAILED, error_code=value)
        return None


class EmbeddingChangeList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        _attach(request, list(self.result_list), site=self.model_admin.admin_site)


def _attach(request: HttpRequest, rows: Sequence[Any], *, site: admin.AdminSite) -> None:
    shown = products.shown(request, [row.product_id for row in rows], site=site)
    for row in rows:
        row.shown = shown[row.product_id]


@admin.register(ProductEmbedding)
class ProductEmbeddingAdmin(admin.ModelAdmin):
    list_display = ("thumbnail", "product_link", "index_number", "image_key", "state_badge", "error", "age")
    list_display_links = ("thumbnail", "image_key")
    list_filter = ("state", "index", ErrorCodeFilter)
    list_select_related = ("index",)
    list_per_page = 50
    search_fields = ("source_name",)
    search_help_text = _("Product key, image key, or a part of the file's name")
    ordering = ("-id",)
    show_full_result_count = False
    actions = ("embed_selected_again",)
    # Named one by one: the vector is never among them, nor loaded.
    fieldsets = (
        (
            None,
            {"fields": ("large_picture", "product_link", "index", "image_key", "region", "position", "state_badge")},
        ),
        (_("Error"), {"fields": ("error_code", "error_message")}),
        (_("Source"), {"fields": ("source_name", "source_sha256", "lengths", "updated_at")}),
    )

    class Media:
        css = pages.STYLES

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(require_POST(pages.permitted(pages.REINDEX)(self.again)))
        return [path("<path:object_id>/again/", again, name="visual_search_embed_again"), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_reindex_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(pages.REINDEX)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        return super().get_queryset(request).using(conf.settings.DATABASE)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EmbeddingChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            _attach(request, [found], site=self.admin_site)
        return found

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        failed = obj is not None and obj.state == ProductEmbedding.State.FAILED
        return self.fieldsets if failed else (self.fieldsets[0], self.fieldsets[2])

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return flatten_fieldsets(self.fieldsets)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        context["subtitle"] = kwargs["obj"].shown.title
        return super().render_change_form(request, context, *args, **kwargs)

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        for term in search_term.split():
            matches = models.Q(image_key=term) | models.Q(source_name__icontains=term)
            # What can't be a key of this shop's may still be in the name of a file.
            with suppress(ValidationError, ValueError):
                matches |= models.Q(product_id=catalog.product_model()._meta.pk.to_python(term))
            queryset = queryset.filter(matches)
        return queryset, False

    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Embed the pictures of one row again."""
        row = pages.found(self, request, object_id)
        self._queue(request, self.get_queryset(request).filter(pk=row.pk))
        here = reverse("admin:visual_search_productembedding_change", args=[row.pk], current_app=self.admin_site.name)
        return HttpResponseRedirect(here)

    @admin.action(description=_("Embed again"), permissions=["reindex"])
    def embed_selected_again(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        if (count := queryset.count()) > MOST_AT_ONCE:
            said = _(
                "%(count)d embeddings are too many for one go; the limit is %(most)d. The page Reindex queues them all."
            )
            messages.error(request, said % {"count": count, "most": MOST_AT_ONCE})
            return
        self._queue(request, queryset)

    def _queue(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        rows = list(queryset)
        queued = embed_again(queryset)
        pages.log(request, rows, message=_("Queued to be embedded again."))
        said = ngettext(
            "%(count)d product is queued to be embedded again.",
            "%(count)d products are queued to be embedded again.",
            queued,
        )
        messages.success(request, said % {"count": queued})

    @admin.display(description=_("picture"))
    def thumbnail(self, row: Any) -> Any:
        return row.shown.picture(row.image_key, style="thumbnail", size=56)

    @admin.display(description=_("index"), ordering="index")
    def index_number(self, row: Any) -> Any:
        # The name of each of its encoders would push the error past the edge.
        return format_html('<span title="{}">#{}</span>', row.index, row.index_id)

    @admin.display(description=_("picture"))
    def large_picture(self, row: Any) -> Any:
        return row.shown.picture(row.image_key, style="large")

    @admin.display(description=_("product"), ordering="product")
    def product_link(self, row: Any) -> Any:
        return row.shown.link

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, row: Any) -> Any:
        return pages.badge(row.state, row.get_state_display())

    @admin.display(description=_("error code"), ordering="error_code")
    def error(self, row: Any) -> Any:
        if not row.error_code:
            return pages.NOTHING
        return format_html('<code title="{}">{}</code>', row.error_message, row.error_code)

    @admin.display(description=_("age"), ordering="-updated_at")
    def age(self, row: Any) -> Any:
        return format_html(
            '<time datetime="{}">{}</time>', row.updated_at.isoformat(), timesince(row.updated_at, depth=1)
        )

    @admin.display(description=_("lengths of the parts"))
    def lengths(self, row: Any) -> str:
        names = [part["name"] for part in row.index.parts]
        pairs = zip(names, row.part_lengths, strict=False)
        return ", ".join(f"{name} {length:.3f}" for name, length in pairs) or pages.NOTHING
