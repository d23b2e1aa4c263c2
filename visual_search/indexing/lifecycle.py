"""The life of an index: building, ready, live, previous, retired."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from visual_search import conf
from visual_search.exceptions import IndexStateError
from visual_search.indexing import builder, changes, fit, hnsw
from visual_search.models import QueuedProduct, SearchIndex

logger = logging.getLogger("visual_search.indexing")


def create(encoders: Sequence[str | Mapping[str, Any]] | None = None) -> SearchIndex:
    """Create an index for `encoders` (default: the settings') and queue the whole catalogue for it."""
    with transaction.atomic(conf.settings.DATABASE):
        index = _indexes().create(encoders=list(encoders or conf.settings.ENCODERS))
        queued = changes.queue_all(index)
    logger.info("Index %s is building: %s products queued.", index, queued)
    return index


def ensure_first() -> bool:
    """Create the first index if there never was one; return whether any index wants products."""
    if _indexes().kept().exists():
        return True
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        if not _indexes().exists():
            create()
    return _indexes().kept().exists()


def advance(deadline: float = float("inf")) -> bool:
    """Take an index whose queue is empty further: build its HNSW index, and activate it if none is live.

    The build goes on in a thread past the `deadline`; a later call finds it done. Return whether there was progress.
    """
    for index in _indexes().filter(state=SearchIndex.State.BUILDING, fitted_on__isnull=False).order_by("id"):
        if QueuedProduct.objects.using(conf.settings.DATABASE).filter(index=index).exists():
            continue
        if builder.build(index, deadline):
            _complete(index)
            return True
    return False


def _complete(index: SearchIndex) -> None:
    fit.forget(index)
    _indexes().filter(pk=index.pk, state=SearchIndex.State.BUILDING).update(state=SearchIndex.State.READY)
    logger.info("Index %s is ready.", index)
    if _indexes().live() is None:
        activate(index)


def activate(index: SearchIndex) -> SearchIndex | None:
    """Make `index` the one that answers, in one transaction; return the one that did before.

    Raises IndexStateError unless the index is ready or was live before, and its HNSW index is valid.
    """
    with transaction.atomic(conf.settings.DATABASE):
        _lock()
        index.refresh_from_db(using=conf.settings.DATABASE)
        if index.state == SearchIndex.State.LIVE:
            return None
        if index.state not in (SearchIndex.State.READY, SearchIndex.State.PREVIOUS):
            raise IndexStateError(
                f"Index {index} is {index.get_state_display()}; only a ready or previous one can be activated. "
                "`manage.py visual_search status` shows what it is waiting for."
            )
        if not hnsw.valid(index.pk):
            raise IndexStateError(f"Index {index} has no valid HNSW index. Run `manage.py visual_search sync` first.")
        former = _indexes().live()
        if former is not None:
            # Only one can be rolled back to; an older one waits to be retired.
            _indexes().filter(pk=former.pk).update(state=SearchIndex.State.PREVIOUS)
        _indexes().filter(pk=index.pk).update(state=SearchIndex.State.LIVE, activated_at=timezone.now())
    index.refresh_from_db(using=conf.settings.DATABASE)
    logger.info("Index %s is live.", index)
    return former


def _lock() -> None:
    with connections[conf.settings.DATABASE].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('visual_search.lifecycle'))")


def _indexes() -> Any:
    return SearchIndex.objects.using(conf.settings.DATABASE)
