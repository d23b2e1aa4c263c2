"""What a student is to do, and what came of it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    Say how a student learns: the same plan, pictures and number of processes give the same weights on a CPU.

    `batch_size` pictures are seen before each step, by all processes together. `photos` is the share of views that are
    simulated photos.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-4
    photos: float = 0.5
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What came of it: the file's SHA-256, and the student's agreement with the teacher `before` and `after`.

    Agreement is the correlation of two tables of cosines, the student's and the teacher's, between simulated photos of
    pictures that were held out and these pictures.
    """

    sha256: str
    pictures: int
    before: float
    after: float
