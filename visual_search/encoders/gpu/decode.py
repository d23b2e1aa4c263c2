"""Decode the ordinary JPEGs of a batch on a GPU, and the rest in the processes of the CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torchvision.io
from PIL import Image

from visual_search import exceptions
from visual_search.images import jpeg, pool
from visual_search.images import limits as bounds

logger = logging.getLogger("visual_search.encoders")

MOST_PIXELS = 2**28
"""Pixels decoded at once, 800 MB of them: a batch of 12-megapixel photos would take 5 GB."""

MOST_REFUSALS = 24
"""Tries that may fail before the CPU decodes the rest: finding one bad JPEG among 256 takes 9, finding two up to 17."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of one picture as they are stored, uint8 [3, h, w] on the device; `orientation` turns them upright."""

    pixels: torch.Tensor
    orientation: int = 1


def batch(
    sources: Sequence[bytes],
    *,
    device: torch.device,
    decoder: pool.Decoder,
    limits: bounds.Limits = bounds.CATALOGUE,
    min_size: int | None = None,
) -> list[Decoded | exceptions.BadImage]:
    """
    Return for each of `sources`, in order, its pixels or what is wrong with it.

    What is no ordinary JPEG within `limits`, and what the GPU refuses, `decoder` decodes: with its codes, and to the
    size that `min_size` allows.
    """
    found: dict[int, Decoded | exceptions.BadImage] = {}
    headers = {number: header for number, data in enumerate(sources) if (header := _usable(data, limits))}
    for chunk in _chunks(headers):
        for number, each in _apart({number: sources[number] for number in chunk}, device):
            found[number] = Decoded(each, headers[number].orientation)
    rest = [number for number in range(len(sources)) if number not in found]
    decoded = decoder.decode_many((sources[number] for number in rest), limits=limits, min_size=min_size)
    for number, picture in zip(rest, decoded, strict=True):
        found[number] = on_device(picture, device) if isinstance(picture, Image.Image) else picture
    return [found[number] for number in range(len(sources))]


def on_device(picture: Image.Image, device: torch.device) -> Decoded:
    """Return an upright RGB `picture` on the device."""
    return Decoded(torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1))


def _usable(data: bytes, limits: bounds.Limits) -> jpeg.Header | None:
    header = jpeg.plain(data) if len(data) <= limits.max_bytes else None
    if header is None:
        return None
    sides = header.width, header.height
    fits = header.width * header.height <= limits.max_pixels and max(sides) <= limits.max_side
    return header if fits and min(sides) >= limits.min_side else None


def _chunks(headers: dict[int, jpeg.Header]) -> Iterator[list[int]]:
    chunk: list[int] = []
    pixels = 0
    for number, header in headers.items():
        size = header.width * header.height
        if chunk and pixels + size > MOST_PIXELS:
            yield chunk
            chunk, pixels = [], 0
        chunk.append(number)
        pixels += size
    if chunk:
        yield chunk


def _apart(sources: dict[int, bytes], device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the pixels of the JPEGs that the device decodes, by number: what it refuses is halved, within bounds."""
    waiting, refusals = [list(sources)], 0
    while waiting and refusals < MOST_REFUSALS:
        part = waiting.pop()
        if pixels := _together([sources[number] for number in part], device):
            yield from zip(part, pixels, strict=True)
            continue
        refusals += 1
        if len(part) > 1:
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]


def _together(sources: Iterable[bytes], device: torch.device) -> list[torch.Tensor]:
    """Return the pixels of JPEGs; nothing where the device refuses one of them, since it doesn't say which."""
    with warnings.catch_warnings():
        # A copy that could be written to would cost as much as the headers' reading; nobody writes.
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        files = [torch.frombuffer(data, dtype=torch.uint8) for data in sources]
        # torchvision 0.29 points to TorchCodec, which is a package of its own.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if device.type == "cuda":
                # nvJPEG writes in a stream of its own, into memory that this one may still be reading.
                torch.cuda.current_stream(device).synchronize()
            decoded: list[torch.Tensor] = torchvision.io.decode_jpeg(
                files, mode=torchvision.io.ImageReadMode.RGB, device=device
            )
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            logger.info("The device decodes none of %s JPEGs: %s", len(files), error)
            return []
    return decoded
