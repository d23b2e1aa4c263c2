"""The vectors: one row per index, product and picture, whatever the outcome, and one per thing on it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField

from visual_search import conf
from visual_search.models.indexes import SearchIndex


class EmbeddingManager(models.Manager["ProductEmbedding"]):
    def get_queryset(self) -> models.QuerySet[ProductEmbedding]:
        # A vector is kilobytes that nothing but SQL needs.
        return super().get_queryset().defer("embedding")


class ProductEmbedding(models.Model):
    """What became of one picture of a product in one index, or of one `region` of it.

    `embedding` is `[part | part ...] / sqrt(parts)`, each part of unit length, `SearchIndex.parts` names them; in an
    Euclidean index parts keep their lengths, times a constant (`encoders.parts`).
    It has no dimensions in the table: each index has its own, and a partial expression HNSW index casts to them.
    """

    class State(models.TextChoices):
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")

    index = models.ForeignKey(SearchIndex, models.CASCADE, db_index=False, related_name="embeddings")
    # Deletes cascade in the database (migration 0001), so that a raw DELETE of a product works, and the admin's
    # page for deleting a product doesn't ask for a permission on its embeddings.
    product = models.ForeignKey(
        conf.product_label(),
        models.DO_NOTHING,
        db_constraint=False,
        related_name="visual_search_embeddings",
    )
    image_key = models.CharField(_("image key"), max_length=255)
    region = ArrayField(
        models.FloatField(),
        verbose_name=_("region"),
        default=list,
        help_text=_("Left, top, right, bottom of a thing on it, in shares of its sides; empty for all of it."),
    )
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    error_code = models.CharField(_("error code"), max_length=50, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    source_name = models.CharField(_("file"), max_length=500, blank=True)
    source_sha256 = models.CharField(_("SHA-256 of the file"), max_length=64, blank=True)
    source_size = models.BigIntegerField(_("size of the file"), null=True)
    part_lengths = ArrayField(models.FloatField(), verbose_name=_("lengths of the parts"), default=list)
    embedding = HalfVectorField(null=True)
    updated_at = models.DateTimeField(_("updated"), db_default=Now())

    objects = EmbeddingManager()

    class Meta:
        verbose_name = _("product embedding")
        verbose_name_plural = _("product embeddings")
        constraints = [
            models.UniqueConstraint(
                fields=["index", "product", "image_key", "region"], name="visual_search_one_row_a_region"
            ),
            models.CheckConstraint(
                condition=models.Q(state="ready", embedding__isnull=False)
                | models.Q(state="failed", embedding__isnull=True),
                name="visual_search_ready_has_embedding",
            ),
        ]
        indexes = [
            models.Index(
                fields=["index", "error_code"], condition=models.Q(state="failed"), name="visual_search_failed"
            ),
            # Small, since a batch has one time: pictures are counted in it, and those of late.
            models.Index(fields=["index", "updated_at"], condition=models.Q(region=[]), name="visual_search_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}/{self.image_key} in {self.index_id}"
