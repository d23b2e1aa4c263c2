"""The README's way into a shop, word for word: a new Django project, its blocks, its commands, and what it promises."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests import processes

pytestmark = pytest.mark.install

ROOT = Path(__file__).resolve().parent.parent
DATABASE = f"install_{os.getpid()}"
BINARIES = Path(sys.executable).parent

MODELS = """
from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=50)
    picture = models.ImageField(upload_to="products/")
    stock = models.PositiveIntegerField(default=1)

    def __str__(self):
        return self.name
"""

PRODUCTS = """
import sys
from django.core.files.base import ContentFile
from catalogue.models import Product
from tests import factories
for name, colour, shape, stock in [
    ("Red ball", "crimson", "circle", 3), ("Dark ball", "firebrick", "circle", 3),
    ("Sold ball", "red", "circle", 0), ("Green bar", "seagreen", "bar", 3),
]:
    product = Product(name=name, stock=stock)
    product.picture.save(f"{name}.png", ContentFile(factories.picture(colour, shape)))
"""


def block(page: str, language: str, beginning: str) -> str:
    """Return the one block of `page` in `language` that has a line beginning so."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    matching = [each for each in found if re.search(rf"^{re.escape(beginning)}", each, re.MULTILINE)]
    assert len(matching) == 1, f"{page} has {len(matching)} blocks in {language} that begin with {beginning!r}"
    return matching[0]


class Shop:
    """A project that `django-admin startproject` made, in a folder and a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        gone = ("DATABASE_URL", "CELERY_BROKER_URL", "BROKER_DIR", "DEMO_DIR", "MEDIA_ROOT")
        self.environment = {key: value for key, value in os.environ.items() if key not in gone}
        self.environment["DJANGO_SETTINGS_MODULE"] = "yourproject.settings"
        self.environment["PATH"] = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"

    def command(self, line: str) -> str:
        """Run a command as a shop's developer types it, and return what it says."""
        done = subprocess.run(
            shlex.split(line), cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, program: str, **names: Any) -> Any:
        """Run `program` in the project with `names` given; return what it left in `result`."""
        lines = [
            "import json, sys",
            f"sys.path.append({str(ROOT)!r})",
            "import django",
            "django.setup()",
            *(f"{name} = {value!r}" for name, value in names.items()),
            "result = None",
            textwrap.dedent(program),
            "print('\\n' + json.dumps(result))",
        ]
        done = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def write_project(shop: Shop) -> None:
    shop.command("django-admin startproject yourproject .")
    shop.command("python manage.py startapp catalogue")
    (shop.folder / "catalogue" / "models.py").write_text(MODELS)
    server = {key: connection.settings_dict[key] for key in ("ENGINE", "USER", "PASSWORD", "HOST", "PORT")}
    with (shop.folder / "yourproject" / "settings.py").open("a") as settings:
        settings.write(
            f"\nINSTALLED_APPS += ['catalogue']\nDATABASES = {{'default': {server | {'NAME': DATABASE}!r}}}\n"
            "MEDIA_ROOT, MEDIA_URL = BASE_DIR / 'media', 'media/'\n"
        )
        settings.write(block("README.md", "python", "VISUAL_SEARCH = {"))
        # Quick, and a broker that is nothing but folders.
        settings.write("VISUAL_SEARCH['ENCODERS'] = ['tiny']\n")
        settings.write(block("docs/operations.md", "python", 'CELERY_BROKER_URL = "filesystem://'))
    with (shop.folder / "yourproject" / "urls.py").open("a") as urls:
        urls.write(block("README.md", "python", "urlpatterns += ["))
    (shop.folder / "yourproject" / "celery.py").write_text(block("docs/operations.md", "python", "app = Celery("))
    (shop.folder / "yourproject" / "__init__.py").write_text(
        block("docs/operations.md", "python", "from yourproject.celery import app")
    )


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    own = {"user": connection.settings_dict["USER"], "host": connection.settings_dict["HOST"]}
    own |= {"port": connection.settings_dict["PORT"], "password": connection.settings_dict["PASSWORD"] or None}
    with (
        psycopg.connect(dbname="postgres", autocommit=True, **own) as server,
        tempfile.TemporaryDirectory(prefix="shop-") as folder,
    ):
        server.execute(f"CREATE DATABASE {DATABASE}")
        try:
            made = Shop(Path(folder))
            write_project(made)
            made.command("python manage.py makemigrations catalogue")
            migrate, sync, _ = block("README.md", "console", "python manage.py migrate").splitlines()
            made.command(migrate)
            made.python(PRODUCTS)
            assert "100%  4/4 products, 4 pictures" in made.command(sync)
            yield made
        finally:
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def test_checks__find_nothing_to_say(shop: Shop) -> None:
    assert "no issues" in shop.command("python manage.py check --database default --fail-level WARNING")
    assert "No changes detected" in shop.command("python manage.py makemigrations --check --dry-run")


def test_api__answers_with_the_shops_products(shop: Shop) -> None:
    answer = shop.python(
        """
        from django.test import Client
        from catalogue.models import Product
        key = Product.objects.get(name="Red ball").pk
        response = Client(headers={"host": "localhost"}).get(f"/api/visual-search/v1/products/{key}/similar/")
        result = [response.status_code, response.json()]
        """
    )

    assert answer[0] == 200
    assert answer[1]["state"] == "ready"
    assert {product["title"] for product in answer[1]["results"]} == {"Dark ball", "Sold ball", "Green bar"}
    assert answer[1]["results"][-1]["title"] == "Green bar"
    assert answer[1]["results"][0]["matched_image"]["url"].startswith("/media/products/")


def test_tags__render_the_strip_and_the_button(shop: Shop) -> None:
    html = shop.python(
        """
        from django.template import Context, Template
        from catalogue.models import Product
        result = Template(template).render(Context({"product": Product.objects.get(name="Red ball")}))
        """,
        template=block("README.md", "django", "{% load visual_search %}"),
    )

    assert "visual_search/visual_search.css" in html
    assert 'class="vs-button vs-find-similar" href="/visual-search/products/1/"' in html
    assert [html.count(name) for name in ("Dark ball", "Sold ball", "Green bar")] == [1, 1, 1]


def test_python__of_the_readme_finds_what_is_in_stock(shop: Shop) -> None:
    found = shop.python(
        """
        import ast, io
        from types import SimpleNamespace
        from catalogue.models import Product
        from tests import factories
        product = Product.objects.get(name="Red ball")
        request = SimpleNamespace(FILES={"photo": io.BytesIO(factories.picture("seagreen", "bar"))})
        result = []
        for statement in ast.parse(readme).body:
            if isinstance(statement, ast.Expr):
                found = eval(ast.unparse(statement))
                pictures = [each.matched_image and each.matched_image.key for each in found]
                result.append([[each.name, each.similarity, key] for each, key in zip(found, pictures)])
            else:
                exec(ast.unparse(statement))
        """,
        readme=block("README.md", "python", "visual_search.similar_to("),
    )

    assert [name for name, _, _ in found[0]] == ["Dark ball", "Green bar"]
    assert found[1][0] == ["Green bar", pytest.approx(1, abs=1e-3), "picture"]
    # Nothing is a boot of leather, but one thing is red.
    assert found[2] == [["Red ball", None, None]]


def test_pages__are_served(shop: Shop) -> None:
    pages = shop.python(
        """
        from django.test import Client
        client = Client(headers={"host": "localhost"})
        result = [client.get(f"/visual-search/{page}/").status_code for page in ("photo", "products/1", "products/99")]
        """
    )

    assert pages == [200, 200, 404]


@pytest.mark.worker
def test_worker__of_the_readme_embeds_what_is_saved(shop: Shop, tmp_path: Path) -> None:
    command = block("README.md", "console", "python manage.py migrate").splitlines()[2]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            shlex.split(command), cwd=shop.folder, env=shop.environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        key = shop.python(
            """
            from django.core.files.base import ContentFile
            from catalogue.models import Product
            from tests import factories
            product = Product(name="New ball")
            product.picture.save("new.png", ContentFile(factories.picture("tomato")))
            result = product.pk
            """
        )
        states = """
            from visual_search.models import ProductEmbedding
            result = list(ProductEmbedding.objects.filter(product=key).values_list("state", flat=True))
            """
        processes.wait_for(lambda: worker.poll() is not None or shop.python(states, key=key) == ["ready"], seconds=60)
        assert worker.poll() is None, log.read_text()
    finally:
        worker.terminate()
        worker.wait(30)
