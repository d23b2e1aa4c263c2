"""What a network that learns leaves behind: checkpoints, logs, and in the end its weights."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from visual_search import exceptions


class Checkpoint:
    """All that is needed to go on, in the file `path`; `identity` names what it belongs to."""

    def __init__(self, path: Path, *, identity: str) -> None:
        self.path, self._identity = path, identity

    def write(self, state: dict[str, Any]) -> None:
        """Keep `state` (tensors, numbers, and dicts and lists of them), whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state | {"identity": self._identity}, f"{self.path}.new")
        os.replace(f"{self.path}.new", self.path)

    def read(self) -> dict[str, Any]:
        """Return what was kept; raise `EncoderError` (`distil_checkpoint`) where it is none or belongs to others."""
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise _unusable(f"There is no checkpoint {self.path}.") from None
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
            raise _unusable(f"The checkpoint {self.path} is damaged ({type(error).__name__}).") from None
        if state.pop("identity", None) != self._identity:
            raise _unusable(
                f"The checkpoint {self.path} belongs to another teacher, student or plan: give those that it began "
                "with, the number of epochs included."
            )
        return state


@contextlib.contextmanager
def writer(folder: Path | None, *, step: int) -> Iterator[Callable[..., None]]:
    """Yield a function that logs numbers by name at a step for TensorBoard; what was logged from `step` on is void."""
    if folder is None:
        yield lambda step, **numbers: None
        return
    try:
        from torch.utils import tensorboard
    except ImportError:
        raise exceptions.EncoderUnavailable(
            "TensorBoard is needed for logs: pip install 'django-visual-search[distil]', or ask for none.",
            code="distil_unavailable",
        ) from None
    log = tensorboard.SummaryWriter(str(folder), purge_step=step or None)

    def write(step: int, **numbers: float) -> None:
        for name, number in numbers.items():
            log.add_scalar(name, number, step)

    with contextlib.closing(log):
        yield write


def export(body: torch.nn.Module, path: Path) -> str:
    """Write the weights of a network's body as the safetensors file `path`, and return its SHA-256."""
    # timm's models stand in a wrapper; a weights file has their own names.
    state = {name.removeprefix("model."): tensor.cpu().contiguous() for name, tensor in body.state_dict().items()}
    data = safetensors.torch.save(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.new").write_bytes(data)
    os.replace(f"{path}.new", path)
    return hashlib.sha256(data).hexdigest()


def _unusable(found: str) -> exceptions.EncoderError:
    return exceptions.EncoderError(f"{found} Start without --resume.", code="distil_checkpoint")
