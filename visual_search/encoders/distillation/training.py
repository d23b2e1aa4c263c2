"""Change the student, step by step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from visual_search.encoders import base, network, parts
from visual_search.encoders.distillation import lesson as lessons
from visual_search.encoders.distillation import processes, student

RELATIONAL = 10.0
"""Weight of the relational term: errors of cosines are small numbers."""

_WARM_UP = 0.05
_MEAN_OF = 256


class Training:
    """The student and what changes it."""

    def __init__(self, lesson: lessons.Lesson, built: network.Network, device: str) -> None:
        torch.manual_seed(lesson.plan.seed)
        self._lesson, self._device = lesson, torch.device(device)
        body = built.body.to(self._device).to(memory_format=torch.channels_last)
        start = torch.zeros(self._width(built, body))
        self._student = student.Student(built, mean=start, taught=lesson.dimensions).to(device)
        sample, _ = self._features(lesson.learned[:_MEAN_OF], photos=0)
        with torch.no_grad():
            self._student.mean.copy_(torch.from_numpy(parts.unit(sample)[0].mean(axis=0)))
        self._taught = processes.parallel(self._student, self._device)
        self._optimizer = torch.optim.AdamW(self._student.parameters(), lr=lesson.plan.learning_rate, weight_decay=1e-4)

    def epoch(self, epoch: int) -> Iterator[tuple[int, dict[str, float]]]:
        """Learn from each picture once; yield the steps done since the beginning, and the terms of the loss."""
        # Dropout of a resumed epoch is that of the epoch.
        torch.manual_seed(np.random.SeedSequence([self._lesson.plan.seed, epoch]).generate_state(1)[0].item())
        self._taught.train()
        for module in self._student.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                # The statistics of small batches are noise, and each process's other ones.
                module.eval()
        for number, (pixels, target) in enumerate(self._lesson.batches(epoch)):
            step = epoch * self._lesson.steps + number
            for group in self._optimizer.param_groups:
                group["lr"] = self._lesson.plan.learning_rate * _schedule(step, self._lesson)
            with self._autocast():
                own, answer = self._taught(pixels.to(self._device))
            cosine, relational = student.losses(own.float(), answer.float(), target.to(self._device))
            self._optimizer.zero_grad(set_to_none=True)
            (cosine + RELATIONAL * relational).backward()
            self._optimizer.step()
            yield step + 1, {"cosine": cosine.item(), "relational": RELATIONAL * relational.item()}

    def agreement(self) -> float:
        """Return the student's agreement with its teacher on pictures that were held out; see `plan.Result`."""
        seen, taught = self._features(self._lesson.held_out, photos=0)
        photos, taught_photos = self._features(self._lesson.held_out, photos=1)
        transform = parts.Transform(parts.unit(seen)[0].mean(axis=0))
        ours = transform.centred(photos)[0] @ transform.centred(seen)[0].T
        return float(np.corrcoef(ours.ravel(), (taught_photos @ taught.T).ravel())[0, 1])

    def state(self) -> dict[str, Any]:
        return {"student": self._student.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self._student.load_state_dict(state["student"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _features(self, share: Sequence[int], *, photos: float) -> tuple[base.Features, base.Features]:
        self._student.eval()
        pixels, taught = self._lesson.views(share, epoch=0, photos=photos, flips=False)
        with torch.no_grad():
            batches = torch.from_numpy(pixels).split(32)
            features = [self._student.features(batch.to(self._device)).cpu().numpy() for batch in batches]
        return np.concatenate(features), taught

    def _width(self, built: network.Network, body: torch.nn.Module) -> int:
        with torch.no_grad():
            side = built.prepare.size
            features: torch.Tensor = built.pool(body.eval()(torch.zeros(1, 3, side, side, device=self._device)))
            return features.shape[1]

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        on_gpu = self._device.type == "cuda"
        return torch.autocast("cuda", torch.bfloat16) if on_gpu else contextlib.nullcontext()


def _schedule(step: int, lesson: lessons.Lesson) -> float:
    """Return the share of the learning rate at `step`: a short way up, and half a cosine down."""
    total = lesson.plan.epochs * lesson.steps
    return min(1.0, (step + 1) / (_WARM_UP * total)) * (1 + math.cos(math.pi * step / total)) / 2
