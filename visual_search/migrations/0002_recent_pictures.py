from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # A delete of a product cascades to these rows, and would wait for an index that is built in a transaction.
    atomic = False

    dependencies = [("visual_search", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            model_name="productembedding",
            index=models.Index(
                condition=models.Q(("region", [])), fields=["index", "updated_at"], name="visual_search_recent"
            ),
        ),
    ]
