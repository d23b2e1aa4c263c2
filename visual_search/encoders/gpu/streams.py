"""What one thread has a GPU do, in order, beside what others have it do."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


class Stream:
    """A CUDA stream; on another device, where everything is done at once, nothing."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def current(self) -> contextlib.AbstractContextManager[Any]:
        """Have what is asked for inside done in this stream."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def event(self) -> Any:
        """Return what happens once all is done that was asked for so far; None where it is done."""
        return None if self._stream is None else self._stream.record_event()

    def wait(self, event: Any) -> None:
        """Have what is asked for next wait for the `event` of another stream."""
        if self._stream is not None:
            self._stream.wait_event(event)

    def keeps(self, tensor: torch.Tensor) -> None:
        """Note that this stream uses a tensor of another one, whose memory must not be given away before."""
        if self._stream is not None:
            tensor.record_stream(self._stream)

    def copied(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return `tensor` on its way to the CPU: it is there once a later event has happened."""
        if self._stream is None:
            return tensor
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
