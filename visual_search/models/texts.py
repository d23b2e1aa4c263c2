"""What is said of the products, for searches by words: one row a product, whichever index is live."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField, HnswIndex

from visual_search import conf
from visual_search.encoders import sentences


class ProductText(models.Model):
    """The title of one product, what else the catalog says of it, and their words as Postgres ranks them.

    `vector` has the title's words with weight A and the others with D, under the text search configuration `config`.
    `embedding` is what they mean, to the sentence encoder with that `fingerprint`: None and "" without one.
    """

    product = models.OneToOneField(
        conf.product_label(), models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="+"
    )
    title = models.TextField(_("title"))
    text = models.TextField(_("text"))
    config = models.CharField(_("text search configuration"), max_length=127)
    vector = SearchVectorField()
    embedding = HalfVectorField(_("embedding"), dimensions=sentences.DIMENSIONS, null=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=64, default="")

    class Meta:
        verbose_name = _("text of a product")
        verbose_name_plural = _("texts of products")
        indexes = [
            GinIndex(fields=["vector"], name="visual_search_words"),
            HnswIndex(fields=["embedding"], opclasses=["halfvec_cosine_ops"], name="visual_search_meanings"),
        ]

    def __str__(self) -> str:
        return f"text of {self.product_id}"
