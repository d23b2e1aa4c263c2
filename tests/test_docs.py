"""The docs can't drift: what they say is generated from the code, or tried."""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from rest_framework import exceptions as rest_exceptions

import visual_search
from example_shop.catalogue.models import Product
from tests import factories, settings_table
from visual_search import conf, exceptions
from visual_search.asking import problems
from visual_search.retrieval import targets

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "visual_search"
README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
ALL = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]

OF_REST_FRAMEWORK = {
    kind.default_code
    for kind in (rest_exceptions.UnsupportedMediaType, rest_exceptions.ParseError, rest_exceptions.NotAuthenticated)
}
"""Codes that reach a client and that no line of ours spells out."""

NAMED = {targets.KNOB}
"""Codes that are a constant, which `codes` doesn't follow."""

OTHER_SETTINGS = {
    "ATOMIC_REQUESTS", "AUTH_USER_MODEL", "CACHES", "CELERY_BEAT_SCHEDULE", "CELERY_BROKER_TRANSPORT",
    "CELERY_BROKER_TRANSPORT_OPTIONS", "CELERY_BROKER_URL", "CUDA_VISIBLE_DEVICES",
    "DATABASES", "DATA_UPLOAD_MAX_MEMORY_SIZE", "DEFAULT_THROTTLE_RATES", "DIRS",
    "FILE_UPLOAD_MAX_MEMORY_SIZE", "INSTALLED_APPS", "LANGUAGE_CODE", "LOCALE_PATHS", "LOCATION", "MEDIA_ROOT",
    "NUM_PROXIES", "OMP_NUM_THREADS", "REST_FRAMEWORK", "VISUAL_SEARCH",
}  # fmt: skip
"""Settings (one variable among them) of Django and others that the docs may name."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """Return `page` without its blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each subcommand; those of `index` under names like "index create"."""
    found: dict[str, argparse.ArgumentParser] = {}
    root = load_command_class(get_commands()["visual_search"], "visual_search").create_parser("manage.py", "")
    for name, parser in _choices(root).items():
        found[name] = parser
        found |= {f"{name} {step}": each for step, each in _choices(parser).items()}
    return found


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return {name: each for action in actions for name, each in action.choices.items()}


def codes(tree: ast.AST) -> Iterator[str]:
    """Yield what a module gives the name `code`, be it a class's, an argument or a variable."""
    for node in ast.walk(tree):
        targets = [node.arg] if isinstance(node, ast.keyword) else []
        if isinstance(node, ast.Assign):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if "code" in targets:
            value = node.value  # type: ignore[attr-defined]
            branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (b.value for b in branches if isinstance(b, ast.Constant) and isinstance(b.value, str))


def codes_of_the_package() -> set[str]:
    modules = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts]
    return {code for tree in modules for code in codes(tree)}


def test_settings__are_documented_as_they_are() -> None:
    assert settings_table.PLACE.search(README.read_text()).group() == settings_table.written()  # type: ignore[union-attr]
    assert len(re.findall(r"^\| `[A-Z_]+`", settings_table.written(), re.MULTILINE)) == len(conf.names())


@pytest.mark.parametrize("document", ALL, ids=lambda path: path.name)
def test_settings__that_are_named_exist(document: Path) -> None:
    named = set(re.findall(r"`\"?([A-Z]+(?:_[A-Z]+)+)\b", prose(document)))
    named |= {key for block in blocks(document, "python") for key in re.findall(r'^ *"([A-Z]+(?:_[A-Z]+)+)":', block)}
    assert named - set(conf.names()) - OTHER_SETTINGS == set()


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_settings__of_examples_are_right(document: Path, settings: Any) -> None:
    examples = []
    for block in blocks(document, "python"):
        for statement in ast.parse(inspect.cleandoc(block)).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "VISUAL_SEARCH":
                examples.append(ast.literal_eval(statement.value))
    for example in examples:
        assert set(example) <= set(conf.names())
        # The shop in the examples is nobody's; all else has to pass.
        settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, **example, "PRODUCT_MODEL": "catalogue.Product"}
        settings.VISUAL_SEARCH["CATALOG"] = "example_shop.catalogue.visual_search.ShopCatalog"
        call_command("check", "--fail-level", "WARNING", stdout=io.StringIO())


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_python__of_the_docs_compiles(document: Path) -> None:
    for block in blocks(document, "python"):
        compile(inspect.cleandoc(block), str(document), "exec")


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_python__of_the_docs_uses_what_there_is(document: Path) -> None:
    for block in blocks(document, "python"):
        tree = ast.parse(inspect.cleandoc(block))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "visual_search":
                names = {alias.name for alias in node.names}
                assert names <= {*visual_search.__all__, "beat"}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "visual_search":
                assert node.attr in visual_search.__all__
            elif isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Catalog" for base in node.bases):
                _assert_overrides(node)


def _assert_overrides(node: ast.ClassDef) -> None:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            real = inspect.signature(getattr(visual_search.Catalog, statement.name))
            assert [argument.arg for argument in statement.args.args] == list(real.parameters), statement.name
        elif isinstance(statement, ast.Assign):
            assert hasattr(visual_search.Catalog, ast.unparse(statement.targets[0]))


def test_hooks__are_all_described() -> None:
    text = (ROOT / "docs" / "catalog.md").read_text()
    hooks = {name for name in vars(visual_search.Catalog) if not name.startswith("_")} - {"image_field_names"}
    assert {name for name in hooks if not re.search(rf"\b{name}\b", text)} == set()


@pytest.mark.parametrize("document", ALL, ids=lambda path: path.name)
def test_links__of_the_docs_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(document)):
        path, _, anchor = target.partition("#")
        page = document.parent / path if path else document
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


@pytest.mark.parametrize("document", ALL, ids=lambda path: path.name)
def test_commands__that_are_named_exist(document: Path) -> None:
    known = parsers()
    pattern = r"manage\.py visual_search (?:--settings=[\w.]+ )?(?!--)([a-z]+)((?: [a-z]+)?)((?: --?[a-z]+)*)"
    for name, step, options in re.findall(pattern, document.read_text()):
        parser = known[name + step] if name == "index" and step else known[name]
        flags = {flag for action in parser._actions for flag in action.option_strings}
        assert set(options.split()) <= flags, (name, options)


def test_commands__are_all_in_the_readme() -> None:
    table = README.read_text().split("## Commands")[1].split("## API")[0]
    known = parsers()
    assert set(re.findall(r"^\| `manage\.py visual_search ([a-z]+)", table, re.MULTILINE)) == {
        name for name in known if " " not in name
    }
    steps = re.search(r"visual_search index STEP` \|(.*)\|", table)
    assert steps is not None
    assert {f"index {step}" for step in re.findall(r"`([a-z]+)`", steps[1])} == {n for n in known if " " in n}


def test_make_targets__of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README.read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_error_codes__are_all_in_the_docs_and_nothing_else_is() -> None:
    answered = re.findall(r"^\| \d{3} \| `(\w+)` \|", API.read_text(), re.MULTILINE)
    elsewhere = re.findall(r"^\| `(\w+)` \| (?:Python|rows|log|admin|check)", API.read_text(), re.MULTILINE)
    # "invalid" is what a serializer's errors would be called, and no view has a serializer.
    assert sorted([*answered, *elsewhere]) == sorted((codes_of_the_package() | OF_REST_FRAMEWORK | NAMED) - {"invalid"})


def test_error_codes__have_the_status_that_the_docs_say() -> None:
    documented = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", API.read_text(), re.MULTILINE)
    of_pictures = [(int(status), code) for status, code in documented if code.startswith("image_")]
    of_queries = [(int(s), c) for s, c in documented if c.startswith(("invalid_", "photo_", "product_", "event_"))]
    assert len(of_pictures) == 10
    for kind, documented in ((exceptions.BadImage, of_pictures), (exceptions.InvalidQuery, of_queries)):
        found = [problems.of(kind(code=code)) for _, code in documented]
        assert [(problem.status, problem.code) for problem in found if problem] == documented


def test_check_ids__are_all_in_the_docs_and_nothing_else_is() -> None:
    documented = re.findall(r"^\| `visual_search\.(\w+)` \|", TROUBLESHOOTING.read_text(), re.MULTILINE)
    source = "".join(path.read_text() for path in (PACKAGE / "checks").glob("*.py"))
    assert documented == sorted(set(re.findall(r'(?:"|visual_search\.)([EW]\d{3})"', source)))


def test_pictures_that_fail__are_explained_whatever_their_code() -> None:
    section = TROUBLESHOOTING.read_text().split("\n## Pictures that fail\n")[1].split("\n## ")[0]
    of_rows = re.findall(r"^\| `(\w+)` \| rows", API.read_text(), re.MULTILINE)
    expected = {code for code in codes_of_the_package() if code.startswith("image_")} | set(of_rows)
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert {code for cell in cells for code in re.findall(r"`(\w+)`", cell)} == expected


def test_custom_properties__are_those_of_the_stylesheet() -> None:
    stylesheet = (PACKAGE / "static/visual_search/visual_search.css").read_text()
    page = ROOT / "docs" / "operations.md"
    documented = re.findall(r"^  (--vs-[a-z-]+):", "".join(blocks(page, "css")), re.MULTILINE)
    assert set(documented) == set(re.findall(r"^  (--vs-[a-z-]+):", stylesheet, re.MULTILINE))


def test_templates__are_all_in_the_docs() -> None:
    folder = PACKAGE / "templates" / "visual_search"
    named = re.findall(r"^\| `visual_search/(\w+\.html)`", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert set(named) == {path.name for path in folder.glob("*.html")}


def test_numbers__of_the_docs_are_the_codes() -> None:
    from visual_search.images import limits
    from visual_search.indexing.generations import gate
    from visual_search.indexing.intake import queue
    from visual_search.indexing.vectors import encoding, measures
    from visual_search.retrieval import nearest

    assert (limits.CATALOGUE.max_bytes, limits.CATALOGUE.max_pixels) == (64 * 2**20, 50_000_000)
    assert (limits.UPLOAD.max_side, limits.UPLOAD.min_side, limits.UPLOAD.max_scans) == (12_000, 16, 64)
    assert (queue.LEASE_SECONDS, queue.MOST_ATTEMPTS, queue.BACKOFF_SECONDS, encoding.DEADLINE) == (60, 3, 30, 20.0)
    assert (gate.LEAST_COVERAGE, gate.LEAST_RECALL, gate.LARGEST_LOSS, measures.LEAST_PAIRS) == (0.999, 0.98, 0.01, 30)
    assert (nearest.EXACT_CANDIDATES, nearest.MOST_EXACT, nearest.RERANKED) == (10_000, 100_000, 400)


@pytest.mark.django_db
def test_catalogue__of_the_docs_is_imported_and_embedded(tmp_path: Path) -> None:
    products, images = blocks(ROOT / "docs" / "catalog-format.md", "csv")
    (tmp_path / "products.csv").write_text(products)
    (tmp_path / "images.csv").write_text(images)
    (tmp_path / "images").mkdir()
    for name, colour in {"kettle": "chocolate", "kettle-black": "black", "mug": "royalblue"}.items():
        (tmp_path / "images" / f"{name}.jpg").write_bytes(factories.picture(colour, kind="JPEG"))
    out = io.StringIO()

    call_command("import_catalog", tmp_path, shop="kitchen", stdout=out)
    call_command("visual_search", "sync", "--strict", stdout=out)

    assert "Imported 2 products with 3 pictures, in place of 0 products." in out.getvalue()
    kettle = Product.objects.get(slug="copper-kettle")
    assert (str(kettle.category), str(kettle.price)) == ("Kettles", "49.99")
    assert [product.slug for product in visual_search.similar_to(kettle)] == ["enamel-mug"]
