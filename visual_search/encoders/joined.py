"""Several encoders that look at the same picture, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from visual_search.encoders import base, registry


class Joined:
    """One encoder for all of an index: the features of each part, side by side.

    `parts` holds the dimensions of each; `encode` returns float32 [n, sum(parts)].
    """

    def __init__(self, encoders: Sequence[base.Encoder]) -> None:
        self.encoders = tuple(encoders)
        self.name = " + ".join(encoder.name for encoder in encoders)
        self.parts = tuple(encoder.dimensions for encoder in encoders)
        self.dimensions = sum(self.parts)
        self.input_size = max(encoder.input_size for encoder in encoders)
        self.fingerprint = base.fingerprint(parts=[encoder.fingerprint for encoder in encoders])

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the raw features of RGB `images`, float32 [n, sum(parts)]."""
        return np.hstack([encoder.encode(images) for encoder in self.encoders])


def load(specs: Sequence[str | Mapping[str, Any]], *, device: str = "auto") -> Joined:
    """Return the encoders that `specs` name, joined. Raises what `registry.load` raises."""
    return Joined([registry.load(spec, device=device) for spec in specs])
