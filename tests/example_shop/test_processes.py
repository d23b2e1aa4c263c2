from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from example_shop import processes


@contextmanager
def child(log: Path, program: str) -> Iterator[processes.Child]:
    started = processes.start("cook", [sys.executable, "-c", program], log=log, environment={"DISH": "soup"})
    try:
        yield started
    finally:
        started.stop(grace=0)


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_child__writes_to_its_log_and_dies_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "cook.log"
    program = "import os, sys; print('stirring', os.environ['DISH']); sys.exit('burnt')"
    with child(log, program) as cook:
        cook.process.wait(20)
        with pytest.raises(processes.Died) as caught:
            cook.check()
    assert str(caught.value) == f"The cook ended with status 1. The end of {log}:\nstirring soup\nburnt"


def test_child__that_lives_passes_the_check_and_ends_on_sigterm(tmp_path: Path) -> None:
    with child(tmp_path / "log", "import time; print('up'); time.sleep(60)") as cook:
        wait_for(cook.log, "up")
        cook.check()
        cook.stop()
        assert cook.process.returncode == -signal.SIGTERM


def test_child__that_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, 'up')\n"
        "time.sleep(60)\n"
    )
    with child(tmp_path / "log", program) as cook:
        wait_for(cook.log, "up")
        grandchild = int(cook.log.read_text().split()[0])
        cook.stop(grace=0.2)
        assert cook.process.returncode == -signal.SIGKILL
        deadline = time.monotonic() + 10
        while Path(f"/proc/{grandchild}/stat").exists() and time.monotonic() < deadline:
            if Path(f"/proc/{grandchild}/stat").read_text().split(")")[-1].split()[0] == "Z":
                break
            time.sleep(0.02)
        else:
            assert not Path(f"/proc/{grandchild}").exists()


def test_only_one__refuses_a_second_process_and_names_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "demo.pid"
    program = (
        "import pathlib, sys\n"
        "from example_shop import processes\n"
        "try:\n"
        "    with processes.only_one(pathlib.Path(sys.argv[1])): print('in')\n"
        "except processes.AlreadyRunning as other: print('taken by', other)\n"
    )

    def second() -> str:
        root = Path(__file__).resolve().parent.parent.parent
        command = [sys.executable, "-c", program, str(lock)]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.strip()

    with processes.only_one(lock):
        assert second() == f"taken by {os.getpid()}"
    assert second() == "in"
    lock.write_text("12345")  # what a process left that was killed: the kernel has freed its lock
    assert second() == "in"


def test_is_free__of_a_port_in_use_and_of_one_that_is_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not processes.is_free("127.0.0.1", port)
    assert processes.is_free("127.0.0.1", port)


def test_wait_until_answers__takes_any_answer(tmp_path: Path) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with child(tmp_path / "log", "import time; time.sleep(60)") as cook:
            processes.wait_until_answers(f"http://127.0.0.1:{server.server_port}/", cook)
    finally:
        server.shutdown()
        server.server_close()


def test_wait_until_answers__gives_up_when_the_child_dies_or_is_silent(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with child(tmp_path / "dead", "raise SystemExit(3)") as cook, pytest.raises(processes.Died, match="status 3"):
            processes.wait_until_answers(address, cook)
        with (
            child(tmp_path / "silent", "import time; time.sleep(60)") as cook,
            pytest.raises(processes.Died, match="did not answer in 0 s"),
        ):
            processes.wait_until_answers(address, cook, seconds=0.1)
