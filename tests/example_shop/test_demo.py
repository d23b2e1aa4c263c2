from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from example_shop.catalogue.management.commands import demo
from example_shop.catalogue.models import Product
from tests import factories

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    products = ["shop,product,sku,name,description,price,category,brand,colour"]
    images = ["shop,product,sku,image,position"]
    for number, colour in enumerate(("crimson", "teal", "gold")):
        (folder / f"{colour}.png").write_bytes(factories.picture(colour))
        products.append(f"s,p{number},p{number},Bowl {number},Round.,12.50,Bowls,Kiln,{colour}")
        images.append(f"s,p{number},p{number},{colour}.png,0")
    (folder / "products.csv").write_text("\n".join(products))
    (folder / "images.csv").write_text("\n".join(images))
    return folder


@pytest.mark.django_db
def test_fill__loads_a_catalogue_once(catalogue: Path, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    command = demo.Command()
    command._fill(catalogue)
    first = set(Product.objects.values_list("pk", "slug"))
    assert {slug for _, slug in first} == {"p0", "p1", "p2"}
    command._fill(catalogue)
    assert set(Product.objects.values_list("pk", "slug")) == first
    Product.objects.all().delete()
    command._fill(catalogue)
    assert Product.objects.count() == 3


@pytest.mark.django_db
def test_administrator__is_made_once_and_never_in_place_of_one_that_is_there() -> None:
    assert demo._administrator() == "log in as admin / admin"
    admin = User.objects.get()
    assert (admin.username, admin.is_superuser) == ("admin", True)
    assert demo._administrator() == "log in as admin / admin"
    admin.set_password("a better one")
    admin.save()
    assert demo._administrator() == "log in with your own account"
    assert User.objects.count() == 1


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: where tests run as root, Postgres runs as another user, who may not look into root's folders.
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def running(home: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "CELERY_BROKER_URL", "BROKER_DIR")}
    with (home / "demo.out").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *options],
            cwd=ROOT,
            env={**inherited, "DEMO_DIR": str(home), "DJANGO_SETTINGS_MODULE": "example_shop.settings"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def said(home: Path, process: subprocess.Popen[str], text: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while text not in (output := (home / "demo.out").read_text()):
        assert process.poll() is None, output
        assert time.monotonic() < deadline, output
        time.sleep(0.1)
    return output


def processes_of(home: Path) -> dict[int, str]:
    """Return the processes that have the demo's folder in their environment or arguments: {id: command line}."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(home).encode() in command + environment:
                found[int(folder.name)] = command.replace(b"\0", b" ").decode()
    return found


@pytest.mark.worker
def test_demo__serves_embeds_and_leaves_nothing_running(home: Path, catalogue: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    options = ("--port", port, "--catalog", str(catalogue))
    with running(home, *options) as process:
        output = said(home, process, "Ready. Press Ctrl-C to stop.")
        assert "3 pictures are embedded in " in output
        assert f"http://127.0.0.1:{port}/admin/  (log in as admin / admin)" in output
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/?q=bowl") as page:
            assert "Bowl 2" in page.read().decode()
        # Somebody who forgot that it runs.
        again = subprocess.run(
            [sys.executable, "manage.py", "demo"],
            cwd=ROOT,
            env={**os.environ, "DEMO_DIR": str(home), "DJANGO_SETTINGS_MODULE": "example_shop.settings"},
            capture_output=True,
            text=True,
        )
        assert again.returncode == 1
        assert f"The demo runs already, as process {process.pid}. Stop that one first (Ctrl-C)." in again.stderr
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert processes_of(home) == {}
    assert "Stopped. Nothing is left running." in (home / "demo.out").read_text()

    with running(home, *options) as process:
        output = said(home, process, "Ready. Press Ctrl-C to stop.")
        assert "The shop has its 3 products." in output
        assert "3 pictures are embedded.\n" in output
        worker = next(number for number, command in processes_of(home).items() if " worker " in command)
        os.kill(worker, signal.SIGKILL)
        process.wait(60)
    assert process.returncode == 1
    assert "The worker ended with status -9. The end of" in (home / "demo.out").read_text()
    assert processes_of(home) == {}

    with socket.create_server(("127.0.0.1", int(port))), running(home, *options) as process:
        process.wait(60)
    assert process.returncode == 1
    assert f"Port {port} of 127.0.0.1 is in use. Choose another one: --port" in (home / "demo.out").read_text()
    assert processes_of(home) == {}
