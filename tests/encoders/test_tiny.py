from __future__ import annotations

import numpy as np
from PIL import Image

from tests.images import pictures
from visual_search.encoders import base, tiny

SCENE = pictures.scene()


def test_encode__shape_type_and_range() -> None:
    encoder = tiny.TinyEncoder()
    assert isinstance(encoder, base.Encoder)
    for count in (0, 1, 3):
        features = encoder.encode([SCENE] * count)
        assert (features.shape, features.dtype) == ((count, 64), np.float32)
        assert ((features >= 0) & (features <= 1)).all()


def test_encode__known_values() -> None:
    features = tiny.TinyEncoder().encode([Image.new("RGB", (50, 50), (255, 0, 51))])[0]
    np.testing.assert_allclose(features[:48].reshape(16, 3), [[1, 0, 0.2]] * 16, atol=1e-6)
    assert not features[48:].any()


def test_encode__alike_pictures_are_near() -> None:
    encoder = tiny.TinyEncoder()
    other = pictures.scene().transpose(Image.Transpose.ROTATE_180).point(lambda value: 255 - value)
    same, near, far = encoder.encode([SCENE, SCENE.crop((6, 6, 314, 234)), other])
    assert np.linalg.norm(same - near) < np.linalg.norm(same - far) / 4


def test_encode__size_hardly_matters() -> None:
    one, other = tiny.TinyEncoder().encode([SCENE, SCENE.resize((900, 700))])
    assert np.abs(one - other).max() < 0.02
