"""Generations of vectors: one index a choice of encoders and weights, at most one of them live."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from pgvector.django import VectorField

from visual_search import conf


class SearchIndexQuerySet(models.QuerySet["SearchIndex"]):
    def live(self) -> SearchIndex | None:
        """Return the index that answers queries, or None before the first one is ready."""
        return self.filter(state=SearchIndex.State.LIVE).first()

    def kept(self) -> SearchIndexQuerySet:
        """Return the indexes that changes of products have to reach: a rollback must never be stale."""
        return self.filter(state__in=SearchIndex.KEPT)


class SearchIndex(models.Model):
    """One generation of vectors: encoders, their weights, and the transform that is frozen with them."""

    class State(models.TextChoices):
        BUILDING = "building", _("building")
        READY = "ready", _("ready")
        LIVE = "live", _("live")
        PREVIOUS = "previous", _("previous")
        RETIRED = "retired", _("retired")

    class Metric(models.TextChoices):
        COSINE = "cosine", _("cosine")
        EUCLIDEAN = "euclidean", _("Euclidean")
        PEARSON = "pearson", _("Pearson")

    MOST_REGIONS = 4

    KEPT = (State.BUILDING, State.READY, State.LIVE, State.PREVIOUS)

    encoders = models.JSONField(
        _("encoders"), help_text=_('Names or {"name", "weights", "sha256", "size"}, in the order of the parts.')
    )
    fingerprint = models.CharField(
        _("fingerprint"),
        max_length=64,
        blank=True,
        help_text=_("SHA-256 of weights and preprocessing; set by the fit."),
    )
    parts = models.JSONField(
        _("parts"), default=list, help_text=_('[{"name", "dimensions", "share"}] of the stored vector; set by the fit.')
    )
    dimensions = models.PositiveIntegerField(_("dimensions"), null=True, help_text=_("Sum of the parts' dimensions."))
    metric = models.CharField(_("metric"), max_length=10, choices=Metric.choices, default=Metric.COSINE)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.BUILDING)
    regions = models.PositiveSmallIntegerField(
        _("regions"), default=0, help_text=_("Things on a picture that get vectors of their own.")
    )
    fitted_on = models.PositiveIntegerField(
        _("fitted on"), null=True, help_text=_("Pictures that the means and projections were fitted on.")
    )
    projection = models.JSONField(
        _("projection"),
        null=True,
        help_text=_('{"overlap", "whitened"}: what it keeps of the 10 nearest; null without one.'),
    )
    calibration = models.JSONField(_("calibration"), null=True)
    evaluation = models.JSONField(_("evaluation"), null=True)
    recall = models.JSONField(_("recall"), null=True, help_text=_("The newest figures of the recall canary."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated"), null=True)

    objects = SearchIndexQuerySet.as_manager()

    class Meta:
        verbose_name = _("search index")
        verbose_name_plural = _("search indexes")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="live"), name="visual_search_one_live_index"
            ),
        ]
        permissions = [
            ("reindex", "Can queue products for embedding"),
            ("activate_index", "Can activate a search index"),
            ("view_analytics", "Can view the analytics of visual search"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {self.encoder_names}"

    @property
    def encoder_names(self) -> str:
        """Return the encoders' names, as people read them."""
        return " + ".join(spec if isinstance(spec, str) else spec["name"] for spec in self.encoders)


class IndexArrays(models.Model):
    """The arrays of an index: the catalogue's mean and the projection of each part, frozen by the fit."""

    index = models.OneToOneField(SearchIndex, models.CASCADE, primary_key=True, related_name="arrays")
    transforms = models.BinaryField(
        help_text=_("An .npz of mean_0 [d], projection_0 [p, d], metric_0, scale_0, mean_1, ...")
    )

    class Meta:
        verbose_name = _("arrays of an index")
        verbose_name_plural = _("arrays of indexes")

    def __str__(self) -> str:
        return f"arrays of {self.index_id}"


class PhotoMean(models.Model):
    """The sums of the unit vectors of customers' photos, each part's, and their number: all that is kept of them.

    It has a row of its own, so that what waits for the index never waits for a photo.
    """

    index = models.OneToOneField(SearchIndex, models.CASCADE, primary_key=True, related_name="photo_mean")
    count = models.PositiveIntegerField(default=0)
    sums = VectorField()

    class Meta:
        verbose_name = _("mean of photos")
        verbose_name_plural = _("means of photos")

    def __str__(self) -> str:
        return f"mean of {self.count} photos in {self.index_id}"


class FitSample(models.Model):
    """Raw features of one sampled product, kept from the fit until its index is filled.

    The fit can be stopped and resumed, and the fill doesn't encode these pictures again.
    """

    index = models.ForeignKey(SearchIndex, models.CASCADE, related_name="+")
    product = models.ForeignKey(
        conf.product_label(), models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    pictures = models.PositiveSmallIntegerField()
    features = models.BinaryField(help_text=_("An .npz of sums [n], the SHA-256 of the files, and features [n, d]."))

    class Meta:
        verbose_name = _("fit sample")
        constraints = [
            models.UniqueConstraint(fields=["index", "product"], name="visual_search_one_sample_a_product"),
        ]

    def __str__(self) -> str:
        return f"sample of {self.product_id} for {self.index_id}"
