"""The house stays a house: data flows one way through its rooms, and every room stays small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "visual_search"

STOREYS = (
    ("exceptions",),
    ("images",),
    ("encoders",),
    ("conf", "testing"),
    ("catalog",),
    ("models",),
    ("indexing",),
    ("retrieval",),
    ("insight",),
    ("asking",),
    ("api", "views", "templatetags", "admin", "management", "beat", "tasks", "signals", "checks"),
    ("contrib",),
    ("urls", "apps"),
    ("__init__",),
)
"""From the bytes to the faces: a module imports only from its own room and from storeys before."""

INDEXING = (("locks", "memory"), ("intake",), ("sources",), ("vectors",), ("generations",), ("reconciler", "worker"))
"""The same within `indexing/`: from what has changed to what can be searched."""

BARE = ("images", "encoders")
TORCH = ("torch", "torchvision", "timm", "open_clip", "openvino")

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def identifier(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_module__imports_only_from_rooms_before_its_own(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    (storey,) = [number for number, rooms in enumerate(STOREYS) if own in rooms]
    allowed = {own}.union(*STOREYS[:storey])
    reached = {room(name) for name in imported(path) if name.startswith("visual_search.")}
    assert reached - allowed == set()


@pytest.mark.parametrize("path", sorted((PACKAGE / "indexing").rglob("*.py")), ids=identifier)
def test_module__of_indexing_imports_only_from_rooms_before_its_own(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[1].removesuffix(".py")
    if own == "__init__":
        return
    (storey,) = [number for number, rooms in enumerate(INDEXING) if own in rooms]
    allowed = {own}.union(*INDEXING[:storey])
    reached = {name.split(".")[2] for name in imported(path) if name.startswith("visual_search.indexing.")}
    assert reached - allowed == set()


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_module__imports_torch_only_among_the_encoders(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] != "encoders":
        assert not {name for name in imported(path) if name.split(".")[0] in TORCH}


@pytest.mark.parametrize("path", [p for p in MODULES if p.relative_to(PACKAGE).parts[0] in BARE], ids=identifier)
def test_module__of_a_bare_room_imports_no_django(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] in ("django", "rest_framework", "celery")}


@pytest.mark.parametrize("path", MODULES, ids=identifier)
def test_module__is_short_and_begins_with_future_annotations(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    assert not source.strip() or "from __future__ import annotations" in source


def test_package__imports_neither_django_nor_torch_before_it_is_asked() -> None:
    program = (
        "import sys, visual_search, visual_search.images.decode, visual_search.encoders.registry\n"
        "print([name for name in ('django', 'torch', 'celery') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_web_process__never_loads_torch_for_stored_vectors() -> None:
    program = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "import django; django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "from django.core.management import call_command; call_command('check')\n"
        "import visual_search; visual_search.similar_to\n"
        "print([name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip().endswith("[]")


def test_public_names__are_all_there() -> None:
    import visual_search

    assert {name: getattr(visual_search, name).__name__ for name in visual_search.__all__} == {
        name: name for name in visual_search.__all__
    }
    with pytest.raises(AttributeError):
        getattr(visual_search, "nothing_of_the_kind")  # noqa: B009
