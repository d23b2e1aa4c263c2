from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("zshop", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Article",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("picture", models.ImageField(blank=True, upload_to="articles/")),
                ("price", models.DecimalField(decimal_places=2, max_digits=8, null=True)),
                ("stock", models.PositiveIntegerField(default=1)),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="children",
                        to="zshop.article",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Book",
            fields=[
                (
                    "article_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="zshop.article",
                    ),
                ),
                ("pages", models.PositiveIntegerField(default=100)),
            ],
            bases=("zshop.article",),
        ),
        migrations.CreateModel(
            name="Bargain",
            fields=[],
            options={"proxy": True, "indexes": [], "constraints": []},
            bases=("zshop.article",),
        ),
    ]
