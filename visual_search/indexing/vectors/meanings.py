"""From what is said of products to vectors of what it means, beside their words; nothing without TEXT_ENCODER."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import strip_tags

from visual_search import conf
from visual_search.encoders import base, sentences
from visual_search.indexing.sources import texts

logger = logging.getLogger("visual_search.indexing")

FAILED = "The encoder of texts failed: words find by the full text alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanings:
    """Vectors by product, and the fingerprint of what made them.

    That is "" where TEXT_ENCODER is not set, and None where its encoder fails: then what is stored may stay.
    """

    fingerprint: str | None = ""
    vectors: Mapping[Any, base.Features] = field(default_factory=dict)


def encoder() -> sentences.SentenceEncoder | None:
    """Return the encoder that TEXT_ENCODER names, or None; raise `EncoderError` where it can't be had."""
    name = conf.settings.TEXT_ENCODER
    return sentences.load(name, device=conf.settings.DEVICE) if name else None


def fingerprint() -> str | None:
    """Return the fingerprint of the encoder, "" without one, None where it can't be had (logged)."""
    try:
        found = encoder()
    except Exception:
        logger.warning(FAILED, exc_info=True)
        return None
    return found.fingerprint if found else ""


def of(said: Mapping[Any, texts.Text]) -> Meanings:
    """Return the vectors of those texts in `said` that are not stored as they are.

    An encoder that fails is logged, and keeps no product from its pictures and its words; `reconcile` tries again.
    """
    current = fingerprint()
    if not current or (found := encoder()) is None:
        return Meanings(fingerprint=current)
    keys = list(texts.stale(said, fingerprint=current))
    try:
        vectors = found.encode_text([strip_tags(f"{said[key].title}. {said[key].text}") for key in keys])
    except Exception:
        logger.warning(FAILED, exc_info=True)
        return Meanings(fingerprint=None)
    return Meanings(fingerprint=current, vectors=dict(zip(keys, vectors, strict=True)))
