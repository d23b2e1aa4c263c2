from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from example_shop import drawing
from tests.images import pictures
from visual_search.encoders import colour as on_cpu
from visual_search.encoders.gpu import colour, resample


def test_histograms__are_those_of_the_cpu() -> None:
    drawn = [view.render(320) for product in drawing.catalogue(products_per_kind=1) for view in product.views]
    images = [*drawn, pictures.scene(), pictures.scene().resize((613, 411)), Image.new("RGB", (90, 50), "black")]
    squares = [resample.square(torch.from_numpy(np.array(image)).permute(2, 0, 1), colour.PREPARE) for image in images]

    found = colour.histograms(torch.stack(squares)).numpy()

    expected = on_cpu.ColourEncoder().encode(images)
    assert found.shape == expected.shape
    assert np.abs(np.square(found).sum(1) - 1).max() < 1e-5
    assert (found * expected).sum(1).min() > 1 - 1e-3


def test_histograms__of_the_same_pixels_differ_by_rounding_alone() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (3, on_cpu.SIDE, on_cpu.SIDE, 3)).astype(np.uint8)
    found = colour.histograms(torch.from_numpy(pixels).permute(0, 3, 1, 2).float()).numpy()
    expected = on_cpu.ColourEncoder().encode([Image.fromarray(each) for each in pixels])
    assert np.abs(found - expected).max() < 1e-4
