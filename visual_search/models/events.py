"""What customers looked for and clicked: kinds and products, never a photo or its vector."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from visual_search import conf
from visual_search.models.indexes import SearchIndex


class SearchEvent(models.Model):
    """One search that was answered."""

    class Kind(models.TextChoices):
        SIMILAR = "similar", _("similar products")
        PHOTO = "photo", _("photo")
        TEXT = "text", _("words")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    index = models.ForeignKey(SearchIndex, models.SET_NULL, null=True, db_index=False, related_name="+")
    product = models.ForeignKey(
        conf.product_label(),
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        help_text=_("The product that similar ones were asked for."),
    )
    results = models.PositiveSmallIntegerField(_("results"))
    milliseconds = models.FloatField(_("latency in ms"))
    created_at = models.DateTimeField(_("time"), db_default=Now(), db_index=True)

    class Meta:
        verbose_name = _("search")
        verbose_name_plural = _("searches")

    def __str__(self) -> str:
        return f"{self.kind} at {self.created_at:%Y-%m-%d %H:%M}"


class ResultEvent(models.Model):
    """One product that a search showed, and what the customer did with it."""

    search = models.ForeignKey(SearchEvent, models.CASCADE, related_name="shown")
    product = models.ForeignKey(
        conf.product_label(), models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    position = models.PositiveSmallIntegerField(_("position"))
    clicked_at = models.DateTimeField(_("clicked"), null=True)

    class Meta:
        verbose_name = _("result shown")
        verbose_name_plural = _("results shown")
        constraints = [
            models.UniqueConstraint(fields=["search", "product"], name="visual_search_shown_once"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id} at {self.position}"
