"""An encoder around a torch network."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from visual_search.encoders import base, preprocessing, runtime, weights

logger = logging.getLogger("visual_search.encoders")


def average(feature_map: torch.Tensor) -> torch.Tensor:
    """Return the mean over height and width: [n, c, h, w] -> [n, c]."""
    return feature_map.mean((2, 3))


def unchanged(feature_map: torch.Tensor) -> torch.Tensor:
    """Return a map that is [n, c, h, w] already."""
    return feature_map


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """
    Describe a network that has lost its classifier.

    `body` turns normalised pictures into its last feature map, `pool` that into features [n, d], and `grid` (None where
    it has no such thing) into [n, c, h, w]. `described` is what of its architecture the name doesn't say, as JSON can
    hold it: two networks of the same weights may compute different things.
    """

    name: str
    body: torch.nn.Module
    prepare: preprocessing.Preprocessing
    pool: Callable[[torch.Tensor], torch.Tensor] = average
    grid: Callable[[torch.Tensor], torch.Tensor] = unchanged
    described: Mapping[str, Any] | None = None


class NetworkEncoder:
    """Encode pictures with a torch network; implements `base.Encoder`."""

    def __init__(
        self,
        network: Network,
        *,
        device: str = "auto",
        precision: str = "auto",
        runtime: str = "auto",
        cache: str = base.CACHE,
    ) -> None:
        self.name = network.name
        self.input_size = network.prepare.resize
        self.fingerprint = base.fingerprint(
            architecture=network.name if network.described is None else [network.name, network.described],
            weights=weights.digest(network.body.state_dict()),
            preprocessing=dataclasses.asdict(network.prepare),
        )
        self._network = network
        self.runtime = self._start(device, precision, runtime, cache)
        self.dimensions = self._run([Image.new("RGB", (network.prepare.size,) * 2)], network.pool).shape[1]

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the average of the last feature map, float32 [n, dimensions]; raises `EncoderError`."""
        if not images:
            return np.empty((0, self.dimensions), np.float32)
        return self._run(images, self._network.pool)

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what `encode` does, on the device and unchecked, of `batch` [n, 3, size, size] in 0..255."""
        return self.runtime.on_device(batch, self._network.pool)

    def feature_map(self, images: Sequence[Image.Image]) -> base.Features:
        """Return the last feature map, float32 [n, channels, height, width]; raises `EncoderError`."""
        return self._run(images, self._network.grid)

    def _start(self, device: str, precision: str, choice: str, cache: str) -> runtime.Runtime:
        body, prepare = self._network.body, self._network.prepare
        on_cpu = runtime.pick_device(device).type == "cpu"
        if choice == "auto" and on_cpu and importlib.util.find_spec("openvino"):
            try:
                from visual_search.encoders import on_openvino

                return on_openvino.Runtime(body, prepare, precision=precision, key=self.fingerprint, cache=cache)
            except Exception as error:
                # A broken installation, or a network that it can't convert: each step has its own errors.
                logger.warning("OpenVINO can't run %s, so that torch does, slower: %s", self.name, error)
        return runtime.Runtime(body, prepare, device=device, precision=precision)

    def seen(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return what the map covers of a picture of `size`: left, top, right, bottom, as shares of it."""
        left, top, right, bottom = self._network.prepare.window(size)
        return left / size[0], top / size[1], right / size[0], bottom / size[1]

    def _run(self, images: Sequence[Image.Image], reduce: Callable[[torch.Tensor], torch.Tensor]) -> base.Features:
        return base.finite(self.runtime.run(images, reduce), name=self.name)
