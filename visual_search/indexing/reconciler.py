"""Find what signals never saw: `update()`, `bulk_create()`, raw SQL, a restore, a file replaced under its name."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from visual_search import catalog, conf
from visual_search.exceptions import BadImage
from visual_search.images import limits, source
from visual_search.indexing import locks
from visual_search.indexing.intake import changes
from visual_search.indexing.sources import pictures, readers, texts
from visual_search.indexing.vectors import meanings
from visual_search.models import ProductEmbedding, SearchIndex

logger = logging.getLogger("visual_search.indexing")

LOCK = "visual_search.reconcile"
"""Name of the lock that a reconciliation holds: two at once would ask the storage for everything twice."""

PRODUCTS_AT_ONCE = 200

_readers = readers.Readers(threads=8, seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How many products were compared and how many of them queued, and the key to go on after, or None.

    `away` says that it ended there because the storage doesn't answer.
    """

    checked: int
    queued: int
    after: Any
    away: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    state: str
    error_code: str
    source_name: str
    source_size: int | None
    source_sha256: str
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Question:
    """Is the file of `picture` another one than one of the rows says, which are `known` of it?"""

    picture: pictures.Picture
    known: Sequence[_Known]
    deep: bool


def reconcile(*, after: Any = None, deep: bool = False, deadline: float = float("inf")) -> Reconciled | None:
    """Compare the products after the key `after` with their rows, until `deadline`, and queue those that differ.

    For every index that is kept: a picture without a row, a row without a picture, another file name or size, or a file
    newer than its vector whose bytes have changed; for words: other ones than are stored, or another encoder of texts.
    `deep` reads and compares the bytes of every file. None where another session is at it.
    """
    with locks.alone(LOCK, 0) as alone:
        return _reconcile(after, deep=deep, deadline=deadline) if alone else None


def _reconcile(after: Any, *, deep: bool, deadline: float) -> Reconciled:
    checked = queued = 0
    while page := _page(after):
        comparison = _Comparison(page, deep=deep, deadline=deadline)
        comparison.run()
        differing = [key for key, differs in comparison.differs.items() if differs]
        changes.record(differing)
        checked, queued, after = (
            checked + len(comparison.differs),
            queued + len(differing),
            list(comparison.differs)[-1],
        )
        if comparison.away or time.monotonic() >= deadline:
            return Reconciled(checked=checked, queued=queued, after=after, away=comparison.away)
    return Reconciled(checked=checked, queued=queued, after=None)


def _page(after: Any) -> list[Any]:
    return catalog.after(catalog.current().products().using(conf.settings.DATABASE), after, most=PRODUCTS_AT_ONCE)


class _Comparison:
    """Which of some products differ from their rows: of those before the deadline, and of one at least."""

    def __init__(self, products: Sequence[Any], *, deep: bool, deadline: float) -> None:
        self.differs: dict[Any, bool] = {}
        self._products, self._deep, self._deadline = products, deep, deadline
        self._indexes = list(SearchIndex.objects.using(conf.settings.DATABASE).kept().filter(fitted_on__isnull=False))
        self._known = _known(self._indexes, [product.pk for product in products])
        said = texts.of(products) if self._indexes else {}
        self._reworded = texts.stale(said, fingerprint=meanings.fingerprint()) if said else set()
        self._asked: deque[pictures.Picture] = deque()
        self._hung = 0

    @property
    def away(self) -> bool:
        """Return whether the storage left as many questions in a row without an answer as are asked at once."""
        return self._hung >= _readers.threads

    def run(self) -> None:
        # What was asked is waited for: threads that hang are replaced by whoever waits for them.
        for outcome in _readers.map(_replaced, self._questions(), ahead=_readers.threads):
            picture = self._asked.popleft()
            self._hung = self._hung + 1 if isinstance(outcome, TimeoutError) else 0
            if isinstance(outcome, Exception):
                # It may fail for this file alone, each night: those after it are compared all the same.
                logger.warning("The storage did not say whether %s was replaced: %s", picture.name, outcome)
            elif outcome:
                self.differs[picture.product] = True

    def _questions(self) -> Iterator[_Question]:
        for product in self._products:
            if self.differs and (self.away or time.monotonic() >= self._deadline):
                return
            listed = pictures.of(product)
            keys = {picture.key for picture in listed}
            known = [self._known[index.pk, product.pk] for index in self._indexes]
            self.differs[product.pk] = product.pk in self._reworded or any(keys != set(rows) for rows in known)
            if not known or self.differs[product.pk]:
                continue
            for picture in listed:
                if picture.error is None:
                    self._asked.append(picture)
                    yield _Question(picture, [rows[picture.key] for rows in known], self._deep)


def _known(indexes: Iterable[SearchIndex], keys: Sequence[Any]) -> dict[tuple[int, Any], dict[str, _Known]]:
    rows = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(
        index__in=indexes, product_id__in=keys, region=[]
    )
    found: dict[tuple[int, Any], dict[str, _Known]] = defaultdict(dict)
    fields = ("index_id", "product_id", "image_key", *(field.name for field in dataclasses.fields(_Known)))
    for row in rows.values_list(*fields):
        found[row[0], row[1]][row[2]] = _Known(*row[3:])
    return found


def _replaced(question: _Question) -> bool:
    return any(_other(question.picture, known, deep=question.deep) for known in question.known)


def _other(picture: pictures.Picture, known: _Known, *, deep: bool) -> bool:
    if picture.name != known.source_name:
        return True
    try:
        return _altered(picture, known, deep=deep)
    except NotImplementedError:
        # A storage that knows no times: only --deep sees bytes that changed and kept their number.
        return False
    except (FileNotFoundError, BadImage):
        # Gone, or too large now: the worker will say so in the row.
        return known.state == ProductEmbedding.State.READY


def _altered(picture: pictures.Picture, known: _Known, *, deep: bool) -> bool:
    storage = getattr(picture.file, "storage", None)
    if storage is None:
        # Nobody can be asked about it: what could not be read is worth another try.
        return known.error_code == pictures.StorageFailed.code
    if known.error_code in (pictures.StorageFailed.code, "image_missing"):
        return bool(picture.file) and storage.exists(picture.name)
    if known.source_size is not None and storage.size(picture.name) != known.source_size:
        return True
    suspicious = deep or storage.get_modified_time(picture.name) > known.updated_at
    return suspicious and source.sha256(source.read(picture.file, limits=limits.CATALOGUE)) != known.source_sha256
