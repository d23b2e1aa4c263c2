"""The queue: rows are the truth about what has to be done; Celery only wakes a worker up."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from visual_search import conf
from visual_search.models.indexes import SearchIndex


class ProductChange(models.Model):
    """A product's pictures may have changed.

    Append-only, and the only thing that a signal writes: inserts never wait for each other, whereas upserts on a
    shared key deadlock two of the shop's own transactions. No constraint either, for the same reason.
    """

    product = models.ForeignKey(
        conf.product_label(), models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    created_at = models.DateTimeField(_("time"), db_default=Now())

    class Meta:
        verbose_name = _("product change")

    def __str__(self) -> str:
        return f"change {self.pk} of {self.product_id}"


class QueuedProduct(models.Model):
    """A product that one index has to embed (again)."""

    class Priority(models.IntegerChoices):
        SAVED = 0, _("saved")
        BULK = 10, _("bulk")

    index = models.ForeignKey(SearchIndex, models.CASCADE, db_index=False, related_name="queue")
    product = models.ForeignKey(conf.product_label(), models.DO_NOTHING, db_constraint=False, related_name="+")
    generation = models.BigIntegerField(_("generation"))
    priority = models.SmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.SAVED)
    forced = models.BooleanField(_("forced"), default=False, help_text=_("Encode unchanged pictures too."))
    queued_at = models.DateTimeField(_("queued"), db_default=Now())
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True)
    lease_token = models.UUIDField(_("lease token"), null=True)
    lease_until = models.DateTimeField(_("lease until"), null=True)

    class Meta:
        verbose_name = _("queued product")
        constraints = [
            models.UniqueConstraint(fields=["index", "product"], name="visual_search_one_queued_a_product"),
        ]
        indexes = [models.Index(fields=["priority", "id"], name="visual_search_queue_order")]

    def __str__(self) -> str:
        return f"{self.product_id} for {self.index_id}"


class Refill(models.Model):
    """Every product is to be queued for an index, and workers are at it: what is left to do, kept until it is done."""

    index = models.OneToOneField(SearchIndex, models.CASCADE, primary_key=True, related_name="refill")
    token = models.UUIDField(_("token"), help_text=_("Another one each time that it begins."))
    after = models.TextField(_("after"), null=True, help_text=_("The key of the last product that is queued."))
    remaining = models.PositiveIntegerField(
        _("remaining"), null=True, help_text=_("Products to come; unknown before the first look.")
    )
    forced = models.BooleanField(_("forced"), default=False, help_text=_("Encode unchanged pictures too."))
    error = models.TextField(_("error"), blank=True, db_default="", help_text=_("Why the products can't be listed."))
    moved_at = models.DateTimeField(_("moved"), db_default=Now())

    class Meta:
        verbose_name = _("refill of an index")
        verbose_name_plural = _("refills of indexes")

    def __str__(self) -> str:
        return f"refill of {self.index_id}"
