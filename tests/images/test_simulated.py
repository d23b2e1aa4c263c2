from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests import factories
from tests.images import pictures
from visual_search.images import decode, simulated

PRODUCT = Image.open(io.BytesIO(factories.picture("crimson", "circle", size=300)))


def share(image: Image.Image, colour: tuple[int, int, int], *, within: int = 120) -> float:
    return float((np.abs(np.asarray(image, np.int16) - colour).sum(axis=2) < within).mean())


def test_photo__is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, second, third = (simulated.photo(PRODUCT, seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first != third


@pytest.mark.parametrize("seed", range(6))
def test_photo__can_be_decoded_and_shows_the_product_on_another_ground(seed: int) -> None:
    taken = decode.decode(simulated.photo(PRODUCT, seed=seed))

    assert min(taken.size) == simulated.SIDE
    assert share(PRODUCT.convert("RGB"), (255, 255, 255)) > 0.4
    red = np.asarray(taken, np.int16)
    assert ((red[:, :, 0] > 1.8 * red[:, :, 1]) & (red[:, :, 0] > 1.8 * red[:, :, 2])).mean() > 0.08
    corners = [taken.getpixel(corner) for corner in ((0, 0), (taken.width - 1, 0))]
    assert corners != [(255, 255, 255)] * 2


def test_photo__of_a_scene_keeps_its_ground() -> None:
    scene = pictures.scene(400, 300)
    assert simulated._cut_out(scene).getextrema()[3] == (255, 255)
    assert simulated._cut_out(PRODUCT.convert("RGB")).getextrema()[3][0] == 0


def test_photo__of_white_on_white_keeps_the_whole_picture() -> None:
    nearly = Image.new("RGB", (200, 200), "white")
    nearly.paste((250, 250, 250), (50, 50, 150, 150))
    assert simulated._cut_out(nearly).getextrema()[3] == (255, 255)
