"""Read from the storage ahead of whoever needs the bytes, and give a storage up that doesn't answer."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Readers:
    """Threads that call a function which may hang.

    Daemon threads, unlike those of `concurrent.futures`: a process that is told to stop must not wait for a storage.
    One that hangs is given up and replaced.
    """

    def __init__(self, *, threads: int = 8, seconds: float = 10.0) -> None:
        self.threads = threads
        self.seconds = seconds
        self._start_empty()
        _readers.append(self)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int = 32
    ) -> Iterator[Result | Exception]:
        """Yield `function(item)` for each of `items`, in order, or what it raised; at most `ahead` of them wait.

        A call that takes longer than `seconds` yields a TimeoutError; where as many in a row did as there are threads,
        the storage is away, and whatever has not come yet does so too: a worker must not wait for hours.
        """
        waiting: deque[_Call[Item, Result]] = deque()
        hung = 0

        def first() -> Result | Exception:
            nonlocal hung
            outcome = self._result(waiting[0], patient=hung < self.threads)
            hung = hung + 1 if isinstance(outcome, TimeoutError) else 0
            waiting.popleft()
            return outcome

        try:
            for item in items:
                waiting.append(_Call(function, item))
                self._submit(waiting[-1])
                if len(waiting) > ahead:
                    yield first()
            while waiting:
                yield first()
        finally:
            # Whoever stops listening leaves no thread hanging that the next one would wait for.
            for call in waiting:
                self._give_up(call)

    def _submit(self, call: _Call[Any, Any]) -> None:
        self._calls.put(call)
        if self._running < self.threads:
            self._running += 1
            self._start()

    def _start(self) -> None:
        threading.Thread(target=_work, args=(self._calls,), name="visual-search-read", daemon=True).start()

    def _result(self, call: _Call[Any, Any], *, patient: bool) -> Any:
        if not patient and self._give_up(call):
            return TimeoutError("The storage does not answer.")
        # Its time begins when a thread takes it up; until then the ones before it are on trial.
        while not call.done.wait(self.seconds if call.started is None else call.left(self.seconds)):
            if call.started is not None and call.left(self.seconds) <= 0 and self._give_up(call):
                return TimeoutError(f"The storage did not answer within {self.seconds:g} s.")
        return call.outcome

    def _give_up(self, call: _Call[Any, Any]) -> bool:
        """Replace the thread that hangs in `call`; return whether it still does, or has not begun."""
        with call.lock:
            if call.done.is_set():
                return False
            call.lost = True
        if call.started is not None:
            self._start()
        return True

    def _start_empty(self) -> None:
        self._calls: queue.SimpleQueue[_Call[Any, Any]] = queue.SimpleQueue()
        self._running = 0


class _Call(Generic[Item, Result]):
    __slots__ = ("done", "function", "item", "lock", "lost", "outcome", "started")

    def __init__(self, function: Callable[[Item], Result], item: Item) -> None:
        self.function, self.item = function, item
        self.done, self.lock = threading.Event(), threading.Lock()
        self.started: float | None = None
        self.outcome: Result | Exception
        self.lost = False

    def left(self, seconds: float) -> float:
        return max((self.started or 0) + seconds - time.monotonic(), 0)


def _work(calls: queue.SimpleQueue[_Call[Any, Any]]) -> None:
    while True:
        call = calls.get()
        with call.lock:
            if call.lost:
                continue
            call.started = time.monotonic()
        try:
            call.outcome = call.function(call.item)
        except Exception as error:
            call.outcome = error
        with call.lock:
            call.done.set()
            if call.lost:
                return  # replaced meanwhile


def _forget() -> None:
    # Threads don't survive a fork.
    for readers in _readers:
        readers._start_empty()


_readers: list[Readers] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
