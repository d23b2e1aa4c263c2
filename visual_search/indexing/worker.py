"""The loop that embeds: fold, claim, embed, finish, again."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from django.db import DatabaseError, InterfaceError, connections, transaction

from visual_search import conf
from visual_search.exceptions import EncoderError, VisualSearchError
from visual_search.indexing import memory
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.intake import changes, leases, queue, refills
from visual_search.indexing.sources import texts
from visual_search.indexing.vectors import embedding, encoding, fit, rows
from visual_search.models import SearchIndex

logger = logging.getLogger("visual_search.indexing")

FEWEST_CLAIMED, MOST_CLAIMED = 16, 512
"""Products under one lease: as many as take about a second, so that a save soon overtakes a bulk reindex."""

AWAY_SECONDS = 600.0
"""Seconds until products are tried again whose vectors are spared, since it is the storage that fails."""

FINISH_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds to wait before each try to finish products that the shop has locked."""

_claimed_at_once = 2 * FEWEST_CLAIMED


def run(*, seconds: float, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Embed what is queued for at most `seconds` and one product; return whether more is to be done now.

    Once `stopped()` holds, it ends after the batch at hand.
    """
    deadline = time.monotonic() + seconds
    while step(deadline):
        if time.monotonic() >= deadline or stopped():
            return True
    return False


def step(deadline: float = float("inf")) -> bool:
    """Do one piece of work: a fit, a batch, or an index that is complete; return whether there was one.

    An index whose encoder fails does not stop the others, the live one among them: what it raised is raised once there
    is nothing else to do.
    """
    global _claimed_at_once
    if not lifecycle.ensure_first():
        return False
    folded = changes.fold()
    failures: list[Exception] = []
    refilled = False
    try:
        refilled = refills.go_on()
    except Exception as error:
        # A catalog's own query, say. Where it is the database that is gone, the next statement says so.
        logger.warning("All products are to be queued, and that failed: %s", error, exc_info=True)
        failures.append(error)
    try:
        if fit.run(deadline):
            return True
    except Exception as error:
        if _ends_the_task(error):
            raise
        failures.append(error)
    claims = queue.claim(_claimed_at_once)
    started = time.monotonic()
    if refilled:
        # What is saved doesn't wait for the refill's end, however little of the task's time that leaves.
        deadline = max(deadline, started + refills.SECONDS)
    finished = 0
    if claims:
        with leases.renewed(claims):
            finished = _attempt_all(claims, deadline, failures)
        memory.trim()
    if len(claims) == _claimed_at_once:
        _claimed_at_once = _adapted(_claimed_at_once, time.monotonic() - started)
    progressed = bool(finished) or refilled or lifecycle.advance(deadline)
    if failures and not progressed:
        raise failures[0]
    return progressed or bool(claims) or bool(folded)


def _adapted(claimed: int, seconds: float) -> int:
    if seconds < 0.5:
        return min(claimed * 2, MOST_CLAIMED)
    return max(claimed // 2, FEWEST_CLAIMED) if seconds > 2 else claimed


def _batches(claims: Sequence[queue.Claim]) -> list[list[queue.Claim]]:
    """Return one batch of the first attempts, and each suspect alone: one of them may have killed a worker."""
    first = [claim for claim in claims if claim.attempts == 1]
    return [batch for batch in [first, *([claim] for claim in claims if claim.attempts > 1)] if batch]


def _attempt_all(claims: Sequence[queue.Claim], deadline: float, failures: list[Exception]) -> int:
    """Embed `claims`, batch by batch until `deadline`; return how many batches were, and append to `failures`."""
    finished: Counter[int] = Counter()
    by_index = groupby(sorted(claims, key=lambda claim: claim.index), lambda claim: claim.index)
    found = [batch for _, group in by_index for batch in _batches(list(group))]
    # Suspects come last: one of them may end this process.
    batches = deque(sorted(found, key=lambda batch: batch[0].attempts > 1))
    undecided: defaultdict[int, list[tuple[queue.Claim, Exception]]] = defaultdict(list)
    while batches:
        if finished and time.monotonic() >= deadline:
            break  # a batch that killed a worker comes back as hundreds of lone suspects
        batch = batches.popleft()
        index = batch[0].index
        try:
            embed(SearchIndex.objects.using(conf.settings.DATABASE).get(pk=index), batch, deadline=deadline)
        except Exception as error:
            if _ends_the_task(error):
                _give_back([batch, *_lone(undecided)], seconds=None)
                _give_back(batches, seconds=0)
                raise
            logger.warning("Index %s: %s pictures could not be embedded: %s", index, len(batch), error)
            if encoding.picture_at_fault(error) and len(batch) > 1:
                batches.extendleft([claim] for claim in reversed(batch))
            elif encoding.picture_at_fault(error) and (finished[index] or isinstance(error, VisualSearchError)):
                _blame(batch[0], error)
            elif encoding.picture_at_fault(error):
                undecided[index].append((batch[0], error))
            else:
                _give_back([batch], seconds=None)
                failures.append(error)
        except BaseException:
            # Somebody stops this process: the next one takes all of it up.
            _give_back([batch, *batches, *_lone(undecided)], seconds=0)
            raise
        else:
            finished[index] += 1
            # The encoder manages others: what it failed for before is to blame.
            for claim, reason in undecided.pop(index, ()):
                _blame(claim, reason)
    _give_back(batches, seconds=0)
    for index in [index for index in undecided if _works(index)]:
        for claim, reason in undecided.pop(index):
            _blame(claim, reason)
    # It fails for every picture: none of it is these ones' fault.
    _give_back(_lone(undecided), seconds=None)
    failures += [reason for each in undecided.values() for _, reason in each]
    return finished.total()


def _works(index: int) -> bool:
    """Return whether the encoder of `index` manages a picture that nothing is wrong with."""
    return encoding.works(embedding.encoder_of(SearchIndex.objects.using(conf.settings.DATABASE).get(pk=index)))


def _lone(undecided: Mapping[int, list[tuple[queue.Claim, Exception]]]) -> list[list[queue.Claim]]:
    return [[claim] for each in undecided.values() for claim, _ in each]


def _blame(claim: queue.Claim, error: Exception) -> None:
    """Try a product later that the encoder fails for, while it manages others; after the last attempt it has failed."""
    if claim.attempts < queue.MOST_ATTEMPTS:
        queue.release([claim])
        return
    reason = error if isinstance(error, VisualSearchError) else EncoderError(f"{type(error).__name__}: {error}")
    index = SearchIndex.objects.using(conf.settings.DATABASE).get(pk=claim.index)
    _finish(index, [claim], embedding.run(index, [claim.product], hopeless={claim.product: reason}))


def _ends_the_task(error: Exception) -> bool:
    """Return whether nothing else can be done after `error`: without the database, or the device."""
    lost = isinstance(error, VisualSearchError) and error.code == "encoder_device_lost"
    return lost or isinstance(error, DatabaseError | InterfaceError)


def _give_back(batches: Iterable[list[queue.Claim]], *, seconds: float | None) -> None:
    """Release `batches` and take their attempts back; where the database is gone, their leases run out."""
    for attempt in range(2):
        try:
            for batch in batches:
                queue.release(batch, seconds=seconds, counted=False)
            return
        except (DatabaseError, InterfaceError):
            if attempt:
                logger.warning("Leases could not be given back; they run out by themselves.", exc_info=True)
            else:
                # It may have been restarted: the next connection is a new one.
                connections[conf.settings.DATABASE].close_if_unusable_or_obsolete()


def embed(index: SearchIndex, claims: Sequence[queue.Claim], *, deadline: float = float("inf")) -> None:
    """Embed the claimed products for `index` and finish them; what the deadline leaves is released at once."""
    last = {claim.product for claim in claims if claim.attempts >= queue.MOST_ATTEMPTS}
    hopeless = {claim.product: embedding.WorkerDied() for claim in claims if claim.attempts > queue.MOST_ATTEMPTS}
    keys = [claim.product for claim in claims]
    forced = {claim.product for claim in claims if claim.forced}
    outcome = embedding.run(index, keys, forced=forced, hopeless=hopeless, deadline=deadline)
    # What has a vector isn't given up for a storage that fails: it waits until that is back.
    wait = outcome.spared if outcome.away else outcome.spared & last
    put_off = outcome.put_off - last - wait
    queue.release([claim for claim in claims if claim.product in wait], seconds=AWAY_SECONDS, counted=False)
    queue.release([claim for claim in claims if claim.product in put_off])
    _finish(index, [claim for claim in claims if claim.product not in put_off | wait], outcome)


def _finish(index: SearchIndex, claims: list[queue.Claim], outcome: embedding.Outcome) -> None:
    for pause in FINISH_PAUSES:
        if not claims:
            return
        time.sleep(pause)
        with transaction.atomic(conf.settings.DATABASE):
            if won := queue.won(claims):
                whole = won - outcome.unfinished
                touched = won - outcome.untouched
                rows.write(index.pk, whole & touched, [row for row in outcome.rows if row.product in touched])
                texts.write(
                    {key: text for key, text in outcome.texts.items() if key in whole},
                    vectors=outcome.meanings.vectors,
                    fingerprint=outcome.meanings.fingerprint,
                )
                queue.remove(claims, whole)
                left = won & outcome.unfinished
                queue.release([claim for claim in claims if claim.product in left], seconds=0, counted=False)
        claims = queue.held(claims) if len(won) < len(claims) else []
    queue.release(claims, seconds=1, counted=False)
