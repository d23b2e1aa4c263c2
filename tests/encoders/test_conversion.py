from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

conversion = pytest.importorskip("visual_search.encoders.on_openvino").conversion

SIZE = 16
PIXELS = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)


class Network(torch.nn.Module):
    """A small network on uint8 pictures."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 4, 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layer(pixels.permute(0, 3, 1, 2) / 255)


@pytest.fixture
def network() -> torch.nn.Module:
    return Network().eval().requires_grad_(False)


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was converted."""
    done: list[int] = []
    convert = conversion._convert

    def counted(network: torch.nn.Module, size: int) -> Any:
        done.append(size)
        return convert(network, size)

    monkeypatch.setattr(conversion, "_convert", counted)
    return done


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What is logged."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    conversion.logger.addHandler(handler)
    yield messages
    conversion.logger.removeHandler(handler)


def check(model: Any, network: torch.nn.Module) -> None:
    found = conversion.compiled(model, "float32")([PIXELS])[0]
    np.testing.assert_allclose(found, network(torch.from_numpy(PIXELS)).numpy(), atol=1e-5)


def test_model__is_kept_and_read_again(network: Any, conversions: list[int], tmp_path: Path) -> None:
    cache = tmp_path / "a" / "b"
    for _ in range(2):
        check(conversion.model(network, SIZE, key="k", cache=str(cache)), network)
    assert conversions == [SIZE]
    (kept,) = cache.iterdir()
    assert (kept.suffix, cache.stat().st_mode & 0o777) == (".zip", 0o700)


def test_model__another_key_is_another_conversion(network: Any, conversions: list[int], tmp_path: Path) -> None:
    for key in ("one", "other"):
        conversion.model(network, SIZE, key=key, cache=str(tmp_path / "cache"))
    assert len(conversions) == len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut off", "one bit", "empty", "nonsense"])
def test_model__damaged_file_is_made_anew(
    network: Any, conversions: list[int], warned: list[str], damage: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    conversion.model(network, SIZE, key="k", cache=str(cache))
    (kept,) = cache.iterdir()
    data = bytearray(kept.read_bytes())
    place = data.index(network.layer.weight.numpy().tobytes()[:8])
    data[place] ^= 1
    kept.write_bytes({"cut off": data[:-100], "one bit": data, "empty": b"", "nonsense": b"no" * 99}[damage])
    check(conversion.model(network, SIZE, key="k", cache=str(cache)), network)
    assert len(conversions) == 2
    assert len(warned) == 1
    assert "is damaged" in warned[0]
    check(conversion.model(network, SIZE, key="k", cache=str(cache)), network)
    assert len(conversions) == 2


def test_model__nothing_is_kept_where_others_may_write(
    network: Any, conversions: list[int], warned: list[str], tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    for _ in range(2):
        check(conversion.model(network, SIZE, key="k", cache=str(tmp_path)), network)
    assert len(conversions) == 2
    assert not list(tmp_path.iterdir())
    assert "others may write into it" in warned[0]
    assert "ENCODER_CACHE" in warned[0]


def test_model__folder_that_is_a_file(network: Any, warned: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check(conversion.model(network, SIZE, key="k", cache=str(tmp_path / "file" / "cache")), network)
    assert "keeps no converted network" in warned[0]


def test_model__disk_that_is_full(
    network: Any, warned: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*paths: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    check(conversion.model(network, SIZE, key="k", cache=str(tmp_path / "cache")), network)
    assert "No space left on device" in warned[0]
    assert not list((tmp_path / "cache").iterdir())


def test_model__no_cache(network: Any, conversions: list[int], warned: list[str]) -> None:
    check(conversion.model(network, SIZE, key="k", cache=""), network)
    assert (len(conversions), warned) == (1, [])
