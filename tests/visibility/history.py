"""What every product was and when, so that a response can be judged that was under way meanwhile."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class State:
    """Whether customers may see a product, and what it costs."""

    shown: bool
    price: Decimal | None = None


@dataclass(slots=True)
class Change:
    """A state, and between which times on the monotonic clock it was committed."""

    state: State
    began: float
    ended: float = math.inf


class History:
    """Changes of products, each of which one thread changes."""

    def __init__(self) -> None:
        nothing = Change(State(shown=False), -math.inf, -math.inf)
        self._changes: dict[Any, list[Change]] = defaultdict(lambda: [nothing])
        self._number = itertools.count(1)
        self.changes = 0

    @contextmanager
    def change(self, key: Any, state: State) -> Iterator[None]:
        """Note that the block commits `state` for the product `key`: from before it is sent until it has returned."""
        change = Change(state, time.monotonic())
        self._changes[key].append(change)
        yield
        change.ended = time.monotonic()
        self.changes = next(self._number)

    def state(self, key: Any) -> State:
        """Return what the product is now, to the thread that changes it."""
        return self._changes[key][-1].state

    def during(self, key: Any, began: float, ended: float) -> list[State]:
        """Return each state in which a request from `began` to `ended` can have met the product.

        Those are the newest that was committed before it began (what is committed then, every later snapshot sees) and
        those that may have been committed until it ended.
        """
        changes = [change for change in list(self._changes[key]) if change.began <= ended]
        first = max(number for number, change in enumerate(changes) if change.ended <= began)
        return [change.state for change in changes[first:]]
