"""Decode, resize and encode many pictures on a GPU, one batch while the next one is decoded."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from visual_search import exceptions
from visual_search.encoders import base, joined, network, preprocessing, runtime
from visual_search.encoders import colour as colours
from visual_search.encoders import pipeline as ordinary
from visual_search.encoders.gpu import colour, decode, resample
from visual_search.images import limits as bounds
from visual_search.images import pool

logger = logging.getLogger("visual_search.encoders")

RESIZED = 32
"""Pictures of one size resized at once: as float32, 640 x 640 pixels of so many take 160 MB."""

PLAIN = 2.0
"""Deviation of a small picture's pixels below which the whole one may be of one colour only."""

FEW = 4
"""A batch that fills less than a fourth of its size goes the ordinary way: it would be padded with the rest."""

Outcome = base.Features | exceptions.BadImage


@dataclass(frozen=True, slots=True)
class _Part:
    """How the pictures of one encoder are prepared, and what it does with a batch [n, 3, size, size] of them."""

    prepare: preprocessing.Preprocessing
    features: Callable[[torch.Tensor], torch.Tensor]


@dataclass(slots=True)
class _Batch:
    """Pictures on their way: pixels for each part, `size` of them whatever `rows` says, or why there are none.

    One that is `plain` goes the ordinary way.
    """

    sources: Sequence[bytes]
    size: int
    plain: bool = False
    wrong: dict[int, exceptions.BadImage] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    pixels: list[torch.Tensor] = field(default_factory=list)
    ready: Any = None
    features: torch.Tensor | None = None


class Pipeline:
    """
    Encode with `encoder` on its GPU; `encode_many` is that of `encoders.pipeline`.

    Every batch has `batch_size` pictures, the last one padded, so that what `compiled` made of the network is made
    once: that takes a minute here, and pays for many thousands of pictures. Where it can't be compiled (for want of a
    C compiler or Python's headers, say), `compiled` is False, and the log says why. A batch that the GPU has no room
    for goes the ordinary way, which halves it, and later ones have half the size. Raises `EncoderError`
    (`gpu_unsupported`) where a part of `encoder` is neither a network on torch nor the colour one.
    """

    def __init__(self, encoder: joined.Joined, *, batch_size: int = 128, compiled: bool = False) -> None:
        self.encoder, self.batch_size = encoder, batch_size
        self.device = next(
            (e.runtime.device for e in encoder.encoders if isinstance(e, network.NetworkEncoder)), torch.device("cpu")
        )
        self._decoding, self._encoding = _Stream(self.device), _Stream(self.device)
        self._parts = [_part(each, compiled) for each in encoder.encoders]
        self.compiled = compiled and self._compiles()
        if not self.compiled:
            self._parts = [_part(each, False) for each in encoder.encoders]

    def encode_many(
        self, sources: Iterable[bytes], *, decoder: pool.Decoder, limits: bounds.Limits = bounds.CATALOGUE
    ) -> Iterator[Outcome]:
        """Yield for each of `sources`, in order, its features (float32 [dimensions]) or what was wrong with it.

        Raises `EncoderError`: `encoder_device_lost` where the process has to end.
        """
        try:
            yield from self._stream(iter(sources), decoder, limits)
        except RuntimeError as error:
            if lost := runtime.device_lost(error, self.device):
                raise lost from error
            raise

    def _stream(self, sources: Iterator[bytes], decoder: pool.Decoder, limits: bounds.Limits) -> Iterator[Outcome]:
        # Three batches are under way: one is decoded by the thread, one encoded, one copied back and yielded.
        with concurrent.futures.ThreadPoolExecutor(1, "visual-search-gpu") as thread:
            decoding: deque[concurrent.futures.Future[_Batch]] = deque()
            encoding: deque[_Batch] = deque()
            while taken := list(itertools.islice(sources, size := self.batch_size)):
                batch = _Batch(taken, size, plain=len(taken) * FEW < size)
                decoding.append(thread.submit(self._prepared, batch, decoder, limits))
                if len(decoding) > 1:
                    encoding.append(self._encoded(decoding.popleft().result()))
                if len(encoding) > 1:
                    yield from self._outcomes(encoding.popleft(), decoder, limits)
            encoding.extend(self._encoded(each.result()) for each in decoding)
            for each in encoding:
                yield from self._outcomes(each, decoder, limits)

    def _prepared(self, batch: _Batch, decoder: pool.Decoder, limits: bounds.Limits) -> _Batch:
        with self._room_for(batch):
            if not batch.plain:
                self._prepare(batch, decoder, limits)
        return batch

    def _encoded(self, batch: _Batch) -> _Batch:
        with self._room_for(batch):
            if not batch.plain:
                self._encode(batch)
        batch.pixels = []
        return batch

    @contextlib.contextmanager
    def _room_for(self, batch: _Batch) -> Iterator[None]:
        """Leave `batch` to the ordinary way where the GPU has no room for it, and take smaller ones from now on."""
        try:
            yield
        except torch.OutOfMemoryError:
            self.batch_size = min(self.batch_size, max(batch.size // 2, 1))
            logger.warning("%s has no room for %s pictures: %s from now on.", self.device, batch.size, self.batch_size)
            batch.plain, batch.pixels, batch.features = True, [], None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _prepare(self, batch: _Batch, decoder: pool.Decoder, limits: bounds.Limits) -> None:
        with torch.inference_mode(), self._decoding.current():
            side = self.encoder.input_size
            found = decode.batch(batch.sources, device=self.device, decoder=decoder, limits=limits, min_size=side)
            batch.pixels = [self._empty(part, batch.size) for part in self._parts]
            alike: dict[tuple[torch.Size, int], list[int]] = {}
            for number, item in enumerate(found):
                if isinstance(item, exceptions.BadImage):
                    batch.wrong[number] = item
                else:
                    alike.setdefault((item.pixels.shape, item.orientation), []).append(len(batch.rows))
                    batch.rows.append(number)
            for (_, orientation), places in alike.items():
                for start in range(0, len(places), RESIZED):
                    chunk = places[start : start + RESIZED]
                    pictures = torch.stack([found[batch.rows[place]].pixels for place in chunk])  # type: ignore[union-attr]
                    for pixels, part in zip(batch.pixels, self._parts, strict=True):
                        pixels[chunk] = resample.square(pictures, part.prepare, orientation=orientation)
            batch.ready = self._decoding.event()

    def _encode(self, batch: _Batch) -> None:
        with torch.inference_mode(), self._encoding.current():
            self._encoding.wait(batch.ready)
            columns = [part.features(pixels) for part, pixels in zip(self._parts, batch.pixels, strict=True)]
            # With the features, since asking a GPU for a number makes it wait.
            columns.append(batch.pixels[0].flatten(2).std(2).amax(1, keepdim=True))
            for pixels in batch.pixels:
                self._encoding.keeps(pixels)
            batch.features = self._encoding.copied(torch.cat(columns, 1))
            batch.ready = self._encoding.event()

    def _outcomes(self, batch: _Batch, decoder: pool.Decoder, limits: bounds.Limits) -> Iterator[Outcome]:
        if batch.plain:
            yield from ordinary.encode_many(self.encoder, batch.sources, decoder=decoder, limits=limits)
            return
        if batch.ready is not None:
            batch.ready.synchronize()
        assert batch.features is not None
        rows = batch.features[: len(batch.rows)].numpy().copy()
        for number, spread in zip(batch.rows, rows[:, -1], strict=True):
            if spread < PLAIN:
                # Of one colour only? The CPU looks at all of its pixels, and says so with the code of its own.
                try:
                    decoder.decode(batch.sources[number], limits=limits, min_size=self.encoder.input_size)
                except exceptions.BadImage as error:
                    batch.wrong[number] = error
        found = dict(zip(batch.rows, base.finite(rows[:, :-1], name=self.encoder.name), strict=True))
        for number in range(len(batch.sources)):
            yield batch.wrong[number] if number in batch.wrong else found[number]

    def _compiles(self) -> bool:
        try:
            with torch.inference_mode():
                for part in self._parts:
                    part.features(self._empty(part, self.batch_size))
        except Exception as error:
            # Dynamo, Inductor, Triton and the C compiler each have errors of their own.
            first = str(error).partition("\n")[0]
            logger.warning("torch.compile fails for %s: %s: %s", self.encoder.name, type(error).__name__, first)
            return False
        return True

    def _empty(self, part: _Part, size: int) -> torch.Tensor:
        shape = (size, 3, part.prepare.size, part.prepare.size)
        return torch.zeros(shape, device=self.device).contiguous(memory_format=torch.channels_last)


class _Stream:
    """A CUDA stream; on another device, where everything is done at once, nothing."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def current(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def event(self) -> Any:
        return None if self._stream is None else self._stream.record_event()

    def wait(self, event: Any) -> None:
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


def _part(encoder: base.Encoder, compiled: bool) -> _Part:
    if isinstance(encoder, colours.ColourEncoder):
        return _Part(colour.PREPARE, colour.histograms)
    if (
        isinstance(encoder, network.NetworkEncoder)
        and type(encoder.runtime) is runtime.Runtime
        and encoder.runtime.prepare.interpolation in resample.FILTERS
    ):
        features = torch.compile(encoder.features, dynamic=False) if compiled else encoder.features
        return _Part(encoder.runtime.prepare, features)
    raise exceptions.EncoderError(
        f"The encoder {encoder.name} is none that the GPU's pipeline knows; the ordinary one runs it.",
        code="gpu_unsupported",
    )
