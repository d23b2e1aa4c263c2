"""Several encoders that look at the same picture, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base, registry


class Joined:
    """One encoder for all of an index: the features of each part, side by side.

    `parts` holds the dimensions of each; `encode` returns float32 [n, sum(parts)]. `has_text` says whether any of them
    puts words into the space of its pictures.
    """

    def __init__(self, encoders: Sequence[base.Encoder]) -> None:
        self.encoders = tuple(encoders)
        self.name = " + ".join(encoder.name for encoder in encoders)
        self.parts = tuple(encoder.dimensions for encoder in encoders)
        self.dimensions = sum(self.parts)
        self.input_size = max(encoder.input_size for encoder in encoders)
        self.fingerprint = base.fingerprint(parts=[encoder.fingerprint for encoder in encoders])
        self.has_text = any(isinstance(encoder, base.TextEncoder) for encoder in encoders)

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the raw features of RGB `images`, float32 [n, sum(parts)]."""
        return np.hstack([encoder.encode(images) for encoder in self.encoders])

    def encode_text(self, texts: Sequence[str]) -> base.Features:
        """
        Return the features of `texts`, float32 [n, sum(parts)]: zeros for the parts that know no words.

        Raises `EncoderError` (`text_unavailable`) where no part does: ask `has_text` first.
        """
        if not self.has_text:
            raise exceptions.EncoderError(
                f"The encoder {self.name} knows no words. Use one that does, as 'open_clip:NAME', or search by photo.",
                code="text_unavailable",
            )
        return np.hstack([_words(encoder, texts) for encoder in self.encoders])


def _words(encoder: base.Encoder, texts: Sequence[str]) -> base.Features:
    if isinstance(encoder, base.TextEncoder):
        return encoder.encode_text(texts)
    return np.zeros((len(texts), encoder.dimensions), np.float32)


def load(specs: Sequence[str | Mapping[str, Any]], **machine: str) -> Joined:
    """Return the encoders that `specs` name, joined; `machine` goes to `registry.load`. Raises what that raises."""
    return Joined([registry.load(spec, **machine) for spec in specs])
