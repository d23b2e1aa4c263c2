from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image

from example_shop import drawing
from visual_search import encoders
from visual_search.encoders import base, network, preprocessing, runtime

on_openvino = pytest.importorskip("visual_search.encoders.on_openvino")

PLAIN = preprocessing.Preprocessing(size=32, resize=32, squash=True, mean=(100, 110, 120), std=(60, 70, 80))


class Branching(torch.nn.Module):
    """A network whose way depends on the numbers in the picture: no graph can hold it."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch if batch.mean() > 0 else -batch


class Moody(torch.nn.Module):
    """A network that answers otherwise each time."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch + 5 * torch.randn_like(batch)


def cosines(one: base.Features, other: base.Features) -> base.Features:
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(1) / lengths


def encoder(body: torch.nn.Module, **options: str) -> network.NetworkEncoder:
    small = network.Network(name="small", body=body, prepare=PLAIN)
    return network.NetworkEncoder(small, device="cpu", **{"cache": "", **options})


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Pictures of the example shop: each view of one product of each kind."""
    return [view.render(320) for product in drawing.catalogue(products_per_kind=1) for view in product.views]


def test_encode__agrees_with_torch(lite0: base.Encoder, fast_lite0: Any, drawn: list[Image.Image]) -> None:
    assert isinstance(fast_lite0.runtime, on_openvino.Runtime)
    assert type(lite0.runtime) is runtime.Runtime  # type: ignore[attr-defined]
    assert len(drawn) >= 28
    assert cosines(lite0.encode(drawn), fast_lite0.encode(drawn)).min() >= 0.9999


def test_encode__bfloat16_changes_little(lite0: base.Encoder, drawn: list[Image.Image], cache: str) -> None:
    rough = encoders.load({"name": "efficientnet_lite0", "precision": "bfloat16"}, device="cpu", cache=cache)
    assert isinstance(rough.runtime, on_openvino.Runtime)  # type: ignore[attr-defined]
    found = cosines(lite0.encode(drawn), rough.encode(drawn))
    assert found.min() >= 0.985
    assert np.median(found) >= 0.997


def test_encode__any_number_of_pictures(fast_lite0: Any, drawn: list[Image.Image]) -> None:
    assert fast_lite0.encode([]).shape == (0, 1280)
    whole = fast_lite0.encode(drawn[:19])
    alone = np.concatenate([fast_lite0.encode([image]) for image in drawn[:19]])
    np.testing.assert_allclose(whole, alone, atol=1e-4)


def test_encode__shared_by_threads(fast_lite0: Any, drawn: list[Image.Image]) -> None:
    expected = fast_lite0.encode(drawn[:8])
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = np.concatenate(list(threads.map(lambda image: fast_lite0.encode([image]), drawn[:8] * 5)))
    np.testing.assert_allclose(found, np.tile(expected, (5, 1)), atol=1e-4)


def test_feature_map__agrees_with_torch(lite0: Any, fast_lite0: Any, drawn: list[Image.Image]) -> None:
    expected, found = lite0.feature_map(drawn[:3]), fast_lite0.feature_map(drawn[:3])
    assert found.shape == (3, 1280, 7, 7)
    assert cosines(expected, found).min() >= 0.9999
    again = fast_lite0.feature_map(drawn[3:4])
    assert not np.shares_memory(found, again)
    assert cosines(expected, found).min() >= 0.9999


def test_fingerprint__is_that_of_torch(lite0: base.Encoder, fast_lite0: base.Encoder) -> None:
    assert fast_lite0.fingerprint == lite0.fingerprint


@pytest.mark.parametrize(
    "name", ["timm:test_resnet", "timm:test_vit3", "timm:test_mambaout", "torchvision:shufflenet_v2_x0_5"]
)
@pytest.mark.filterwarnings("ignore:.*pretrained:UserWarning")
def test_load__each_kind_of_network(name: str, drawn: list[Image.Image], tmp_path: Path) -> None:
    torch.manual_seed(3)
    family, _, model = name.partition(":")
    build: Any = timm.create_model(model) if family == "timm" else torchvision.models.get_model(model, weights=None)
    torch.save(build.state_dict(), tmp_path / "weights.pth")
    spec = {"name": name, "weights": str(tmp_path / "weights.pth"), "precision": "float32"}
    slow, fast = (
        encoders.load(spec, device="cpu", runtime=choice, cache=str(tmp_path / "cache")) for choice in ("torch", "auto")
    )
    assert isinstance(fast.runtime, on_openvino.Runtime)  # type: ignore[attr-defined]
    assert cosines(slow.encode(drawn[:9]), fast.encode(drawn[:9])).min() >= 0.9999
    maps = [each.feature_map(drawn[:2]) for each in (slow, fast)]  # type: ignore[attr-defined]
    assert maps[0].shape == maps[1].shape
    assert cosines(*maps).min() >= 0.9999


@pytest.mark.parametrize("body", [Branching(), Moody()])
def test_load__network_that_cannot_be_converted_runs_on_torch(
    body: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    found = encoder(body)
    assert type(found.runtime) is runtime.Runtime
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "visual_search.encoders"]
    assert warning.startswith("OpenVINO can't run small, so that torch does, slower: ")
    assert found.encode([Image.new("RGB", (40, 40), "teal")]).shape == (1, 3)


def test_load__torch_when_asked_for() -> None:
    assert type(encoder(torch.nn.Conv2d(3, 4, 3), runtime="torch").runtime) is runtime.Runtime


def test_load__threads_are_those_of_torch() -> None:
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from visual_search.encoders import network, on_openvino, preprocessing\n"
        "plain = preprocessing.Preprocessing(size=32, resize=32, squash=True, mean=(0,) * 3, std=(1,) * 3)\n"
        "body = torch.nn.Conv2d(3, 4, 3)\n"
        "found = on_openvino.Runtime(body, plain, precision='auto', key='', cache='')\n"
        "print(found._request.get_compiled_model().get_property('INFERENCE_NUM_THREADS'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_import__reports_to_nobody(tmp_path: Path) -> None:
    # OpenVINO sends an event when it is imported and when it converts, unless a variable says that this is a CI.
    script = (
        "import os, sys; os.environ.pop('CI', None); os.environ['HOME'] = sys.argv[1]\n"
        "sys.addaudithook(lambda name, _: print(name) if name in ('socket.connect', 'socket.getaddrinfo') else None)\n"
        "import torch; from visual_search.encoders import network, on_openvino, preprocessing\n"
        "plain = preprocessing.Preprocessing(size=32, resize=32, squash=True, mean=(0,) * 3, std=(1,) * 3)\n"
        "on_openvino.Runtime(torch.nn.Conv2d(3, 4, 3), plain, precision='auto', key='', cache='')\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry.')], os.listdir(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[] []"]
