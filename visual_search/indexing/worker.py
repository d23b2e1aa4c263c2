"""The loop that embeds: fold, claim, embed, finish, again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby

from django.db import transaction

from visual_search import conf
from visual_search.indexing import changes, embedding, fit, leases, lifecycle, queue, rows
from visual_search.models import SearchIndex

FEWEST_CLAIMED, MOST_CLAIMED = 16, 512
"""Products under one lease: as many as take about a second, so that a save soon overtakes a bulk reindex."""

FINISH_PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds to wait before each try to finish products that the shop has locked."""

_claimed_at_once = 2 * FEWEST_CLAIMED


def run(*, seconds: float) -> bool:
    """Embed what is queued for at most `seconds` and one product; return whether more is to be done now."""
    deadline = time.monotonic() + seconds
    while step(deadline):
        if time.monotonic() >= deadline:
            return True
    return False


def step(deadline: float = float("inf")) -> bool:
    """Do one piece of work: a fit, a batch, or an index that is complete; return whether there was one."""
    global _claimed_at_once
    if not lifecycle.ensure_first():
        return False
    folded = changes.fold()
    if fit.run(deadline):
        return True
    claims = queue.claim(_claimed_at_once)
    started = time.monotonic()
    for key, group in groupby(sorted(claims, key=lambda claim: claim.index), lambda claim: claim.index):
        index = SearchIndex.objects.using(conf.settings.DATABASE).get(pk=key)
        for batch in _batches(list(group)):
            _attempt(index, batch, deadline)
    if len(claims) == _claimed_at_once:
        _claimed_at_once = _adapted(_claimed_at_once, time.monotonic() - started)
    return bool(claims) or bool(folded) or lifecycle.advance(deadline)


def _adapted(claimed: int, seconds: float) -> int:
    if seconds < 0.5:
        return min(claimed * 2, MOST_CLAIMED)
    return max(claimed // 2, FEWEST_CLAIMED) if seconds > 2 else claimed


def _batches(claims: Sequence[queue.Claim]) -> list[list[queue.Claim]]:
    """Return one batch of the first attempts, and each suspect alone: one of them may have killed a worker."""
    first = [claim for claim in claims if claim.attempts == 1]
    return [batch for batch in [first, *([claim] for claim in claims if claim.attempts > 1)] if batch]


def _attempt(index: SearchIndex, claims: list[queue.Claim], deadline: float) -> None:
    try:
        with leases.renewed(claims):
            embed(index, claims, deadline=deadline)
    except BaseException:
        # The encoder or the database failed, or somebody stops this process: none of it is these products' fault.
        queue.release(claims, counted=False)
        raise


def embed(index: SearchIndex, claims: Sequence[queue.Claim], *, deadline: float = float("inf")) -> None:
    """Embed the claimed products for `index` and finish them; what the deadline leaves is released at once."""
    last = {claim.product for claim in claims if claim.attempts >= queue.MOST_ATTEMPTS}
    hopeless = {claim.product for claim in claims if claim.attempts > queue.MOST_ATTEMPTS}
    keys = [claim.product for claim in claims]
    forced = {claim.product for claim in claims if claim.forced}
    outcome = embedding.run(index, keys, forced=forced, hopeless=hopeless, deadline=deadline)
    put_off = outcome.put_off - last
    queue.release([claim for claim in claims if claim.product in put_off])
    _finish(index, [claim for claim in claims if claim.product not in put_off], outcome)


def _finish(index: SearchIndex, claims: list[queue.Claim], outcome: embedding.Outcome) -> None:
    for pause in FINISH_PAUSES:
        if not claims:
            return
        time.sleep(pause)
        with transaction.atomic(conf.settings.DATABASE):
            if won := queue.won(claims):
                whole = won - outcome.unfinished
                rows.write(index.pk, list(whole), [row for row in outcome.rows if row.product in won])
                queue.remove(claims, whole)
                left = won & outcome.unfinished
                queue.release([claim for claim in claims if claim.product in left], seconds=0, counted=False)
        claims = queue.held(claims)
    queue.release(claims, seconds=1, counted=False)
