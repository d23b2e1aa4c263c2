"""The life of an index: building, ready, live, previous, retired."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from visual_search import conf
from visual_search.encoders import registry
from visual_search.exceptions import ConfigurationError, IndexStateError
from visual_search.indexing.generations import builder, calibration, gate, hnsw, progress
from visual_search.indexing.intake import changes, refills
from visual_search.indexing.vectors import fit
from visual_search.models import ProductEmbedding, QueuedProduct, SearchIndex

logger = logging.getLogger("visual_search.indexing")

State = SearchIndex.State

DELETED_AT_ONCE = 2_000
EVALUATED = 50
EVALUATION_SECONDS = 3.0
CALIBRATION_SECONDS = 3.0

ACTIVATION_SECONDS = 5.0
"""What an index is measured for at most while somebody waits for a page of the admin."""


def create(encoders: Sequence[str | Mapping[str, Any]] | None = None, *, metric: str | None = None) -> SearchIndex:
    """Create an index for `encoders` and `metric` (default: the settings'); workers queue the whole catalogue for it.

    Raises EncoderError for a name that nobody knows, ConfigurationError for such a metric; loads no weights.
    """
    for spec in encoders or conf.settings.ENCODERS:
        registry.validate(spec)
    metric = conf.settings.METRIC if metric is None else metric
    if metric not in SearchIndex.Metric.values:
        known = ", ".join(map(repr, SearchIndex.Metric.values))
        raise ConfigurationError(f"The metric is {metric!r}. Give one of {known}.")
    return _begin(encoders or conf.settings.ENCODERS, metric)


def ensure_first() -> bool:
    """Create the first index if there never was one; return whether any index wants products.

    Not in an empty shop: it would be fitted on nothing, and stay so.
    """
    if _indexes().kept().exists():
        return True
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        if not _indexes().exists() and not changes.is_empty():
            _begin(conf.settings.ENCODERS, conf.settings.METRIC)
    if _indexes().kept().exists():
        return True
    # Every index is retired: changes would grow for ever, and `resume` queues all products anyway.
    while changes.fold():
        pass
    return False


def _begin(encoders: Sequence[str | Mapping[str, Any]], metric: str) -> SearchIndex:
    with transaction.atomic(conf.settings.DATABASE):
        index: SearchIndex = _indexes().create(encoders=list(encoders), metric=metric, regions=conf.settings.REGIONS)
        # Products are listed once it is committed: what is saved from then on is folded for it, the rest is seen.
        refills.begin(index)
    logger.info("Index %s is building.", index)
    return index


def fill(index: SearchIndex, *, forced: bool = False) -> None:
    """Have workers queue every listed product for `index` again, at bulk priority.

    What is embedded already is recognised by its bytes; `forced` has it encoded again. Raises IndexStateError for a
    retired index.
    """
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, *SearchIndex.KEPT)
        refills.begin(index, forced=forced)


def fill_kept(*, forced: bool = False) -> list[SearchIndex]:
    """`fill` every index that is kept, the oldest first; return them."""
    filled = []
    for index in _indexes().kept().order_by("id"):
        # Not one that somebody retires meanwhile.
        with suppress(IndexStateError):
            fill(index, forced=forced)
            filled.append(index)
    return filled


def build(index: SearchIndex) -> None:
    """Build the HNSW index of a filled index and make it ready; waits for it. Raises IndexStateError."""
    _expect(index, State.BUILDING)
    if not refills.is_going_on(index):
        _catch_up(index)
    if index.fitted_on is None or not _is_filled(index):
        raise IndexStateError(
            f"Index {index} is not filled yet: {progress.of(index).queued} products are queued for it. A worker or "
            f"`manage.py visual_search index fill {index.pk}` embeds them."
        )
    if not builder.build(index, float("inf")):
        raise IndexStateError(f"The HNSW index of {index} could not be built; the log says why.")
    _complete(index)


def advance(deadline: float = float("inf")) -> bool:
    """Take an index whose queue is empty further: build its HNSW index, and activate it if none was ever live.

    The build goes on in a thread past the `deadline`; a later call finds it done. Return whether there was progress.
    """
    for index in _indexes().filter(state=State.BUILDING, fitted_on__isnull=False).order_by("id"):
        if not _is_filled(index):
            continue
        # While Postgres builds, saves are folded for this index: one look before and one after are enough.
        if not hnsw.is_busy() and _catch_up(index):
            return True
        if builder.build(index, deadline):
            _complete(index)
            return True
    return False


def activate(
    index: SearchIndex,
    *,
    force: bool = False,
    seconds: float | None = None,
    counting: gate.Counting | None = None,
) -> SearchIndex | None:
    """Make `index` the one that answers, in one transaction; return the one that did before.

    A ready index has to pass the gate first, unless `force`: by what was measured within the last hour, or is within
    `seconds` (default: ACTIVATION_SECONDS). Raises IndexStateError.
    """
    index.refresh_from_db(using=conf.settings.DATABASE)
    if index.state == State.READY and not force and _indexes().live() is not None:
        seconds = ACTIVATION_SECONDS if seconds is None else seconds
        found = gate.judge(index, seconds=seconds, counting=counting)
        if not found.passed:
            raise IndexStateError(f"Index {index} does not pass the gate. " + " ".join(found.reasons), code="gate")
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        if index.state == State.LIVE:
            return None
        _expect(index, State.READY, State.PREVIOUS)
        if not hnsw.valid(index.pk):
            raise IndexStateError(f"Index {index} has no valid HNSW index. Run `manage.py visual_search sync` first.")
        former = _indexes().live()
        if former is not None:
            _indexes().filter(pk=former.pk).update(state=State.PREVIOUS)
        _indexes().filter(pk=index.pk).update(state=State.LIVE, activated_at=timezone.now())
    index.refresh_from_db(using=conf.settings.DATABASE)
    logger.info("Index %s is live.", index)
    return former


def rollback() -> SearchIndex:
    """Make the index live that was before; return it. Its vectors are up to date. Raises IndexStateError."""
    former = _indexes().filter(state=State.PREVIOUS).order_by("-activated_at").first()
    if former is None:
        raise IndexStateError("There is no previous index to go back to.")
    activate(former)
    return former


def cancel(index: SearchIndex) -> None:
    """Stop building `index`; what is embedded is kept for `resume`, until `retire`. Raises IndexStateError."""
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, State.BUILDING)
        _indexes().filter(pk=index.pk).update(state=State.RETIRED)
        _unqueue(index)
    index.refresh_from_db(using=conf.settings.DATABASE)


def resume(index: SearchIndex) -> None:
    """Go on building a cancelled or retired index; workers queue every product for it. Raises IndexStateError."""
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, State.RETIRED)
        _indexes().filter(pk=index.pk).update(state=State.BUILDING)
        refills.begin(index)
    index.refresh_from_db(using=conf.settings.DATABASE)


def retire(index: SearchIndex) -> None:
    """Give `index` up and delete its vectors; never the live one. Raises IndexStateError.

    The HNSW index goes first: rows are deleted a hundred times faster without it. It waits while another one is built
    or dropped; an index that is resumed meanwhile keeps what it has by then.
    """
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, State.BUILDING, State.READY, State.PREVIOUS, State.RETIRED)
        _indexes().filter(pk=index.pk).update(state=State.RETIRED)
        _unqueue(index)
    with hnsw.in_turn():
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, State.RETIRED)
        hnsw.drop(index.pk)
    fit.forget(index)
    while _delete_some(index):
        pass
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        if index.state == State.RETIRED:
            _unqueue(index)


def _delete_some(index: SearchIndex) -> bool:
    """Delete some vectors of a retired `index`; return whether there were any."""
    rows = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index)
    with transaction.atomic(conf.settings.DATABASE):
        # `resume` waits for it, and finds out what is gone.
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        _expect(index, State.RETIRED)
        # What the shop has locked it deletes itself: waiting for it here would deadlock with its next delete.
        free = rows.select_for_update(skip_locked=True).order_by("pk").values("pk")[:DELETED_AT_ONCE]
        return bool(rows.filter(pk__in=free).delete()[0])


def _catch_up(index: SearchIndex) -> bool:
    """Queue what came unannounced while `index` was filled; return whether there was anything."""
    if not gate.missing(index):
        return False
    logger.info("Index %s misses products that nothing announced: %s are queued.", index, changes.queue_missing(index))
    return True


def _complete(index: SearchIndex) -> None:
    fit.forget(index)
    # The bounds keep a worker's task short; `index calibrate` and `index evaluate` take their time.
    calibration.calibrate(index, seconds=CALIBRATION_SECONDS)
    gate.evaluate(index, samples=EVALUATED, seconds=EVALUATION_SECONDS)
    # In one transaction: a process that dies between the two would leave a shop without a live index for good.
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        if not _indexes().filter(pk=index.pk, state=State.BUILDING).update(state=State.READY):
            return  # cancelled meanwhile
        logger.info("Index %s is ready.", index)
        if not _indexes().filter(activated_at__isnull=False).exists():
            activate(index)
    index.refresh_from_db(using=conf.settings.DATABASE)


def _expect(index: SearchIndex, *states: SearchIndex.State) -> None:
    if index.state not in states:
        allowed = " or ".join(str(state.label) for state in states)
        raise IndexStateError(f"Index {index} is {index.get_state_display()}; this is for one that is {allowed}.")


def _is_filled(index: SearchIndex) -> bool:
    # In this order: what a refill moves on to the queue between two looks must be seen in one of them.
    return not refills.is_going_on(index) and not _queue(index).exists()


def _queue(index: SearchIndex) -> Any:
    return QueuedProduct.objects.using(conf.settings.DATABASE).filter(index=index)


def _unqueue(index: SearchIndex) -> None:
    """Delete what is queued for a retired `index`; what somebody has locked just now is left, and claimed by nobody."""
    refills.drop(index)
    with transaction.atomic(conf.settings.DATABASE):
        _queue(index).filter(pk__in=_queue(index).select_for_update(skip_locked=True).values("pk")).delete()


def _lock() -> None:
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('visual_search.lifecycle'))")


def _indexes() -> Any:
    return SearchIndex.objects.using(conf.settings.DATABASE)
