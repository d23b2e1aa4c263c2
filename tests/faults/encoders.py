"""Encoders that are slow, deadly, or short of memory; a picture whose corner is magenta is the one that harms."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from visual_search.encoders import base, tiny

POISON = "magenta"
"""Background of a picture that harms."""

_MAGENTA = (255, 0, 255)


def is_poison(image: Image.Image) -> bool:
    """Return whether `image` is one that harms."""
    return image.convert("RGB").getpixel((1, 1)) == _MAGENTA


class Slow(tiny.TinyEncoder):
    """The tiny encoder, `seconds` a picture."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        time.sleep(self.seconds * len(images))
        return super().encode(images)


class Deadly(tiny.TinyEncoder):
    """The tiny encoder, but a poisonous picture kills the process; each death adds a line to the file `log`."""

    def __init__(self, log: str) -> None:
        self.log = log

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        if any(is_poison(image) for image in images):
            with open(self.log, "a") as log:
                log.write(f"{len(images)}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(images)


class Failing(tiny.TinyEncoder):
    """The tiny encoder, but it raises for a poisonous picture."""

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        if any(is_poison(image) for image in images):
            raise ValueError("magenta")
        return super().encode(images)


class Undefined(tiny.TinyEncoder):
    """The tiny encoder, but its numbers for a poisonous picture are none."""

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        features = super().encode(images)
        features[[is_poison(image) for image in images]] = np.nan
        return base.finite(features, name=self.name)


class Other(tiny.TinyEncoder):
    """As many dimensions as the tiny encoder, but other numbers: another model."""

    name = "other"
    fingerprint = base.fingerprint(architecture="other", version=1)

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        return np.ascontiguousarray(1 - super().encode(images)[:, ::-1])


def _network(body: Any) -> base.Encoder:
    from visual_search.encoders import network, preprocessing

    prepare = preprocessing.Preprocessing(
        size=32, resize=32, squash=True, mean=(128.0, 128.0, 128.0), std=(64.0, 64.0, 64.0)
    )
    return network.NetworkEncoder(
        network.Network(name="small", body=body, prepare=prepare), device="cpu", precision="float32", runtime="torch"
    )


def _body(check: Any) -> Any:
    import torch

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Conv2d(3, 16, 8, stride=8)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            check(pixels)
            return self.layer(pixels)

    return Body()


def cramped(fits: int, log: str) -> base.Encoder:
    """Return a real network on the real runtime, on a device where `fits` pictures fit; batches are noted in `log`."""

    def check(pixels: Any) -> None:
        import torch

        with open(log, "a") as file:
            file.write(f"{len(pixels)}\n")
        if len(pixels) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return _network(_body(check))


def lost(log: str) -> base.Encoder:
    """Return a real network whose device is lost at the first batch, by whichever process finds no file `log` yet."""

    def check(pixels: Any) -> None:
        # A batch of one is the encoder's own look at how many numbers come out.
        if len(pixels) > 1 and not os.path.exists(log):
            with open(log, "w") as file:
                file.write(str(os.getpid()))
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    return _network(_body(check))
