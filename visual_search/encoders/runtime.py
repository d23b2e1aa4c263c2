"""Run a network on the best that this machine has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base, preprocessing

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def pick_device(choice: str) -> torch.device:
    """Return the device for `choice`: "auto" (CUDA when there, else the CPU) or a name that torch knows."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if choice == "auto" else choice)
        torch.empty(0, device=device)
    except Exception:
        # torch raises RuntimeError, AssertionError or AcceleratorError, by build and device.
        raise exceptions.EncoderUnavailable(
            f"The device {choice!r} can't be used on this machine. Use 'auto' or 'cpu'.",
            code="device_unavailable",
        ) from None
    return device


def pick_precision(choice: str, device: torch.device) -> torch.dtype:
    """Return what to compute in: with "auto", bfloat16 where the device has instructions for it, else float32."""
    if choice != "auto":
        dtype: torch.dtype = getattr(torch, choice)
        return dtype
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
        native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if native else torch.float32


def device_lost(error: RuntimeError, device: torch.device) -> exceptions.EncoderError | None:
    """Return what to raise where `error` spoils the process's CUDA context, so that each later call fails as well."""
    accelerator: type[RuntimeError] | None = getattr(torch, "AcceleratorError", None)
    if "CUDA error" not in str(error) and (accelerator is None or not isinstance(error, accelerator)):
        return None
    return exceptions.EncoderError(
        f"The device {device} is lost ({str(error).splitlines()[0]}). A process can't get it back: start it anew.",
        code="encoder_device_lost",
    )


class Runtime:
    """
    Hold a network on its device and feed it batches.

    Convolutions run in channels_last (1.5x on a CPU) and, under autocast, in bfloat16 (another 2x where it is native);
    autocast keeps what is delicate, such as layer norms, in float32. A batch that doesn't fit the GPU's memory is
    halved, for good.
    """

    def __init__(
        self, body: torch.nn.Module, prepare: preprocessing.Preprocessing, *, device: str, precision: str
    ) -> None:
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self.batch_size = 128 if self.device.type == "cuda" else 16
        self.prepare = prepare
        self._body = body.eval().requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(3, 1, 1) for values in (prepare.mean, prepare.std)
        )

    def run(self, images: Sequence[Image.Image], reduce: Callable[[torch.Tensor], torch.Tensor]) -> base.Features:
        """Return `reduce(network(images))` as float32 [n, ...]; `images` must not be empty."""
        done: list[npt.NDArray[np.float32]] = []
        start = 0
        while start < len(images):
            batch = images[start : start + self.batch_size]
            try:
                done.append(self.forward(self.prepare.pixels(batch), reduce))
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise exceptions.EncoderError(
                        f"One picture doesn't fit into {self.device}. Free some, or use a smaller model or size.",
                        code="encoder_out_of_memory",
                    ) from None
                self.batch_size = len(batch) // 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            except RuntimeError as error:
                if lost := device_lost(error, self.device):
                    raise lost from error
                raise
            start += len(batch)
        return np.concatenate(done)

    def forward(
        self, pixels: npt.NDArray[np.uint8], reduce: Callable[[torch.Tensor], torch.Tensor]
    ) -> npt.NDArray[np.float32]:
        """Return `reduce(network(pixels))` as float32 [n, ...], of uint8 `pixels` [n, size, size, 3], in one batch."""
        with torch.inference_mode():
            # [n, h, w, 3] seen as [n, 3, h, w] is channels_last already: nothing is copied.
            batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            features: npt.NDArray[np.float32] = self.on_device(batch, reduce).cpu().numpy()
        return features

    def on_device(self, batch: torch.Tensor, reduce: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return `reduce(network(batch))`, float32 [n, ...], of `batch` [n, 3, size, size] in 0..255, on the device."""
        autocast = (
            contextlib.nullcontext()
            if self.precision == torch.float32
            else torch.autocast(self.device.type, self.precision)
        )
        with autocast:
            feature_map = self._body((batch - self._mean) / self._std)
        # Averaged in float32: rounding each mean to bfloat16 would cost as much accuracy as the whole network does.
        return reduce(feature_map.float())
