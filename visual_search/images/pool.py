"""Decode in processes that can be killed: nothing else stops a decoder that hangs, or outlives one that crashes."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import fcntl
import json
import os
import queue
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from PIL import Image

from visual_search import exceptions
from visual_search.images import child, source
from visual_search.images import limits as bounds

_PIPE = 2**20
_HEADER = 2**16


class Decoder:
    """
    Decode pictures in `processes` children (default: one per processor), each at most `deadline` seconds.

    Children start when the first picture comes and are replaced after `jobs` pictures, since codecs leak. A child
    imports neither torch nor Django, gets none of the environment's secrets, and lives within limits of memory,
    processor time and files. Threads may share a decoder; a forked copy starts its own children. POSIX only.
    """

    def __init__(self, *, processes: int | None = None, deadline: float = 5.0, jobs: int = 500) -> None:
        self.processes = processes or os.cpu_count() or 1
        self.deadline = deadline
        self.jobs = jobs
        self._children: set[_Child] = set()
        self._start_empty()
        weakref.finalize(self, _end, self._children)
        _decoders.add(self)

    def decode(self, data: bytes, *, limits: bounds.Limits = bounds.UPLOAD, min_size: int | None = None) -> Image.Image:
        """
        Return what `images.decode.decode` does; raise `BadImage` with its codes, `image_timeout` or `image_crashed`.

        A picture whose child dies gets a second one: the first may have been killed because the machine ran out of
        memory, and a picture that is called bad may never be tried again. Where no child can be started, that is no
        picture's fault: `EncoderUnavailable`.
        """
        source.check_length(len(data), limits=limits)
        request = child.request(data, bounds=limits, min_size=min_size, seconds=self.deadline)
        largest = 3 * limits.max_pixels + _HEADER
        for _ in range(2):
            try:
                header, body = self._ask(request, largest)
                break
            except TimeoutError:
                raise exceptions.BadImage(
                    f"Decoding the picture took longer than {self.deadline:g} seconds. Choose a smaller one.",
                    code="image_timeout",
                ) from None
            except (OSError, EOFError):
                continue
        else:
            raise exceptions.BadImage(
                "Decoding the picture failed badly. Save it again, or choose another one.",
                code="image_crashed",
            )
        if "code" in header:
            raise exceptions.BadImage(header["message"], code=header["code"])
        return Image.frombytes("RGB", header["size"], body)

    def decode_many(
        self,
        sources: Iterable[bytes],
        *,
        limits: bounds.Limits = bounds.UPLOAD,
        min_size: int | None = None,
        ahead: int = 16,
    ) -> Iterator[Image.Image | exceptions.BadImage]:
        """Yield for each of `sources`, in order, its picture or what is wrong with it; at most `ahead` wait."""

        def outcome(data: bytes) -> Image.Image | exceptions.BadImage:
            try:
                return self.decode(data, limits=limits, min_size=min_size)
            except exceptions.BadImage as error:
                return error

        threads = concurrent.futures.ThreadPoolExecutor(self.processes, "visual-search-decode")
        try:
            waiting: collections.deque[concurrent.futures.Future[Image.Image | exceptions.BadImage]]
            waiting = collections.deque()
            for data in sources:
                waiting.append(threads.submit(outcome, data))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)

    def pids(self) -> list[int]:
        """Return the process ids of the children that run now."""
        return [each.process.pid for each in tuple(self._children)]

    def close(self) -> None:
        """End the children, once what they are decoding is done; a later call starts new ones."""
        slots = [self._slots.get() for _ in range(self.processes)]
        for slot in slots:
            if slot is not None:
                self._discard(slot)
            self._slots.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: bytes, largest: int) -> tuple[dict[str, Any], memoryview]:
        slot = self._slots.get()
        alive = None
        try:
            if slot is None:
                slot = self._started()
            reply = slot.ask(request, time.monotonic() + self.deadline, largest)
            if slot.asked < self.jobs:
                alive = slot
            return reply
        finally:
            if slot is not None and alive is None:
                self._discard(slot)
            self._slots.put(alive)

    def _started(self) -> _Child:
        try:
            started = _Child()
        except OSError as error:
            raise exceptions.EncoderUnavailable(
                f"No process that decodes pictures could be started ({error.strerror}). Check this machine's "
                "memory, and its limits of processes and open files."
            ) from error
        self._children.add(started)
        return started

    def _discard(self, each: _Child) -> None:
        each.end()
        self._children.discard(each)

    def _start_empty(self) -> None:
        self._slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self.processes):
            self._slots.put(None)

    def _forget(self) -> None:
        for each in self._children:
            each.forget()
        self._children.clear()
        self._start_empty()


class _Child:
    def __init__(self) -> None:
        # Of the environment only what the import needs: a codec that is taken over finds no password here.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "visual_search.images.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={"PYTHONPATH": path, "PYTHONSAFEPATH": "1", **kept},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
            # A user's pages for pipes are limited, and macOS hasn't this call: a smaller pipe is slower, no more.
            with contextlib.suppress(OSError, AttributeError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        self.asked = 0

    def ask(self, request: bytes, until: float, largest: int) -> tuple[dict[str, Any], memoryview]:
        """Send `request`, return the answer; raise TimeoutError at `until`, OSError or EOFError at its death."""
        self.asked += 1
        pending, lengths = memoryview(request), bytearray(child.LENGTHS.size)
        reply, missing = lengths, memoryview(lengths)
        poll = select.poll()
        poll.register(self._in, select.POLLOUT)
        poll.register(self._out, select.POLLIN)
        while missing:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == self._in:
                    pending = pending[os.write(self._in, pending[:_PIPE]) :]
                    if not pending:
                        poll.unregister(self._in)
                # Read into its place: pieces that are put together cost 6 ms for a picture of 2 MB.
                elif count := os.readv(self._out, [missing]):
                    missing = missing[count:]
                else:
                    raise EOFError
            if not missing and reply is lengths:
                header_length, body_length = child.LENGTHS.unpack(lengths)
                if header_length + body_length > largest:
                    raise EOFError
                reply = bytearray(header_length + body_length)
                missing = memoryview(reply)
        return _checked(reply, header_length)

    def end(self) -> None:
        self.process.kill()
        self._close()
        self.process.wait()

    def forget(self) -> None:
        """Let go of a child that belongs to the process that this one was forked from."""
        self._close()
        self.process.returncode = 0

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _checked(reply: bytearray, header_length: int) -> tuple[dict[str, Any], memoryview]:
    """Return an answer's header and body; raise EOFError where it is none: a child that is taken over says anything."""
    body = memoryview(reply)[header_length:]
    try:
        header = json.loads(reply[:header_length])
        if "code" in header:
            return {"code": str(header["code"]), "message": str(header["message"])}, body
        width, height = map(int, header["size"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise EOFError from None
    if min(width, height) < 1 or 3 * width * height != len(body):
        raise EOFError
    return {"size": (width, height)}, body


def _end(children: set[_Child]) -> None:
    for each in tuple(children):
        each.end()


def _forget() -> None:
    # An inherited pipe would keep the children alive after their real parent's death.
    for decoder in tuple(_decoders):
        decoder._forget()


_decoders: weakref.WeakSet[Decoder] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget)
