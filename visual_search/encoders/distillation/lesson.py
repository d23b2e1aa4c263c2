"""What is learned from: the teacher's vectors, and pixels for the student."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from visual_search import exceptions
from visual_search.encoders import base, parts, pipeline, preprocessing
from visual_search.encoders.distillation import plan as plans
from visual_search.encoders.distillation import processes, views
from visual_search.images import limits, pool

LEAST = 20
"""Pictures below which there is nothing to learn from."""

HELD_OUT = 10
"""One picture in so many is never learned from: the student's agreement is measured on these."""


class Lesson:
    """The `pictures`, split into those that are learned from and those that are held out."""

    def __init__(
        self,
        pictures: Sequence[bytes],
        teacher: base.Encoder,
        decoder: pool.Decoder,
        *,
        prepare: preprocessing.Preprocessing,
        plan: plans.Plan,
        rank: int,
        count: int,
    ) -> None:
        self._pictures, self._teacher, self._decoder, self._prepare = pictures, teacher, decoder, prepare
        self.plan, self._rank, self._count = plan, rank, count
        found = self._look()
        if len(found) < LEAST:
            raise exceptions.EncoderError(
                f"{len(found)} of {len(pictures)} pictures can be learned from; {LEAST} are needed.",
                code="distil_pictures",
            )
        self.size, self.dimensions = len(found), teacher.dimensions
        features = np.stack([found[index] for index in sorted(found)])
        self._transform = parts.Transform(parts.unit(features)[0].mean(axis=0))
        order = np.random.default_rng(plan.seed).permutation(sorted(found))
        held_out = max(2, len(order) // HELD_OUT)
        self.held_out, self.learned = order[:held_out].tolist(), order[held_out:].tolist()
        share = min(plan.batch_size, len(self.learned)) // count
        if share < 2:
            raise exceptions.EncoderError(
                f"A batch of {plan.batch_size} is too small for {count} processes: give each of them 2 pictures.",
                code="distil_batch",
            )
        self._share = share
        self.steps = len(self.learned) // (share * count)

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield this process's share of each batch, pixels and the teacher's vectors, while the next one is made."""
        order = np.random.default_rng([self.plan.seed, epoch]).permutation(self.learned).tolist()
        whole = self._share * self._count
        shares = [order[step * whole : (step + 1) * whole][self._rank :: self._count] for step in range(self.steps)]
        with concurrent.futures.ThreadPoolExecutor(1) as ahead:
            following = ahead.submit(self.views, shares[0], epoch=epoch)
            for share in [*shares[1:], None]:
                pixels, taught = following.result()
                if share is not None:
                    following = ahead.submit(self.views, share, epoch=epoch)
                yield torch.from_numpy(pixels), torch.from_numpy(taught)

    def views(
        self, share: Sequence[int], *, epoch: int, photos: float | None = None, flips: bool = True
    ) -> tuple[npt.NDArray[np.uint8], base.Features]:
        """Return a view of each of these pictures, uint8 [n, size, size, 3], and the teacher's vectors of the views."""
        images = self._decoder.decode_many(
            (self._pictures[index] for index in share), limits=limits.CATALOGUE, min_size=views.SIDE
        )
        photos = self.plan.photos if photos is None else photos
        seeds = [[self.plan.seed, epoch, index] for index in share]
        seen = views.of(images, seeds, photos=photos, flips=flips)
        return self._prepare.pixels(seen), self._transform.centred(self._teacher.encode(seen))[0]

    def _look(self) -> dict[int, base.Features]:
        """Return the teacher's features of the pictures that it can look at, by number; each process does its share."""
        share = range(self._rank, len(self._pictures), self._count)
        outcomes = pipeline.encode_many(self._teacher, self._bytes(share), decoder=self._decoder)
        found = {i: row for i, row in zip(share, outcomes, strict=True) if isinstance(row, np.ndarray) and row.any()}
        return {index: row for each in processes.gathered(found) for index, row in each.items()}

    def _bytes(self, share: Iterable[int]) -> Iterator[bytes]:
        for index in share:
            try:
                yield self._pictures[index]
            except exceptions.BadImage:
                yield b""  # which the decoder refuses
