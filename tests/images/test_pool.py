from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from tests.images import pictures
from visual_search.exceptions import BadImage
from visual_search.images import child, decode, limits, pool

SCENE = pictures.scene()
PNG = pictures.saved(SCENE)
# Takes seconds: a reader of nothing but limits lets it through.
SLOW = pictures.many_scans(pictures.saved(SCENE.resize((2560, 1920)), "JPEG", progressive=True), 3000)
UNCOUNTED = dataclasses.replace(limits.CATALOGUE, max_scans=10**6)


@pytest.fixture
def decoder() -> Iterator[pool.Decoder]:
    with pool.Decoder(processes=1) as started:
        yield started


def alive(pid: int) -> bool:
    """Say whether a process runs (a zombie doesn't)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition: object, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def code(decoder: pool.Decoder, data: bytes, *, bounds: limits.Limits = limits.UPLOAD) -> str:
    with pytest.raises(BadImage) as raised:
        decoder.decode(data, limits=bounds)
    return raised.value.code


@contextlib.contextmanager
def killer(decoder: pool.Decoder, number: signal.Signals, *, times: int) -> Iterator[list[int]]:
    """Send `number` to the first `times` children that are seen at work, and yield whom it hit."""
    hit: list[int] = []
    over = threading.Event()

    def hunt() -> None:
        while not over.is_set() and len(hit) < times:
            for pid in set(decoder.pids()) - set(hit):
                time.sleep(0.3)
                os.kill(pid, number)
                hit.append(pid)
            time.sleep(0.01)

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield hit
    finally:
        over.set()
        thread.join()


def test_decode__same_as_without_children(decoder: pool.Decoder) -> None:
    large = pictures.saved(SCENE.resize((2560, 1920)), "JPEG")
    for data, size in ((PNG, None), (large, 100), (large, None)):
        expected = decode.decode(data, min_size=size)
        found = decoder.decode(data, min_size=size)
        assert (found.mode, found.size, found.tobytes()) == ("RGB", expected.size, expected.tobytes())


def test_decode__refusals_come_through_with_code_and_words(decoder: pool.Decoder) -> None:
    for data, expected in pictures.hostile().values():
        assert code(decoder, data) == expected
    assert decoder.decode(PNG).size == SCENE.size


def test_decode__nothing_starts_before_the_first_picture(decoder: pool.Decoder) -> None:
    assert decoder.pids() == []
    decoder.decode(PNG)
    assert len(decoder.pids()) == 1


def test_decode__hanging_child_is_killed_at_the_deadline(decoder: pool.Decoder) -> None:
    decoder.decode(PNG)
    (pid,) = decoder.pids()
    decoder.deadline = 0.5
    os.kill(pid, signal.SIGSTOP)
    start = time.monotonic()
    assert code(decoder, PNG) == "image_timeout"
    assert time.monotonic() - start < 1
    assert not alive(pid)
    decoder.deadline = 5
    assert decoder.decode(PNG).size == SCENE.size


def test_decode__large_request_to_a_hanging_child_ends_too(decoder: pool.Decoder) -> None:
    decoder.decode(PNG)
    decoder.deadline = 0.5
    os.kill(decoder.pids()[0], signal.SIGSTOP)
    assert code(decoder, PNG + bytes(8 * 2**20)) == "image_timeout"


def test_decode__picture_that_takes_for_ever(decoder: pool.Decoder) -> None:
    decoder.deadline = 1
    start = time.monotonic()
    assert code(decoder, SLOW, bounds=UNCOUNTED) == "image_timeout"
    assert time.monotonic() - start < 2
    assert decoder.pids() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_decode__child_that_dies_once_costs_nothing(decoder: pool.Decoder, number: signal.Signals) -> None:
    decoder.deadline = 60
    slow = pictures.many_scans(pictures.saved(SCENE.resize((2560, 1920)), "JPEG", progressive=True), 500)
    with killer(decoder, number, times=1) as hit:
        assert decoder.decode(slow, limits=UNCOUNTED).size == (2560, 1920)
        assert len(hit) == 1
        assert decoder.pids() != hit


def test_decode__picture_that_kills_twice(decoder: pool.Decoder) -> None:
    decoder.deadline = 30
    with killer(decoder, signal.SIGSEGV, times=2) as hit:
        assert code(decoder, SLOW, bounds=UNCOUNTED) == "image_crashed"
    assert len(hit) == 2
    assert not any(alive(pid) for pid in hit)
    assert decoder.decode(PNG).size == SCENE.size


def test_decode__child_that_died_idle(decoder: pool.Decoder) -> None:
    decoder.decode(PNG)
    (pid,) = decoder.pids()
    os.kill(pid, signal.SIGKILL)
    assert decoder.decode(PNG).size == SCENE.size
    assert decoder.pids() != [pid]


# Uses the user's pages for pipes up: root has none to use up, unless it gives its capabilities away.
PIPES = (
    "import fcntl, os, sys; from visual_search.images import pool\n"
    "held = []\n"
    "try:\n"
    "    while len(held) < 500:\n"
    "        held.append(os.pipe())\n"
    "        fcntl.fcntl(held[-1][0], fcntl.F_SETPIPE_SZ, 2**20)\n"
    "except PermissionError:\n"
    "    print(pool.Decoder(processes=1).decode(sys.stdin.buffer.read()).size)\n"
)
AS_ANYBODY = ["setpriv", "--bounding-set", "-sys_resource,-sys_admin"] if os.geteuid() == 0 else []


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("setpriv"), reason="needs Linux's limit, and setpriv")
def test_decode__user_without_pages_for_pipes() -> None:
    command = [*AS_ANYBODY, sys.executable, "-c", PIPES]
    found = subprocess.run(command, input=PNG, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (0, b"(320, 240)\n"), found.stderr.decode()


def test_decode__no_child_can_be_started_and_then_one_can() -> None:
    script = (
        "import os, sys; from visual_search import exceptions; from visual_search.images import pool\n"
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "data, held, decoder = sys.stdin.buffer.read(), [], pool.Decoder(processes=1)\n"
        "try:\n"
        "    while True: held.append(os.open('/dev/null', os.O_RDONLY))\n"
        "except OSError: pass\n"
        "try: decoder.decode(data)\n"
        "except exceptions.EncoderError as error: print(error.code)\n"
        "for each in held: os.close(each)\n"
        "print(decoder.decode(data).size)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], input=PNG, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (0, b"encoder_unavailable\n(320, 240)\n"), found.stderr.decode()


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b'{"size": [40000, 40000]}', b"few"),
        (b'{"size": [-1, -1]}', b"few"),
        (b'{"size": [1, 1, 1]}', b"few"),
        (b'{"size": [1, 1]}', b"more than one pixel"),
        (b'{"size": 7}', b""),
        (b'{"code": "image_empty"}', b""),
        (b"[]", b""),
        (b"no JSON", b""),
    ],
)
def test_decode__child_that_lies(header: bytes, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = child.LENGTHS.pack(len(header), len(body)) + header + body
    package = tmp_path / "visual_search" / "images"
    package.mkdir(parents=True)
    (package / "child.py").write_text(
        f"import sys, time; sys.stdout.buffer.write({answer!r}); sys.stdout.flush(); time.sleep(9)"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (package / "__init__.py").touch()
    (package.parent / "__init__.py").touch()
    with pool.Decoder(processes=1) as decoder:
        assert code(decoder, PNG) == "image_crashed"
        assert decoder.pids() == []


def test_decode__memory_is_bounded(decoder: pool.Decoder) -> None:
    anything = dataclasses.replace(limits.CATALOGUE, max_pixels=10**9, max_side=10**5)
    with pytest.raises(BadImage, match="takes more memory than is allowed"):
        decoder.decode(pictures.png_bomb(13_000, 13_000), limits=anything)
    assert decoder.decode(PNG).size == SCENE.size


def test_decode__child_is_replaced_after_its_jobs() -> None:
    with pool.Decoder(processes=1, jobs=3) as decoder:
        seen = []
        for _ in range(6):
            decoder.decode(PNG)
            seen += decoder.pids()
    assert len(seen) == 4
    assert len(set(seen)) == 2


def test_decode__shared_by_threads() -> None:
    with pool.Decoder(processes=2) as decoder, ThreadPoolExecutor(8) as threads:
        images = list(threads.map(lambda side: decoder.decode(pictures.saved(SCENE.resize((side, 50)))), range(50, 90)))
        assert [image.width for image in images] == list(range(50, 90))
        assert len(decoder.pids()) == 2


def test_decode_many__order_and_refusals(decoder: pool.Decoder) -> None:
    sources = [PNG, b"", pictures.saved(SCENE.resize((40, 40))), b"GIF89a", PNG]
    found = list(decoder.decode_many(sources, ahead=2))
    assert [item.size if isinstance(item, Image.Image) else item.code for item in found] == [
        (320, 240),
        "image_empty",
        (40, 40),
        "image_format",
        (320, 240),
    ]


def test_decode_many__reads_no_more_than_ahead(decoder: pool.Decoder) -> None:
    taken = 0

    def sources() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield PNG

    results = decoder.decode_many(sources(), ahead=4)
    next(results)
    assert taken == 5
    results.close()  # type: ignore[attr-defined]


def test_close__children_end_and_come_back() -> None:
    decoder = pool.Decoder(processes=1)
    decoder.decode(PNG)
    (pid,) = decoder.pids()
    decoder.close()
    assert not alive(pid)
    assert decoder.decode(PNG).size == SCENE.size
    decoder.close()


def test_child__sees_no_secret_and_may_do_little(decoder: pool.Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:password@db")
    decoder.decode(PNG)
    proc = Path(f"/proc/{decoder.pids()[0]}")
    environment = {entry.partition(b"=")[0] for entry in (proc / "environ").read_bytes().split(b"\0") if entry}
    assert environment <= {b"PYTHONPATH", b"PYTHONSAFEPATH", b"LD_LIBRARY_PATH", b"LC_CTYPE"}
    bounded = {line[:26].strip(): line[26:].split()[0] for line in (proc / "limits").read_text().splitlines()[1:]}
    assert (bounded["Max core file size"], bounded["Max file size"], bounded["Max open files"]) == ("0", "0", "16")
    assert 2**30 < int(bounded["Max address space"]) < 2**31
    assert int(bounded["Max cpu time"]) < 10


def test_child__imports_neither_torch_nor_django_nor_numpy() -> None:
    script = "import sys, visual_search.images.child; print({'torch', 'django', 'numpy', 'celery'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_child__ends_with_its_parent() -> None:
    script = (
        "import os, sys, signal; from visual_search.images import pool\n"
        "decoder = pool.Decoder(processes=1); decoder.decode(sys.stdin.buffer.read())\n"
        "print(*decoder.pids(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    found = subprocess.run([sys.executable, "-c", script], input=PNG, capture_output=True, check=False)
    assert found.returncode == -signal.SIGKILL
    assert wait_for(lambda: not alive(int(found.stdout)))


def test_fork__copy_starts_its_own_children_and_holds_no_pipe_of_its_parent() -> None:
    script = (
        "import os, sys; from visual_search.images import pool\n"
        "data = sys.stdin.buffer.read(); decoder = pool.Decoder(processes=1); decoder.decode(data)\n"
        "(mine,) = decoder.pids()\n"
        "ready, told = os.pipe()\n"
        "if not os.fork():\n"
        "    assert decoder.pids() == []\n"
        "    os.read(ready, 1)\n"
        "    assert decoder.decode(data).size == (320, 240)\n"
        "    assert decoder.pids() != [mine]\n"
        "    os._exit(0)\n"
        # With the parent's end closed, its child goes although the copy lives.
        "child = decoder._children.copy().pop(); child._close(); assert child.process.wait(5) == 0\n"
        "os.write(told, b'.'); assert os.wait()[1] == 0\n"
        "assert decoder.decode(data).size == (320, 240)\n"
    )
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", script], input=PNG, capture_output=True, check=False)
    assert (found.returncode, found.stderr) == (0, b"")


def test_message__request_is_answered() -> None:
    bounds = limits.UPLOAD
    request = child.request(PNG, bounds=bounds, min_size=None, seconds=1)
    header_length, body_length = child.LENGTHS.unpack_from(request)
    assert len(request) == child.LENGTHS.size + header_length + body_length
    assert body_length == len(PNG)
