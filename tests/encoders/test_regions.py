from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw

from visual_search import encoders, exceptions
from visual_search.encoders import base, preprocessing, regions, tiny

SPEC = {"name": "efficientnet_lite0", "precision": "float32"}

MAPS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)),
    elements=st.floats(-10, 10, width=32),
)


def bumps(*boxes: tuple[int, int, int, int], side: int = 14) -> base.Features:
    """Return a map [2, side, side] that is active in these boxes (left, top, right, bottom, in positions)."""
    found = np.zeros((2, side, side), np.float32)
    for left, top, right, bottom in boxes:
        found[:, top:bottom, left:right] += 1
    return found


def mug(image: Image.Image, left: int, top: int, *, size: int, colour: str) -> tuple[float, float, float, float]:
    """Draw a mug, and return its box in shares of `image`."""
    draw = ImageDraw.Draw(image)
    draw.ellipse(
        (left + size * 0.7, top + size * 0.25, left + size, top + size * 0.75), outline=colour, width=size // 12
    )
    draw.rounded_rectangle((left, top, left + size * 0.85, top + size), size // 10, fill=colour)
    for line in range(3):
        y = top + size * (0.3 + line * 0.2)
        draw.rectangle((left + size * 0.1, y, left + size * 0.75, y + size * 0.07), fill="white")
    width, height = image.size
    return left / width, top / height, (left + size) / width, (top + size) / height


@pytest.fixture(scope="module")
def finder() -> base.Encoder:
    found = regions.finder(SPEC, device="cpu")
    assert found is not None
    return found


def test_propose__finds_what_hangs_together() -> None:
    found = regions.propose(bumps((1, 2, 5, 6), (9, 8, 13, 12)))

    wanted = [(1 / 14, 2 / 14, 5 / 14, 6 / 14), (9 / 14, 8 / 14, 13 / 14, 12 / 14)]
    assert [max(regions.overlap(each.box, box) for each in found) > 0.6 for box in wanted] == [True, True]
    assert len(found) == 2


def test_propose__puts_the_largest_mass_first() -> None:
    found = regions.propose(bumps((0, 0, 3, 3), (7, 7, 13, 13)))

    assert found[0].box[0] > 0.4
    assert [each.mass for each in found] == sorted((each.mass for each in found), reverse=True)


def test_propose__tells_things_that_touch_apart() -> None:
    x = np.arange(14)
    heat = np.exp(-((x - 3) ** 2) / 4) + np.exp(-((x - 10) ** 2) / 4) + 0.1
    touching = np.outer(np.exp(-((x - 7) ** 2) / 8), heat)[None].astype(np.float32)

    boxes = [each.box for each in regions.propose(touching)]

    assert any(box[2] <= 0.6 for box in boxes)
    assert any(box[0] >= 0.4 for box in boxes)


@pytest.mark.parametrize(
    "feature_map", [np.ones((3, 7, 7), np.float32), np.zeros((3, 1, 1), np.float32), bumps((0, 0, 14, 13))]
)
def test_propose__is_empty_where_nothing_stands_out(feature_map: base.Features) -> None:
    assert regions.propose(feature_map) == []


@given(MAPS)
def test_propose__returns_boxes_within_the_picture(feature_map: base.Features) -> None:
    found = regions.propose(feature_map, limit=3)

    assert len(found) <= 3
    for each in found:
        left, top, right, bottom = each.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert 0 < each.mass <= 1.0001
    assert found == regions.propose(feature_map.copy(), limit=3)


@given(MAPS)
def test_propose__stays_in_what_the_map_covers(feature_map: base.Features) -> None:
    for each in regions.propose(feature_map, seen=(0.25, 0.0, 0.75, 1.0)):
        assert 0.25 <= each.box[0] < each.box[2] <= 0.75


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [
        ((0, 0, 1, 1), (0, 0, 1, 1), 1.0),
        ((0, 0, 0.5, 1), (0.5, 0, 1, 1), 0.0),
        ((0, 0, 1, 1), (0, 0, 0.5, 0.5), 0.25),
    ],
)
def test_overlap__is_intersection_over_union(a: regions.Box, b: regions.Box, shared: float) -> None:
    assert regions.overlap(a, b) == shared


@pytest.mark.parametrize(
    ("squash", "size", "window"),
    [
        (True, (400, 200), (0.0, 0.0, 400.0, 200.0)),
        (False, (400, 200), (100.0, 0.0, 300.0, 200.0)),
        (False, (200, 400), (0.0, 100.0, 200.0, 300.0)),
    ],
)
def test_window__is_what_the_network_sees(
    squash: bool, size: tuple[int, int], window: tuple[float, float, float, float]
) -> None:
    prepare = preprocessing.Preprocessing(size=224, resize=224, squash=squash, mean=(0, 0, 0), std=(1, 1, 1))

    assert prepare.window(size) == window


def test_window__leaves_out_the_margin_of_a_centre_crop() -> None:
    prepare = preprocessing.Preprocessing(size=192, resize=256, squash=False, mean=(0, 0, 0), std=(1, 1, 1))

    assert prepare.window((512, 256)) == (160.0, 32.0, 352.0, 224.0)


def test_finder__looks_at_twice_the_size_where_the_map_is_coarse(lite0: base.Encoder, finder: base.Encoder) -> None:
    assert (finder.name, finder.input_size) == (lite0.name, 2 * lite0.input_size)


def test_finder__is_the_encoder_itself_where_its_map_is_fine() -> None:
    spec = {**SPEC, "size": 384}

    assert regions.finder(spec, device="cpu") is encoders.load(spec, device="cpu")


def test_finder__is_the_encoder_itself_where_it_takes_no_other_size() -> None:
    assert regions.finder("tiny") is encoders.load("tiny")


class Coarse(tiny.TinyEncoder):
    """A shop's own encoder, which takes no size."""

    fingerprint = base.fingerprint(architecture="coarse")

    def __init__(self) -> None:
        super().__init__()


def test_finder__is_an_encoder_of_your_own_itself() -> None:
    spec = f"{__name__}.Coarse"

    assert regions.finder(spec) is encoders.load(spec)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (800, 450)])
def test_find__finds_the_one_thing_on_a_picture(finder: base.Encoder, width: int, height: int) -> None:
    picture = Image.new("RGB", (width, height), "#d8cdbb")
    box = mug(picture, width // 2, height // 5, size=min(width, height) // 2, colour="firebrick")

    found = regions.find(finder, picture)

    assert regions.overlap(found[0].box, box) >= 0.5


def test_find__finds_each_of_three_things(finder: base.Encoder) -> None:
    picture = Image.new("RGB", (900, 600), "#d8cdbb")
    boxes = [
        mug(picture, 40, 40, size=230, colour="firebrick"),
        mug(picture, 600, 60, size=240, colour="darkgreen"),
        mug(picture, 330, 340, size=220, colour="navy"),
    ]

    found = regions.find(finder, picture)

    assert all(max(regions.overlap(each.box, box) for each in found) >= 0.5 for box in boxes)


def test_find__refuses_an_encoder_without_a_map() -> None:
    class Blind:
        name, dimensions, fingerprint, input_size = "blind", 1, "0" * 64, 32

        def encode(self, images: object) -> base.Features:
            return np.zeros((0, 1), np.float32)

    with pytest.raises(exceptions.EncoderError) as caught:
        regions.find(Blind(), Image.new("RGB", (64, 64)))

    assert caught.value.code == "feature_map_unavailable"


def test_feature_map__of_the_tiny_encoder_averages_to_its_features() -> None:
    images = [Image.effect_noise((70, 50), 80).convert("RGB"), Image.linear_gradient("L").convert("RGB")]
    encoder = tiny.TinyEncoder()

    np.testing.assert_allclose(encoder.feature_map(images).mean((2, 3)), encoder.encode(images), rtol=1e-5)
