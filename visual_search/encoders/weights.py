"""Read weights from a file without running what is in it."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from visual_search import exceptions

State = Mapping[str, torch.Tensor]


def read(path: str | Path, *, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """
    Return the tensors of a `.safetensors` or torch file by name, on the CPU.

    Raises `WeightsError` with the code `weights_missing`, `weights_sha256` (the file isn't the one that was pinned),
    `weights_unsafe` (it holds more than tensors: unpickling it could run code) or `weights_invalid`.
    """
    path = Path(path)
    data = contents(path, sha256=sha256)
    state = _parse(path, data)
    # Training scripts wrap the tensors, and DataParallel prefixes their names.
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise exceptions.WeightsError(f"{path} is no state dict (tensors by name). Save model.state_dict().")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def contents(path: Path, *, sha256: str | None = None) -> bytes:
    """Return the bytes of `path`; raise `WeightsError` with the code `weights_missing` or `weights_sha256`."""
    try:
        # Hashed and loaded from the same bytes: a file that is replaced in between can't slip through.
        data = path.read_bytes()
    except OSError as error:
        raise exceptions.WeightsError(
            f"The weights {path} can't be read ({error.strerror}). Check the path and its permissions.",
            code="weights_missing",
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise exceptions.WeightsError(
            f"The weights {path} have the SHA-256 {found}, but {sha256} is asked for. "
            "Fetch the file again; change the sum only if you know where the file comes from.",
            code="weights_sha256",
        )
    return data


def fill(module: torch.nn.Module, state: State, *, name: str) -> None:
    """Load `state` into `module`; raise `WeightsError` (`weights_mismatch`) unless names and shapes agree."""
    try:
        module.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise exceptions.WeightsError(
            f"The weights don't fit {name}: {detail[:400]} Check that they belong to this architecture.",
            code="weights_mismatch",
        ) from None


def download(name: str, build: Callable[[], Any]) -> Any:
    """Return `build()`, which fetches weights; raise `EncoderUnavailable` (`weights_unavailable`) if that fails."""
    try:
        return build()
    except Exception as error:
        # timm has weights on the Hugging Face hub and on plain servers: each client has its own errors.
        raise exceptions.EncoderUnavailable(
            f"The pretrained weights of {name} can't be downloaded ({type(error).__name__}). Check this machine's "
            "access to the network, or fetch them elsewhere and name the file: {'name': ..., 'weights': PATH}.",
            code="weights_unavailable",
        ) from error


def digest(state: State) -> str:
    """Return the SHA-256 of all tensors and their names: the same for every file format that holds them."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _parse(path: Path, data: bytes) -> Any:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise exceptions.WeightsError(
            f"{path} holds more than tensors; loading it could run code, so it is refused. "
            "Save model.state_dict() only, best as .safetensors.",
            code="weights_unsafe",
        ) from None
    except Exception as error:
        raise exceptions.WeightsError(
            f"{path} is damaged or no weights file ({type(error).__name__}). Fetch it again."
        ) from None
