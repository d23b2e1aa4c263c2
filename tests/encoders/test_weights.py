from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch

from visual_search.encoders import weights
from visual_search.exceptions import WeightsError


class Payload:
    """What a hostile weights file holds: unpickling it runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.marker}",)


def code(path: Path, **options: str) -> str:
    with pytest.raises(WeightsError) as raised:
        weights.read(path, **options)
    return raised.value.code


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"a": torch.ones(2)}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_read__sum_that_fits(saved: Path) -> None:
    expected = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert weights.read(saved, sha256=expected.upper())["a"].tolist() == [1, 1]


def test_read__sum_that_does_not_fit_names_both(saved: Path) -> None:
    found = hashlib.sha256(saved.read_bytes()).hexdigest()
    with pytest.raises(WeightsError) as raised:
        weights.read(saved, sha256="b" * 64)
    assert raised.value.code == "weights_sha256"
    assert found in str(raised.value)
    assert "b" * 64 in str(raised.value)


@pytest.mark.parametrize("kind", ["torch", "pickle", "inside"])
def test_read__payload_is_refused_and_does_not_run(kind: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "a.pth", tmp_path / "marker"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(marker), protocol=2))
    else:
        torch.save(Payload(marker) if kind == "torch" else {"a": torch.ones(1), "b": Payload(marker)}, path)
    assert code(path) == "weights_unsafe"
    assert not marker.exists()


def test_read__payload_would_run_otherwise(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists()


def test_read__no_file(tmp_path: Path) -> None:
    assert code(tmp_path / "none.pth") == "weights_missing"


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("data", [b"", b"nonsense" * 10, b"PK\x03\x04" + bytes(40)])
def test_read__no_weights(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert code(tmp_path / name) in {"weights_invalid", "weights_unsafe"}


def test_read__no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "a.pth")
    assert code(tmp_path / "a.pth") == "weights_invalid"


def test_read__wrapped_by_a_training_script(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"module.a": torch.ones(1)}}, tmp_path / "a.pth")
    assert list(weights.read(tmp_path / "a.pth")) == ["a"]


def test_fill__other_shape_is_named() -> None:
    with pytest.raises(WeightsError, match="size mismatch for weight") as raised:
        weights.fill(torch.nn.Linear(2, 2), {"weight": torch.ones(3, 3), "bias": torch.ones(2)}, name="line")
    assert raised.value.code == "weights_mismatch"
