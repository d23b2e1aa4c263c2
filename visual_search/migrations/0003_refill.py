from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("visual_search", "0002_recent_pictures")]

    operations = [
        migrations.CreateModel(
            name="Refill",
            fields=[
                (
                    "index",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="refill",
                        serialize=False,
                        to="visual_search.searchindex",
                    ),
                ),
                ("token", models.UUIDField(help_text="Another one each time that it begins.", verbose_name="token")),
                (
                    "after",
                    models.TextField(
                        help_text="The key of the last product that is queued.", null=True, verbose_name="after"
                    ),
                ),
                (
                    "remaining",
                    models.PositiveIntegerField(
                        help_text="Products to come; unknown before the first look.",
                        null=True,
                        verbose_name="remaining",
                    ),
                ),
                (
                    "forced",
                    models.BooleanField(
                        default=False, help_text="Encode unchanged pictures too.", verbose_name="forced"
                    ),
                ),
                (
                    "error",
                    models.TextField(
                        blank=True, db_default="", help_text="Why the products can't be listed.", verbose_name="error"
                    ),
                ),
                (
                    "moved_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="moved"),
                ),
            ],
            options={"verbose_name": "refill of an index", "verbose_name_plural": "refills of indexes"},
        ),
    ]
