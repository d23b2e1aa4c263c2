"""Start, watch and end the processes of the demo."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 15.0
"""Seconds that a process has to end by itself: a worker finishes its task, which takes up to 8 s."""


class AlreadyRunning(Exception):
    """Another process holds the lock; the message is its process id."""


class Died(Exception):
    """A child ended that should not have; the message says which, and the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours, and the file that takes all it says."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise Died if the process has ended."""
        status = self.process.poll()
        if status is not None:
            raise Died(f"The {self.name} ended with status {status}. The end of {self.log}:\n{tail(self.log)}")

    def stop(self, *, grace: float = GRACE) -> None:
        """End the process: by SIGTERM, and by SIGKILL with all its children when `grace` seconds didn't do."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def start(name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Child:
    """Start `command` in a session of its own, so that Ctrl-C reaches us alone and we end it in our order."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
    return Child(name, process, log)


def tail(log: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock `path`, which has our process id in it; raise AlreadyRunning where another process holds it.

    The lock is the kernel's: however its holder ends, it is free again.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server will: a connection that lingers from an earlier run does no harm.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(url: str, *, timeout: float = 5) -> bool:
    """Tell whether a web server answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=timeout).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def wait_until_answers(url: str, child: Child, *, seconds: float = 60) -> None:
    """Wait until the server that `child` is answers; raise Died where it ends, or takes longer."""
    deadline = time.monotonic() + seconds
    while not answers(url):
        child.check()
        if time.monotonic() > deadline:
            raise Died(f"The {child.name} did not answer in {seconds:.0f} s. The end of its log:\n{tail(child.log)}")
        time.sleep(0.2)
    child.check()
