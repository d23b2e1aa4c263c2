from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from tests import factories
from tests.encoders.conftest import FULL
from tests.images import pictures
from visual_search import encoders, exceptions
from visual_search.encoders import base, explanation, parts

CHANNELS, KEPT = 6, 4


def maps(side: int) -> st.SearchStrategy[base.Features]:
    return arrays.arrays(np.float32, (CHANNELS, side, side), elements=st.floats(0, 6, width=32))


@given(
    maps(3),
    maps(5),
    arrays.arrays(np.float32, (CHANNELS,), elements=st.floats(-0.5, 0.5, width=32)),
    st.none() | arrays.arrays(np.float32, (KEPT, CHANNELS), elements=st.floats(-1, 1, width=32)),
    st.sampled_from([parts.COSINE, parts.PEARSON, parts.EUCLIDEAN]),
)
def test_contributions__sum_to_the_similarity_of_the_stored_parts(
    a: base.Features, b: base.Features, mean: parts.Floats, projection: parts.Floats | None, metric: str
) -> None:
    transform = parts.Transform(mean, projection, metric=metric)
    averaged = np.stack([each.mean((1, 2)) for each in (a, b)])
    stored, lengths = transform.centred(averaged)
    # Near zero, half of what is left is rounding.
    assume(min(lengths.min(), averaged.std(axis=1).min(), np.linalg.norm(stored, axis=1).min()) > 0.01)
    vectors, _ = parts.unit(stored)

    heat_a, heat_b = explanation.contributions(a, b, transform=transform)

    assert (heat_a.shape, heat_b.shape) == ((3, 3), (5, 5))
    assert heat_a.sum() == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-3)
    assert heat_b.sum() == pytest.approx(heat_a.sum(), abs=1e-4)


def test_contributions__of_a_real_encoder_sum_to_its_similarity(lite0: base.Encoder) -> None:
    shown = [
        Image.open(io.BytesIO(factories.picture(colour, shape, size=224)))
        for colour, shape in [("crimson", "circle"), ("seagreen", "circle"), ("navy", "bar")]
    ]
    features = lite0.encode(shown)
    transform = parts.Transform(parts.unit(features)[0].mean(0) * 0.5)
    found = base.feature_map(lite0, shown)
    (vectors, _) = transform.centred(features)

    heat, _ = explanation.contributions(found[0], found[1], transform=transform)

    assert heat.sum() == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-4)


def test_maps__of_a_network_that_averages_and_of_one_that_looks_twice(lite0: base.Encoder) -> None:
    images = [pictures.scene(300, 200), pictures.scene(200, 300).rotate(90)]
    twice: Any = encoders.load({**FULL, "crops": 2}, device="cpu", runtime="torch")
    expected = base.feature_map(lite0, images)

    np.testing.assert_array_equal(explanation.maps(lite0, images), expected)
    np.testing.assert_allclose(explanation.maps(twice, images), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto"])
def test_maps__refuse_a_network_that_pools_otherwise(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=0)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    spec = {"name": f"timm:{name}", "weights": str(tmp_path / "weights.pt"), "precision": "float32"}
    encoder = encoders.load(spec, device="cpu", runtime="torch")

    with pytest.raises(exceptions.EncoderError) as caught:
        explanation.maps(encoder, [pictures.scene()])

    assert caught.value.code == "feature_map_unavailable"


def test_contributions__are_where_the_likeness_is() -> None:
    a, b = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    a[0, 0, 0] = a[1, 1, 1] = b[0] = 1
    transform = parts.Transform(np.zeros(2, np.float32))

    heat, _ = explanation.contributions(a, b, transform=transform)

    np.testing.assert_allclose(heat, [[np.sqrt(0.5), 0], [0, 0]])


def test_contributions__refuse_features_that_are_no_average_of_the_map() -> None:
    feature_map = np.ones((3, 2, 2), np.float32)

    with pytest.raises(exceptions.EncoderError) as caught:
        explanation.contributions(feature_map, feature_map, transform=parts.Transform(np.zeros(5, np.float32)))

    assert caught.value.code == "feature_map_unavailable"


def test_overlay__glows_where_the_map_is_high_and_nowhere_else() -> None:
    picture = Image.new("RGB", (80, 40), "blue")
    heat = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)

    found = Image.open(io.BytesIO(explanation.overlay(picture, heat, seen=(0.5, 0.0, 1.0, 1.0))))

    assert (found.format, found.size) == ("PNG", (80, 40))
    pixels = np.asarray(found).astype(int)
    assert pixels[3, 42].min() > 80
    grey = pixels[3, 3]
    assert grey.max() - grey.min() == 0
    assert (pixels[:, :40] == grey).all()
    assert (pixels[36, 42] == grey).all()
