"""Run a network with OpenVINO: the features that torch has for a picture, several times as fast on a CPU."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from visual_search.encoders import preprocessing, runtime

# OpenVINO reports its import to an analytics service unless this package is missing. Nothing leaves the shop.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

from visual_search.encoders import conversion  # noqa: E402 (imports OpenVINO)

_DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Runtime(runtime.Runtime):
    """
    Hold a converted network and feed it batches; threads that share it take turns.

    `key` names the network in the folder `cache`, which keeps its conversion ("" keeps none). With the precision "auto"
    it computes in bfloat16 where the processor has that; a precision that the processor lacks becomes float32.
    A `model` that is given runs as it is: nothing is converted then.
    """

    def __init__(
        self,
        body: torch.nn.Module,
        prepare: preprocessing.Preprocessing,
        *,
        precision: str = "auto",
        key: str = "",
        cache: str = "",
        model: Any | None = None,
    ) -> None:
        super().__init__(body, prepare, device="cpu", precision="float32")
        self.model = model or conversion.model(
            _Normalised(self._body, self._mean, self._std), prepare.size, key=key, cache=cache
        )
        compiled = conversion.compiled(self.model, precision)
        self.precision = _DTYPES[compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()]
        # Of 1 to 32, 8 was the fastest on two cores, by some per cent; twice as many take twice the memory.
        self.batch_size = 8
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def forward(
        self, pixels: npt.NDArray[np.uint8], reduce: Callable[[torch.Tensor], torch.Tensor]
    ) -> npt.NDArray[np.float32]:
        """Return `reduce(network(pixels))` as float32 [n, ...], of uint8 `pixels` [n, size, size, 3], in one batch."""
        with self._lock, torch.inference_mode():
            feature_map = self._request.infer([pixels], share_inputs=True, share_outputs=True)[0]
            # Copied, since the next call writes over what this one shares.
            return np.array(reduce(torch.from_numpy(feature_map)).numpy())


class _Normalised(torch.nn.Module):
    """Take uint8 [n, h, w, 3], so that the network's own threads transpose and normalise."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, body: torch.nn.Module, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        feature_map: torch.Tensor = self.body((pixels.permute(0, 3, 1, 2) - self.mean) / self.std)
        return feature_map
