from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageOps

from tests.images import pictures
from visual_search import exceptions
from visual_search.encoders.distillation import views


def test_of__is_the_same_for_the_same_seed() -> None:
    scene = pictures.scene()
    one, again, other = views.of([scene] * 3, [[1, 2], [1, 2], [1, 3]], photos=1)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_of__pictures_or_their_mirror_image_where_no_photos_are_asked_for() -> None:
    scene = pictures.scene()
    found = views.of([scene] * 20, [[seed] for seed in range(20)], photos=0)
    mirrored = [np.array_equal(view, ImageOps.mirror(scene)) for view in found]
    assert 0 < sum(mirrored) < 20
    assert all(np.array_equal(view, scene) for view, turned in zip(found, mirrored, strict=True) if not turned)
    (plain,) = views.of([scene], [[mirrored.index(True)]], photos=0, flips=False)
    assert np.array_equal(plain, scene)


def test_of__a_share_of_photos() -> None:
    scene = pictures.scene()
    found = views.of([scene] * 40, [[seed] for seed in range(40)], photos=0.5, flips=False)
    photographed = sum(not np.array_equal(view, scene) for view in found)
    assert 10 < photographed < 30


def test_of__a_bad_picture_is_raised() -> None:
    with pytest.raises(exceptions.BadImage, match="damaged"):
        views.of([exceptions.BadImage("damaged")], [[0]], photos=0)
