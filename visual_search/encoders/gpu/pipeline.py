"""Decode, resize and encode many pictures on a GPU, one batch while the next one is decoded."""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from visual_search import exceptions
from visual_search.encoders import base, joined, network, preprocessing, runtime
from visual_search.encoders import colour as colours
from visual_search.encoders import pipeline as ordinary
from visual_search.encoders.gpu import colour, decode, resample, streams
from visual_search.images import limits as bounds
from visual_search.images import pool

logger = logging.getLogger("visual_search.encoders")

RESIZED = 32
"""Pictures of one size resized at once: as float32, 640 x 640 pixels of so many take 160 MB."""

PLAIN = 2.0
"""Deviation of a small picture's pixels below which the whole one may be of one colour only."""

FEW = 8
"""A batch that fills less than an eighth of its size goes the ordinary way: it would be padded with the rest."""

Outcome = base.Features | exceptions.BadImage


@dataclass(frozen=True, slots=True)
class _Part:
    """How the pictures of one encoder are prepared, and what it does with a batch [n, 3, size, size] of them.

    A `network` may be compiled.
    """

    prepare: preprocessing.Preprocessing
    features: Callable[[torch.Tensor], torch.Tensor]
    network: bool = True


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
    once: that takes about a minute, and pays for many thousands of pictures. Where it can't be compiled (for want of a
    C compiler or Python's headers, say), `compiled` is False, and the log says why.

    A batch that the GPU fails for goes the ordinary way, `at_once` pictures of it at a time. Where it was for want of
    memory, later ones have half the size, and what is compiled is compiled anew. Raises `EncoderError`
    (`gpu_unsupported`) where a part of `encoder` is neither a network on torch nor the colour one.
    """

    def __init__(
        self, encoder: joined.Joined, *, batch_size: int = 128, compiled: bool = False, at_once: int = 16
    ) -> None:
        self.encoder, self.batch_size, self.at_once = encoder, batch_size, at_once
        self.device = device(encoder)
        self._decoding, self._encoding = streams.Stream(self.device), streams.Stream(self.device)
        self._eager = self._parts = [_part(each) for each in encoder.encoders]
        self.compiled = False
        if compiled:
            self._compile()

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
        self._try(batch, lambda: self._prepare(batch, decoder, limits))
        return batch

    def _encoded(self, batch: _Batch) -> _Batch:
        self._try(batch, lambda: self._encode(batch))
        batch.pixels = []
        return batch

    def _try(self, batch: _Batch, step: Callable[[], None]) -> None:
        """Take a `step` with `batch`, or leave it to the ordinary way where the GPU fails for it."""
        if batch.plain:
            return
        full = False
        try:
            step()
            return
        except torch.OutOfMemoryError:
            full = True
        except exceptions.VisualSearchError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and runtime.device_lost(error, self.device):
                raise
            logger.warning("%s fails for %s pictures: %s", self.device, len(batch.sources), _first_line(error))
        # Here, where no traceback holds what the step had made.
        batch.plain, batch.pixels, batch.features = True, [], None
        if full:
            self._shrink(batch.size)
        elif self.compiled:
            # A new size is compiled anew, which may fail now.
            logger.warning("%s is not run compiled any more.", self.encoder.name)
            self._parts, self.compiled = self._eager, False

    def _shrink(self, size: int) -> None:
        self.batch_size = min(self.batch_size, max(size // 2, 1))
        logger.warning("%s has no room for %s pictures: %s from now on.", self.device, size, self.batch_size)
        resample.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _prepare(self, batch: _Batch, decoder: pool.Decoder, limits: bounds.Limits) -> None:
        with torch.inference_mode(), self._decoding.current():
            side = self.encoder.input_size
            found = decode.batch(batch.sources, device=self.device, decoder=decoder, limits=limits, min_size=side)
            batch.pixels = [self._empty(part, batch.size) for part in self._parts]
            decoded: list[torch.Tensor] = []
            alike: dict[tuple[torch.Size, int], list[int]] = {}
            for number, item in enumerate(found):
                if isinstance(item, exceptions.BadImage):
                    batch.wrong[number] = item
                else:
                    alike.setdefault((item.pixels.shape, item.orientation), []).append(len(decoded))
                    decoded.append(item.pixels)
                    batch.rows.append(number)
            for (_, orientation), places in alike.items():
                for start in range(0, len(places), RESIZED):
                    chunk = places[start : start + RESIZED]
                    pictures = torch.stack([decoded[place] for place in chunk])
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
        if not batch.plain:
            try:
                outcomes = self._copied(batch, decoder, limits)
            except exceptions.EncoderError as error:
                logger.warning("%s: %s", self.device, error)
            else:
                yield from outcomes
                return
        yield from ordinary.encode_many(
            self.encoder, batch.sources, decoder=decoder, limits=limits, batch_size=self.at_once
        )

    def _copied(self, batch: _Batch, decoder: pool.Decoder, limits: bounds.Limits) -> list[Outcome]:
        """Return the outcomes of `batch`, once they are here; raise EncoderError where a feature is no number."""
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
        return [batch.wrong[n] if n in batch.wrong else found[n] for n in range(len(batch.sources))]

    def _compile(self) -> None:
        """Have torch compile the networks, in the size that there is room for; where it can't, the log says why."""
        asked, reason = self.batch_size, ""
        while not reason:
            size = self.batch_size
            try:
                with torch.inference_mode():
                    parts = [_compiled(part) if part.network else part for part in self._eager]
                    for part in parts:
                        part.features(self._empty(part, size))
                self._parts, self.compiled = parts, True
                return
            except torch.OutOfMemoryError as error:
                reason = _first_line(error) if size == 1 else ""
            except Exception as error:
                if isinstance(error, RuntimeError) and (lost := runtime.device_lost(error, self.device)):
                    raise lost from error
                # Dynamo, Inductor, Triton and the C compiler each have errors of their own.
                reason = _first_line(error)
            if not reason:
                self._shrink(size)
        logger.warning("torch.compile fails for %s: %s", self.encoder.name, reason)
        self.batch_size = asked

    def _empty(self, part: _Part, size: int) -> torch.Tensor:
        shape = (size, 3, part.prepare.size, part.prepare.size)
        return torch.zeros(shape, device=self.device).contiguous(memory_format=torch.channels_last)


def device(encoder: joined.Joined) -> torch.device:
    """Return the device of the first network of `encoder`; the CPU where it has none."""
    networks = (each for each in encoder.encoders if isinstance(each, network.NetworkEncoder))
    return next((each.runtime.device for each in networks), torch.device("cpu"))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _part(encoder: base.Encoder) -> _Part:
    if isinstance(encoder, colours.ColourEncoder):
        return _Part(colour.PREPARE, colour.histograms, network=False)
    if (
        isinstance(encoder, network.NetworkEncoder)
        and type(encoder.runtime) is runtime.Runtime
        and encoder.runtime.prepare.interpolation in resample.FILTERS
    ):
        return _Part(encoder.runtime.prepare, encoder.features)
    raise exceptions.EncoderError(
        f"The encoder {encoder.name} is none that the GPU's pipeline knows; the ordinary one runs it.",
        code="gpu_unsupported",
    )


def _compiled(part: _Part) -> _Part:
    return replace(part, features=torch.compile(part.features, dynamic=False))
