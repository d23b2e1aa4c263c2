from __future__ import annotations

import numpy as np
import pytest

from tests.images import pictures
from visual_search import encoders
from visual_search.encoders import base, parts


def test_two_crops__average_the_whole_and_its_middle(lite0: base.Encoder) -> None:
    spec = {"name": "efficientnet_lite0", "precision": "float32", "crops": 2}
    both = encoders.load(spec, device="cpu")
    scene = pictures.scene(400, 300)
    middle = scene.crop((60, 45, 340, 255))

    found = both.encode([scene, middle])

    expected = parts.unit(lite0.encode([scene, middle]))[0].mean(axis=0)
    assert found[0] == pytest.approx(expected, abs=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert both.encode([]).shape == (0, 1280)
    assert both.feature_map([scene]) == pytest.approx(lite0.feature_map([scene]), abs=1e-3)  # type: ignore[attr-defined]


def test_two_crops__are_another_encoder_that_needs_larger_pictures(lite0: base.Encoder) -> None:
    once = encoders.load({"name": "efficientnet_lite0", "precision": "float32", "crops": 1}, device="cpu")
    both = encoders.load({"name": "efficientnet_lite0", "precision": "float32", "crops": 2}, device="cpu")

    assert (once.fingerprint, once.input_size) == (lite0.fingerprint, 224)
    assert both.fingerprint != lite0.fingerprint
    assert (both.name, both.dimensions, both.input_size) == ("efficientnet_lite0", 1280, 320)
