"""Real processes for tests: a Celery worker on the test database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that shares this test's database and pictures."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}@/{database['NAME']}?host={quote(database['HOST'])}&port={database['PORT']}"
    return {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        **more,
    }


def python(program: str, *, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a Python process that runs `program` with Django set up; its output is text in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{program}"],
        cwd=ROOT,
        env=dict(env or environment()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def worker(
    log: Path, *arguments: str, env: Mapping[str, str] | None = None, queue: str = "visual_search"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Celery worker until the block ends; it writes to `log`."""
    command = [sys.executable, "-m", "celery", "-A", "example_shop", "worker", "-Q", queue, "-l", "INFO"]
    command += ["-n", f"{uuid.uuid4().hex}@%h", "--without-gossip", "--without-mingle", *(arguments or ("-P", "solo"))]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(env or environment()), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: b"ready." in log.read_bytes() or process.poll() is not None, seconds=60)
        assert b"ready." in log.read_bytes(), log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Return once `condition()` holds; fail the test where it doesn't within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.05)
