"""The network that learns, and how far it is from its teacher."""

from __future__ import annotations

import torch
from torch.nn import functional

from visual_search.encoders import network


class Student(torch.nn.Module):
    """A network, the mean of its features, and where its teacher has another number of dimensions, a linear head."""

    centre: torch.Tensor
    scale: torch.Tensor

    def __init__(self, built: network.Network, *, mean: torch.Tensor, taught: int) -> None:
        super().__init__()
        self.body, self._pool = built.body, built.pool
        self.mean = torch.nn.Parameter(mean)
        self.head = torch.nn.Identity() if len(mean) == taught else torch.nn.Linear(len(mean), taught, bias=False)
        for name, values in (("centre", built.prepare.mean), ("scale", built.prepare.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features [n, d] of uint8 `pixels` [n, size, size, 3], as the finished encoder will."""
        batch = pixels.permute(0, 3, 1, 2)
        features: torch.Tensor = self._pool(self.body((batch - self.centre) / self.scale).float())
        return features

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return unit, centred vectors: the student's own [n, d], and through the head its teacher's [n, t]."""
        own = functional.normalize(functional.normalize(self.features(pixels)) - self.mean)
        return own, functional.normalize(self.head(own))


def losses(own: torch.Tensor, answer: torch.Tensor, taught: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the cosine and the relational term, of unit vectors: `own` [n, d], `answer` and the teacher's [n, t].

    The head is thrown away in the end; the relational term sees to it that the vectors before it have the teacher's
    cosines among one another.
    """
    apart = ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    difference = (own @ own.T - taught @ taught.T)[apart]
    return 1 - (answer * taught).sum(1).mean(), difference.square().sum() / max(difference.numel(), 1)
