from __future__ import annotations

import uuid

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
import pgvector.django.halfvec
import pgvector.django.indexes
import pgvector.django.vector
from django.db import migrations, models
from pgvector.django import VectorExtension

from visual_search import conf


def finish_tables(apps, schema_editor):
    """Add what Django's operations can't say: deletes that cascade in the database, and vectors that stay inline."""
    product = apps.get_model(conf.product_label())
    quote = schema_editor.quote_name
    for name in ("ProductEmbedding", "QueuedProduct", "FitSample", "ProductText"):
        table = apps.get_model("visual_search", name)._meta.db_table
        # Not deferrable: a product deleted meanwhile is an error of the statement, not of the commit.
        schema_editor.execute(
            f"ALTER TABLE {quote(table)} ADD CONSTRAINT {quote(table + '_product_fk')} FOREIGN KEY (product_id)"
            f" REFERENCES {quote(product._meta.db_table)} ({quote(product._meta.pk.column)}) ON DELETE CASCADE"
        )
    # A vector of more than 2 kB would be moved out of line, which makes an exact scan 4 times slower.
    embedding = quote(apps.get_model("visual_search", "ProductEmbedding")._meta.db_table)
    schema_editor.execute(f"ALTER TABLE {embedding} ALTER COLUMN embedding SET STORAGE EXTERNAL")
    schema_editor.execute(f"ALTER TABLE {embedding} SET (toast_tuple_target = 8160)")


class Migration(migrations.Migration):
    initial = True

    # The product model is the shop's, like AUTH_USER_MODEL; PRODUCT_MIGRATION names the migration that creates it.
    dependencies = [(conf.product_label().split(".")[0], conf.settings.PRODUCT_MIGRATION)]

    operations = [
        VectorExtension(),
        migrations.CreateModel(
            name="SearchIndex",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "encoders",
                    models.JSONField(
                        help_text='Names or {"name", "weights", "sha256", "size"}, in the order of the parts.',
                        verbose_name="encoders",
                    ),
                ),
                (
                    "fingerprint",
                    models.CharField(
                        blank=True,
                        help_text="SHA-256 of weights and preprocessing; set by the fit.",
                        max_length=64,
                        verbose_name="fingerprint",
                    ),
                ),
                (
                    "parts",
                    models.JSONField(
                        default=list,
                        help_text='[{"name", "dimensions", "share"}] of the stored vector; set by the fit.',
                        verbose_name="parts",
                    ),
                ),
                (
                    "dimensions",
                    models.PositiveIntegerField(
                        help_text="Sum of the parts' dimensions.", null=True, verbose_name="dimensions"
                    ),
                ),
                (
                    "metric",
                    models.CharField(
                        choices=[("cosine", "cosine"), ("euclidean", "Euclidean"), ("pearson", "Pearson")],
                        default="cosine",
                        max_length=10,
                        verbose_name="metric",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("building", "building"),
                            ("ready", "ready"),
                            ("live", "live"),
                            ("previous", "previous"),
                            ("retired", "retired"),
                        ],
                        default="building",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "regions",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="Things on a picture that get vectors of their own.",
                        verbose_name="regions",
                    ),
                ),
                (
                    "fitted_on",
                    models.PositiveIntegerField(
                        help_text="Pictures that the means and projections were fitted on.",
                        null=True,
                        verbose_name="fitted on",
                    ),
                ),
                (
                    "projection",
                    models.JSONField(
                        help_text='{"overlap", "whitened"}: what it keeps of the 10 nearest; null without one.',
                        null=True,
                        verbose_name="projection",
                    ),
                ),
                ("calibration", models.JSONField(null=True, verbose_name="calibration")),
                ("evaluation", models.JSONField(null=True, verbose_name="evaluation")),
                (
                    "recall",
                    models.JSONField(
                        help_text="The newest figures of the recall canary.", null=True, verbose_name="recall"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("activated_at", models.DateTimeField(null=True, verbose_name="activated")),
            ],
            options={
                "verbose_name": "search index",
                "verbose_name_plural": "search indexes",
                "ordering": ["-id"],
                "permissions": [
                    ("reindex", "Can queue products for embedding"),
                    ("activate_index", "Can activate a search index"),
                    ("view_analytics", "Can view the analytics of visual search"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProductChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="time"),
                ),
            ],
            options={
                "verbose_name": "product change",
            },
        ),
        migrations.CreateModel(
            name="ProductEmbedding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("image_key", models.CharField(max_length=255, verbose_name="image key")),
                (
                    "region",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(),
                        default=list,
                        help_text=(
                            "Left, top, right, bottom of a thing on it, in shares of its sides; empty for all of it."
                        ),
                        size=None,
                        verbose_name="region",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0, verbose_name="position")),
                (
                    "state",
                    models.CharField(
                        choices=[("ready", "ready"), ("failed", "failed")], max_length=10, verbose_name="state"
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=50, verbose_name="error code")),
                ("error_message", models.TextField(blank=True, verbose_name="error message")),
                ("source_name", models.CharField(blank=True, max_length=500, verbose_name="file")),
                ("source_sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256 of the file")),
                ("source_size", models.BigIntegerField(null=True, verbose_name="size of the file")),
                (
                    "part_lengths",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.FloatField(), default=list, size=None, verbose_name="lengths of the parts"
                    ),
                ),
                ("embedding", pgvector.django.halfvec.HalfVectorField(null=True)),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="updated"),
                ),
            ],
            options={
                "verbose_name": "product embedding",
                "verbose_name_plural": "product embeddings",
            },
        ),
        migrations.CreateModel(
            name="QueuedProduct",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("generation", models.BigIntegerField(verbose_name="generation")),
                (
                    "priority",
                    models.SmallIntegerField(choices=[(0, "saved"), (10, "bulk")], default=0, verbose_name="priority"),
                ),
                (
                    "forced",
                    models.BooleanField(
                        default=False, help_text="Encode unchanged pictures too.", verbose_name="forced"
                    ),
                ),
                (
                    "queued_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="queued"),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("not_before", models.DateTimeField(null=True, verbose_name="not before")),
                ("lease_token", models.UUIDField(null=True, verbose_name="lease token")),
                ("lease_until", models.DateTimeField(null=True, verbose_name="lease until")),
            ],
            options={
                "verbose_name": "queued product",
            },
        ),
        migrations.CreateModel(
            name="ResultEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField(verbose_name="position")),
                ("clicked_at", models.DateTimeField(null=True, verbose_name="clicked")),
            ],
            options={
                "verbose_name": "result shown",
                "verbose_name_plural": "results shown",
            },
        ),
        migrations.CreateModel(
            name="SearchEvent",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("similar", "similar products"), ("photo", "photo"), ("text", "words")],
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                ("results", models.PositiveSmallIntegerField(verbose_name="results")),
                ("milliseconds", models.FloatField(verbose_name="latency in ms")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), db_index=True, verbose_name="time"
                    ),
                ),
            ],
            options={
                "verbose_name": "search",
                "verbose_name_plural": "searches",
            },
        ),
        migrations.CreateModel(
            name="PhotoMean",
            fields=[
                (
                    "index",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="photo_mean",
                        serialize=False,
                        to="visual_search.searchindex",
                    ),
                ),
                ("count", models.PositiveIntegerField(default=0)),
                ("sums", pgvector.django.vector.VectorField()),
            ],
            options={"verbose_name": "mean of photos", "verbose_name_plural": "means of photos"},
        ),
        migrations.CreateModel(
            name="FitSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pictures", models.PositiveSmallIntegerField()),
                (
                    "features",
                    models.BinaryField(help_text="An .npz of sums [n], the SHA-256 of the files, and features [n, d]."),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=conf.product_label(),
                    ),
                ),
            ],
            options={
                "verbose_name": "fit sample",
            },
        ),
        migrations.CreateModel(
            name="ProductText",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=conf.product_label(),
                    ),
                ),
                ("title", models.TextField(verbose_name="title")),
                ("text", models.TextField(verbose_name="text")),
                ("config", models.CharField(max_length=127, verbose_name="text search configuration")),
                ("vector", django.contrib.postgres.search.SearchVectorField()),
                (
                    "embedding",
                    pgvector.django.halfvec.HalfVectorField(dimensions=384, null=True, verbose_name="embedding"),
                ),
                ("fingerprint", models.CharField(default="", max_length=64, verbose_name="fingerprint")),
            ],
            options={
                "verbose_name": "text of a product",
                "verbose_name_plural": "texts of products",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(fields=["vector"], name="visual_search_words"),
                    pgvector.django.indexes.HnswIndex(
                        fields=["embedding"], name="visual_search_meanings", opclasses=["halfvec_cosine_ops"]
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IndexArrays",
            fields=[
                (
                    "index",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="arrays",
                        serialize=False,
                        to="visual_search.searchindex",
                    ),
                ),
                (
                    "transforms",
                    models.BinaryField(
                        help_text="An .npz of mean_0 [d], projection_0 [p, d], metric_0, scale_0, mean_1, ..."
                    ),
                ),
            ],
            options={
                "verbose_name": "arrays of an index",
                "verbose_name_plural": "arrays of indexes",
            },
        ),
        migrations.AddConstraint(
            model_name="searchindex",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "live")), fields=("state",), name="visual_search_one_live_index"
            ),
        ),
        migrations.AddField(
            model_name="fitsample",
            name="index",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="visual_search.searchindex"
            ),
        ),
        migrations.AddField(
            model_name="productchange",
            name="product",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=conf.product_label(),
            ),
        ),
        migrations.AddField(
            model_name="productembedding",
            name="index",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="embeddings",
                to="visual_search.searchindex",
            ),
        ),
        migrations.AddField(
            model_name="productembedding",
            name="product",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="visual_search_embeddings",
                to=conf.product_label(),
            ),
        ),
        migrations.AddField(
            model_name="queuedproduct",
            name="index",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="queue",
                to="visual_search.searchindex",
            ),
        ),
        migrations.AddField(
            model_name="queuedproduct",
            name="product",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=conf.product_label(),
            ),
        ),
        migrations.AddField(
            model_name="resultevent",
            name="product",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=conf.product_label(),
            ),
        ),
        migrations.AddField(
            model_name="searchevent",
            name="index",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="visual_search.searchindex",
            ),
        ),
        migrations.AddField(
            model_name="searchevent",
            name="product",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The product that similar ones were asked for.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to=conf.product_label(),
            ),
        ),
        migrations.AddField(
            model_name="resultevent",
            name="search",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="shown", to="visual_search.searchevent"
            ),
        ),
        migrations.AddConstraint(
            model_name="fitsample",
            constraint=models.UniqueConstraint(fields=("index", "product"), name="visual_search_one_sample_a_product"),
        ),
        migrations.AddIndex(
            model_name="productembedding",
            index=models.Index(
                condition=models.Q(("state", "failed")), fields=["index", "error_code"], name="visual_search_failed"
            ),
        ),
        migrations.AddConstraint(
            model_name="productembedding",
            constraint=models.UniqueConstraint(
                fields=("index", "product", "image_key", "region"), name="visual_search_one_row_a_region"
            ),
        ),
        migrations.AddConstraint(
            model_name="productembedding",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("embedding__isnull", False), ("state", "ready")),
                    models.Q(("embedding__isnull", True), ("state", "failed")),
                    _connector="OR",
                ),
                name="visual_search_ready_has_embedding",
            ),
        ),
        migrations.AddIndex(
            model_name="queuedproduct",
            index=models.Index(fields=["priority", "id"], name="visual_search_queue_order"),
        ),
        migrations.AddConstraint(
            model_name="queuedproduct",
            constraint=models.UniqueConstraint(fields=("index", "product"), name="visual_search_one_queued_a_product"),
        ),
        migrations.AddConstraint(
            model_name="resultevent",
            constraint=models.UniqueConstraint(fields=("search", "product"), name="visual_search_shown_once"),
        ),
        migrations.RunPython(finish_tables, migrations.RunPython.noop),
    ]
