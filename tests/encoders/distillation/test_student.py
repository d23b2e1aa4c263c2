from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from visual_search.encoders.distillation import student


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(shape[1])), dim=1)


def test_losses__are_nothing_for_a_student_that_agrees() -> None:
    taught = unit(6, 8)
    assert [float(loss) for loss in student.losses(taught, taught, taught)] == pytest.approx([0, 0], abs=1e-6)


def test_losses__relational_asks_for_cosines_and_not_for_directions() -> None:
    taught = unit(6, 8)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    cosine, relational = student.losses(taught @ turn, taught @ turn, taught)
    assert float(relational) == pytest.approx(0, abs=1e-6)
    assert float(cosine) > 0.3


def test_losses__by_hand() -> None:
    own = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    taught = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    cosine, relational = student.losses(own, own, taught)
    assert float(cosine) == pytest.approx(1 - (1 + 0.8) / 2)
    assert float(relational) == pytest.approx(0.6**2)
