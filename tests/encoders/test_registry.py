from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from tests.images import pictures
from visual_search import encoders, testing
from visual_search.encoders import base, registry, weights
from visual_search.exceptions import EncoderError, EncoderUnavailable

# Square: timm and torchvision cut the middle out at whole pixels, which shifts other shapes by up to half a pixel.
SCENE = pictures.scene(512, 512)


class Shop:
    """An encoder as a shop may write it."""

    name = "shop"
    dimensions = 3
    input_size = 8

    def __init__(self, shift: int = 0) -> None:
        self.fingerprint = base.fingerprint(architecture="shop", shift=shift)
        self.shift = shift

    def encode(self, images: Any) -> base.Features:
        return np.full((len(images), 3), self.shift, np.float32)


def not_an_encoder() -> str:
    return "vector"


def code(spec: Any) -> str:
    with pytest.raises(EncoderError) as raised:
        encoders.load(spec, device="cpu")
    return raised.value.code


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", "encoder_invalid"),
        (7, "encoder_invalid"),
        ({"weights": "a.pth"}, "encoder_invalid"),
        ("efficientnet_lite1", "encoder_unknown"),
        ("timm:", "encoder_unknown"),
        ("tiny:x", "encoder_unknown"),
        ("open", "encoder_unknown"),
        ("no.such.module.Encoder", "encoder_unknown"),
        ({"name": "efficientnet_lite0", "prompts": ["{}"]}, "encoder_invalid"),
        ({"name": "timm:resnet18", "colour": 1}, "encoder_invalid"),
        ({"name": "timm:resnet18", "size": "224"}, "encoder_invalid"),
        ({"name": "timm:resnet18", "size": 5}, "encoder_invalid"),
        ({"name": "timm:resnet18", "precision": "int8"}, "encoder_invalid"),
        ({"name": "timm:resnet18", "crops": 3}, "encoder_invalid"),
        ({"name": "colour", "size": 64}, "encoder_invalid"),
        ({"name": "timm:resnet18", "sha256": "a" * 64}, "encoder_invalid"),
        ({"name": "timm:resnet18", "weights": "a.pth", "sha256": "a"}, "encoder_invalid"),
    ],
)
def test_validate__wrong_specification(spec: Any, expected: str) -> None:
    with pytest.raises(EncoderError) as raised:
        registry.validate(spec)
    assert raised.value.code == expected


def test_validate__right_specifications() -> None:
    for spec in (
        "efficientnet_lite0",
        "colour",
        "tiny",
        "timm:resnet50.a1_in1k",
        {"name": "efficientnet_lite0", "size": 320, "crops": 2},
        {"name": "torchvision:resnet18", "weights": "a.pth", "sha256": "A" * 64, "size": 224},
        "tests.encoders.test_registry.Shop",
    ):
        registry.validate(spec)


def test_validate__close_matches_are_named() -> None:
    with pytest.raises(EncoderError, match="Did you mean efficientnet_lite0"):
        registry.validate("efficientnet_lite")


def test_import__neither_torch_nor_django() -> None:
    script = (
        "import sys; from visual_search import encoders; from visual_search.encoders import registry, pipeline\n"
        "from visual_search.images import decode, pool, source\n"
        "registry.validate('efficientnet_lite0'); registry.validate({'name': 'timm:resnet18', 'size': 224})\n"
        "encoders.load('tiny'); encoders.load('colour')\n"
        "print({'torch', 'torchvision', 'timm', 'django', 'celery'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_load__torch_encoder_needs_no_django() -> None:
    script = "import sys; from visual_search import encoders\n"
    script += "encoders.load('efficientnet_lite0', device='cpu', runtime='torch')\n"
    script += "print('torch' in sys.modules, 'django' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True False"


def test_load__same_object_from_many_threads() -> None:
    found: list[base.Encoder] = []
    spec = {"name": "tests.encoders.test_registry.Shop", "shift": 77}
    threads = [threading.Thread(target=lambda: found.append(encoders.load(dict(spec)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(encoder) for encoder in found}) == 1
    assert encoders.load({**spec, "shift": 78}) is not found[0]


def test_load__fork_while_another_thread_loads() -> None:
    script = (
        "import os; from visual_search.encoders import registry\n"
        "registry._lock.acquire()\n"
        "if not os.fork():\n"
        "    os._exit(registry.load('tiny').dimensions)\n"
        "print(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "64"


def test_load__dotted_path_gets_the_options() -> None:
    encoder = encoders.load({"name": "tests.encoders.test_registry.Shop", "shift": 5})
    assert encoder.encode([SCENE]).tolist() == [[5, 5, 5]]
    assert code("tests.encoders.test_registry.not_an_encoder") == "encoder_invalid"
    assert code("tests.encoders.test_registry.Nothing") == "encoder_unknown"


def test_load__unknown_models_are_named_with_close_matches() -> None:
    for name, near in (("timm:resnet5000", "timm:resnet50"), ("torchvision:resnet181", "torchvision:resnet18")):
        with pytest.raises(EncoderError, match=near) as raised:
            encoders.load(name)
        assert raised.value.code == "encoder_unknown"


def test_load__unknown_device() -> None:
    with pytest.raises(EncoderUnavailable) as raised:
        encoders.load("efficientnet_lite0", device="nonsense")
    assert raised.value.code == "device_unavailable"


@pytest.mark.parametrize("name", ["timm:resnet10t", "torchvision:mobilenet_v3_small"])
def test_load__no_network(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(EncoderUnavailable, match="'weights': PATH") as raised:
        encoders.load(name)
    assert raised.value.code == "weights_unavailable"


@pytest.mark.parametrize(("name", "side"), [("test_resnet", 5), ("mobilenetv3_small_050", 7), ("test_vit", 10)])
def test_load__timm_with_a_local_file(name: str, side: int, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model: Any = timm.create_model(name, pretrained=False).eval()
    torch.save(model.state_dict(), tmp_path / "whole.pth")
    safetensors.torch.save_file(model.state_dict(), tmp_path / "whole.safetensors")
    headless = timm.create_model(name, pretrained=False, num_classes=0)
    headless.load_state_dict({key: model.state_dict()[key] for key in headless.state_dict()})
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in headless.state_dict().items()}}, tmp_path / "part.pth"
    )
    loaded = [
        encoders.load(
            {"name": f"timm:{name}", "weights": str(tmp_path / file), "precision": "float32"},
            device="cpu",
            runtime="torch",
        )
        for file in ("whole.pth", "whole.safetensors", "part.pth")
    ]
    assert len({encoder.fingerprint for encoder in loaded}) == 1

    configuration = timm.data.resolve_data_config({}, model=model)
    batch = timm.data.create_transform(**configuration)(SCENE)[None]
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(batch), pre_logits=True).numpy()
    found = loaded[0].encode([SCENE])
    assert found.shape == (1, loaded[0].dimensions)
    assert (found * expected).sum() / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999
    grid = loaded[0].feature_map([SCENE])  # type: ignore[attr-defined]
    assert (grid.ndim, grid.shape[2:]) == (4, (side, side))


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5", "squeezenet1_1", "regnet_y_400mf", "densenet121", "swin_t"],
)
@pytest.mark.filterwarnings("ignore")
def test_load__torchvision_with_a_local_file(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model: Any = torchvision.models.get_model(name, weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "whole.pth")
    encoder = encoders.load(
        {"name": f"torchvision:{name}", "weights": str(tmp_path / "whole.pth"), "precision": "float32"},
        device="cpu",
        runtime="torch",
    )
    seen: list[torch.Tensor] = []
    head = next(layer for key, layer in model.named_children() if key in ("fc", "classifier", "head"))
    head.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    preset = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    with torch.inference_mode():
        model(preset(SCENE)[None])
    expected = seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]
    found = encoder.encode([SCENE])
    assert found.shape == tuple(expected.shape)
    assert (found * expected.numpy()).sum() / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999


def test_load__torchvision_features_alone(tmp_path: Path) -> None:
    model = torchvision.models.mobilenet_v2(weights=None)
    torch.save(model.state_dict(), tmp_path / "whole.pth")
    torch.save(model.features.state_dict(), tmp_path / "features.pth")
    one, other = (
        encoders.load(
            {"name": "torchvision:mobilenet_v2", "weights": str(tmp_path / name)}, device="cpu", runtime="torch"
        )
        for name in ("whole.pth", "features.pth")
    )
    assert one.fingerprint == other.fingerprint


@pytest.mark.filterwarnings("ignore")
def test_load__torchvision_model_that_is_no_chain() -> None:
    assert code({"name": "torchvision:vit_b_32", "weights": "a.pth"}) == "encoder_unsupported"


def test_load__file_of_another_model(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "a.pth")
    for name in ("torchvision:mobilenet_v2", "timm:resnet26"):
        assert code({"name": name, "weights": str(tmp_path / "a.pth")}) == "weights_mismatch"


def test_testing__exports_the_tiny_encoder() -> None:
    assert isinstance(encoders.load("tiny"), testing.TinyEncoder)


def test_digest__same_for_each_format(tmp_path: Path) -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    torch.save(state, tmp_path / "a.pt")
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    found = {weights.digest(weights.read(tmp_path / name)) for name in ("a.pt", "a.safetensors")}
    assert found == {weights.digest(state)}
    assert weights.digest({**state, "b": torch.tensor(4)}) not in found
