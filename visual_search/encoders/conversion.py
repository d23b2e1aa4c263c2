"""Convert networks to OpenVINO, once for each: a folder keeps what came of it."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import timm
import torch
import torchvision

from visual_search import exceptions
from visual_search.encoders import base

logger = logging.getLogger("visual_search.encoders")

_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_MODEL, _WEIGHTS = "model.xml", "model.bin"
_AGREEMENT = 0.9999


def model(network: torch.nn.Module, size: int, *, key: str, cache: str) -> Any:
    """
    Return `network` (uint8 [n, size, size, 3] -> feature map) as an OpenVINO model, from the folder `cache` if it can.

    A kept one that is damaged is made anew. Raises whatever a conversion may, and EncoderError (`runtime_disagrees`)
    where OpenVINO's numbers aren't torch's.
    """
    path = _path(key, cache)
    found = None if path is None else _read(path)
    if found is None:
        found = _convert(network, size)
        if path is not None:
            _write(found, path)
    return found


def compiled(model: Any, precision: str) -> Any:
    """Return `model` ready to run on this machine's CPU, in `precision` ("auto": the fastest that is good enough)."""
    core = openvino.Core()
    if precision == "auto":
        capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bfloat16" if capable else "float32"
    options = {
        # One stream on all threads: on two cores as fast as a stream for each, and half the wait for one picture.
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _TYPES[precision],
        # As many as torch takes, so that OMP_NUM_THREADS bounds both. Pinned threads would wait for decoders.
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, "CPU", options)


def _convert(network: torch.nn.Module, size: int) -> Any:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (pixels,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        converted = openvino.convert_model(program)
        expected = network(pixels).numpy().ravel()
    found = compiled(converted, "float32")([pixels.numpy()])[0].ravel()
    cosine = float(found @ expected / (np.linalg.norm(found) * np.linalg.norm(expected)))
    # Not a number is no agreement either.
    if not cosine >= _AGREEMENT:
        raise exceptions.EncoderError(
            f"Converted to OpenVINO, the network answers otherwise than in torch (cosine {cosine:.4f}).",
            code="runtime_disagrees",
        )
    return converted


def _path(key: str, cache: str) -> Path | None:
    """Return the file for `key`, None where the folder `cache` can't be used: what it says would not be ours."""
    if not cache:
        return None
    try:
        folder = Path(cache).expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        _not_kept(cache, str(error))
        return None
    if found.st_mode & 0o002 or found.st_uid not in (0, os.geteuid()):
        _not_kept(cache, "others may write into it, so what they left there could be anything")
        return None
    # `key` stands for weights and preprocessing; how they become a graph depends on these versions as well.
    versions = {module.__name__: module.__version__ for module in (openvino, timm, torch, torchvision)}
    return folder / f"{base.fingerprint(key=key, **versions)}.zip"


def pack(model: Any, path: Path, **notes: str) -> None:
    """Write `model` and `notes` to the ZIP file `path`, whole or not at all; the same content makes the same file."""
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        openvino.save_model(model, f"{work}/{_MODEL}", compress_to_fp16=False)
        with zipfile.ZipFile(f"{work}/packed", "w") as packed:
            for name in (_MODEL, _WEIGHTS):
                packed.writestr(zipfile.ZipInfo(name), Path(work, name).read_bytes())
            for name, note in notes.items():
                packed.writestr(zipfile.ZipInfo(name), note)
        os.replace(f"{work}/packed", path)


def unpack(file: Any) -> tuple[Any, dict[str, str]]:
    """Return the model in a `file` that `pack` wrote, and its notes; raises anything where it is damaged."""
    # Data only, and a ZIP has checksums.
    with zipfile.ZipFile(file) as packed:
        model = openvino.Core().read_model(packed.read(_MODEL), openvino.Tensor(_bytes(packed.read(_WEIGHTS))))
        notes = set(packed.namelist()) - {_MODEL, _WEIGHTS}
        return model, {name: packed.read(name).decode() for name in notes}


def _read(path: Path) -> Any | None:
    try:
        return unpack(path)[0]
    except FileNotFoundError:
        return None
    except Exception as error:
        # Parsers of damaged files raise anything.
        logger.warning("The converted network %s is damaged (%s): it is made anew.", path, error)
        return None


def _bytes(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)


def _write(model: Any, path: Path) -> None:
    try:
        pack(model, path)
    except (OSError, RuntimeError) as error:
        _not_kept(str(path.parent), str(error))


def _not_kept(cache: str, reason: str) -> None:
    logger.warning(
        "The folder %s keeps no converted network (%s): each process converts its own, which takes seconds. "
        'Name another one: VISUAL_SEARCH["ENCODER_CACHE"].',
        cache,
        reason,
    )
