from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from example_shop import drawing
from visual_search import encoders, exceptions
from visual_search.encoders import base, network, parts, registry

pytest.importorskip("nncf")
on_openvino = pytest.importorskip("visual_search.encoders.on_openvino")
int8 = pytest.importorskip("visual_search.encoders.int8")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Pictures of the example shop: each view of one product of each kind."""
    return [view.render(320) for product in drawing.catalogue(products_per_kind=1) for view in product.views]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The spec of a small network with a depthwise convolution, with weights of its own."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), path)
    return {"name": "timm:test_efficientnet", "weights": str(path)}


@pytest.fixture(scope="module")
def full(small: dict[str, Any]) -> base.Encoder:
    return encoders.load(small | {"precision": "float32"}, device="cpu", cache="")


@pytest.fixture(scope="module")
def quantised(small: dict[str, Any], full: base.Encoder, drawn: list[Image.Image], tmp_path_factory: Any) -> Any:
    """The spec of the small network in int8."""
    path = tmp_path_factory.mktemp("int8") / "small.int8"
    sha256 = int8.quantise(full, drawn[:20], path)
    return small | {"precision": "int8", "quantised": str(path), "quantised_sha256": sha256}


def test_quantise__gives_a_network_of_integers_that_answers_alike(
    quantised: dict[str, Any], full: Any, drawn: list[Image.Image]
) -> None:
    made: Any = encoders.load(quantised)
    kinds = {str(output.get_element_type()) for op in made.runtime.model.get_ops() for output in op.outputs()}
    assert any("int8_t" in kind or "'i8'" in kind for kind in kinds), kinds

    found = int8.compare(full, made, drawn[20:])

    assert found.least > 0.9
    assert found.median > 0.97
    assert min(found.speed, found.former_speed) > 0
    assert made.feature_map(drawn[:2]).shape == full.feature_map(drawn[:2]).shape


def test_quantise__of_lite0_on_real_pictures(fast_lite0: Any, catalog_dir: Path, tmp_path: Path) -> None:
    files = sorted((catalog_dir / "images").glob("*/*.*"))[::4]
    images = [Image.open(file).convert("RGB") for file in files]
    sha256 = int8.quantise(fast_lite0, images[::2], tmp_path / "lite0.int8")
    spec = {"name": "efficientnet_lite0", "precision": "int8", "quantised": str(tmp_path / "lite0.int8")}
    made = encoders.load(spec | {"quantised_sha256": sha256})

    one, other = (parts.unit(each.encode(images[1::2]))[0] for each in (fast_lite0, made))

    cosines = (one * other).sum(axis=1)
    assert cosines.min() > 0.93
    assert np.median(cosines) > 0.98


def test_fingerprint__is_that_of_the_calibration(
    quantised: dict[str, Any], full: base.Encoder, drawn: list[Image.Image], tmp_path: Path
) -> None:
    made = encoders.load(quantised)
    assert made.fingerprint != full.fingerprint
    other = int8.quantise(full, drawn[20:], tmp_path / "other.int8")
    loaded = encoders.load(quantised | {"quantised": str(tmp_path / "other.int8"), "quantised_sha256": other})
    assert loaded.fingerprint not in (made.fingerprint, full.fingerprint)


def test_load__wrong_sha256_is_refused_with_both(quantised: dict[str, Any]) -> None:
    wrong = "0" * 64
    with pytest.raises(exceptions.WeightsError) as caught:
        encoders.load(quantised | {"quantised_sha256": wrong})
    assert caught.value.code == "weights_sha256"
    assert wrong in str(caught.value)
    assert quantised["quantised_sha256"] in str(caught.value)


def test_load__of_another_network_is_refused(quantised: dict[str, Any]) -> None:
    with pytest.raises(exceptions.WeightsError) as caught:
        encoders.load(quantised | {"size": 96})
    assert caught.value.code == "weights_mismatch"


def test_load__damaged_file_is_refused(quantised: dict[str, Any], tmp_path: Path) -> None:
    data = bytearray(Path(quantised["quantised"]).read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "bad.int8").write_bytes(data)
    spec = quantised | {"quantised": str(tmp_path / "bad.int8")}
    spec["quantised_sha256"] = hashlib.sha256(data).hexdigest()
    with pytest.raises(exceptions.WeightsError) as caught:
        encoders.load(spec)
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "int8"}, "needs both 'precision': 'int8' and 'quantised': PATH"),
        ({"quantised": "some.int8"}, "needs both 'precision': 'int8' and 'quantised': PATH"),
        ({"quantised_sha256": "0" * 64}, "Add 'quantised': PATH"),
        ({"precision": "int8", "quantised": "x", "quantised_sha256": "0"}, "must be 64 hexadecimal digits"),
    ],
)
def test_validate__int8_needs_its_file(options: dict[str, str], said: str) -> None:
    with pytest.raises(exceptions.EncoderError, match=said) as caught:
        registry.validate({"name": "efficientnet_lite0", **options})
    assert caught.value.code == "encoder_invalid"


def test_quantise__what_openvino_does_not_run(small: dict[str, Any], drawn: list[Image.Image], tmp_path: Path) -> None:
    slow = network.NetworkEncoder(registry.network_of(small), device="cpu", runtime="torch")
    with pytest.raises(exceptions.EncoderUnavailable, match="doesn't run on OpenVINO") as caught:
        int8.quantise(slow, drawn, tmp_path / "none.int8")
    assert caught.value.code == "int8_unavailable"
    assert not (tmp_path / "none.int8").exists()
