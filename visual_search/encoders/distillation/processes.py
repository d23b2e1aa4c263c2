"""Several processes that learn together, as torchrun starts them; one alone works as well."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed

from visual_search.encoders import runtime


def device(choice: str) -> str:
    """Return this process's device for `choice`: of several processes on one machine, each has a GPU of its own."""
    found = runtime.pick_device(choice)
    if found.type == "cuda" and found.index is None and "LOCAL_RANK" in os.environ:
        return f"cuda:{os.environ['LOCAL_RANK']}"
    return str(found)


@contextlib.contextmanager
def joined(on: str) -> Iterator[tuple[int, int]]:
    """Yield this process's number and how many there are; the device `on` decides how they talk."""
    if not distributed.is_torchelastic_launched():
        yield 0, 1
        return
    if on.startswith("cuda"):
        torch.cuda.set_device(on)
    distributed.init_process_group("nccl" if on.startswith("cuda") else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    finally:
        distributed.destroy_process_group()


def gathered(mine: Any) -> list[Any]:
    """Return what each process gives, in their order."""
    if not distributed.is_initialized():
        return [mine]
    every: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(every, mine)
    return every


def parallel(module: torch.nn.Module, on: torch.device) -> torch.nn.Module:
    """Return `module` with gradients that are the mean of all processes'; they all begin with those of the first."""
    if not distributed.is_initialized():
        return module
    return torch.nn.parallel.DistributedDataParallel(module, device_ids=[on.index] if on.type == "cuda" else None)
