"""Set-ups that differ from the example shop's, each in a process and a database of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from tests.processes import ROOT

USED = """
import json, logging, os
import django
django.setup()
logging.disable(logging.INFO)
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from example_shop.catalogue.models import Product
from tests import factories
from visual_search import conf, models

quiet = open(os.devnull, "w")
for alias in connections:
    call_command("migrate", database=alias, verbosity=0)
call_command("check", databases=list(connections), fail_level="WARNING", stdout=quiet)
red, dark = (factories.product(name=name, pictures=[factories.picture(name)]) for name in ("crimson", "firebrick"))
call_command("visual_search", "sync", strict=True, stdout=quiet)

client = Client()
client.force_login(User.objects.create_superuser("admin"))
similar = client.get(reverse("visual_search_api:similar", args=[red.pk])).json()
upload = SimpleUploadedFile("a.png", factories.picture())
photo = client.post(reverse("visual_search_api:photo") + "?category=things", {"photo": upload}).json()
click = {"search": similar["search"], "product": dark.pk}
clicked = client.post(reverse("visual_search_api:events"), click, content_type="application/json")
index, row = models.SearchIndex.objects.live(), models.ProductEmbedding.objects.first()
pages = [
    reverse("visual_search:similar", args=[red.pk]), reverse("product", args=[red.pk]),
    reverse("admin:visual_search_productembedding_changelist"),
    reverse("admin:visual_search_productembedding_change", args=[row.pk]),
    reverse("admin:visual_search_searchindex_changelist"),
    reverse("admin:visual_search_searchindex_change", args=[index.pk]),
    reverse("admin:visual_search_analytics"), reverse("admin:visual_search_reindex"),
]
statuses = [client.get(page).status_code for page in pages]
queued = client.post(reverse("admin:visual_search_embed_again", args=[row.pk])).status_code
for command in (["status"], ["sweep"], ["reconcile"], ["recall"], ["prune", "--days", "0"], ["sync", "--strict"]):
    call_command("visual_search", *command, stdout=quiet)
red.images.get().delete()
dark.delete()
print(json.dumps({
    "similar": [each["title"] for each in similar["results"]],
    "photo": [each["title"] for each in photo["results"]],
    "clicked": clicked.status_code,
    "pages": statuses,
    "queued": queued,
    "kept": [models.ProductEmbedding.objects.count(), models.SearchEvent.objects.count()],
    "tables": {alias: sorted(name for name in connections[alias].introspection.table_names()
                             if name in ("auth_user", "catalogue_product", "visual_search_productembedding"))
               for alias in connections},
}))
"""

WORKS = {
    "similar": ["firebrick"],
    "photo": ["crimson", "firebrick"],
    "clicked": 204,
    "pages": [200] * 8,
    "queued": 302,
    "kept": [1, 0],
}


@pytest.fixture
def database() -> Iterator[str]:
    """Yield the address of an empty database."""
    known = connection.settings_dict
    name = f"setup_{os.getpid()}"
    address = {"user": known["USER"], "password": known["PASSWORD"], "host": known["HOST"], "port": known["PORT"]}
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield f"postgresql://{known['USER']}@/{name}?host={quote(known['HOST'])}&port={known['PORT']}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def use(settings: str, database: str, folder: Path, *, before: str = "") -> Any:
    """Use the example shop under `settings` and return what came of it; `before` runs before Django is set up."""
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "DEMO_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": settings,
        "MEDIA_ROOT": str(folder / "media"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", before + USED],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_two_databases__keep_products_and_vectors_in_the_second(database: str, tmp_path: Path) -> None:
    assert use("tests.settings_two", database, tmp_path) == WORKS | {
        "tables": {"default": ["auth_user"], "shop": ["catalogue_product", "visual_search_productembedding"]}
    }


def test_naive_times__are_good_enough(database: str, tmp_path: Path) -> None:
    tables = ["auth_user", "catalogue_product", "visual_search_productembedding"]

    assert use("tests.settings_naive", database, tmp_path) == WORKS | {"tables": {"default": tables}}


def test_server_side_binding__changes_nothing(database: str, tmp_path: Path) -> None:
    tables = ["auth_user", "catalogue_product", "visual_search_productembedding"]

    assert use("tests.settings_bound", database, tmp_path) == WORKS | {"tables": {"default": tables}}


def test_drf_spectacular__is_not_needed(database: str, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['drf_spectacular'] = None\n"
    tables = ["auth_user", "catalogue_product", "visual_search_productembedding"]

    assert use("tests.settings_plain", database, tmp_path, before=blocked) == WORKS | {"tables": {"default": tables}}
