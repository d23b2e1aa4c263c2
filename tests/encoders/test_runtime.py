from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from visual_search.encoders import base, network, preprocessing, runtime
from visual_search.exceptions import EncoderError

PLAIN = preprocessing.Preprocessing(size=4, resize=4, squash=True, mean=(0, 0, 0), std=(1, 1, 1))


class Small(torch.nn.Module):
    """A network that has memory for a few pictures only, as a GPU may."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.seen: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError
        return batch


class Broken(torch.nn.Module):
    """A network that returns no number for dark pictures."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return 1 / batch - 1 / batch + batch


def encoder(body: torch.nn.Module) -> network.NetworkEncoder:
    return network.NetworkEncoder(
        network.Network(name="small", body=body, prepare=PLAIN), device="cpu", precision="float32", runtime="torch"
    )


def greys(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (5, 5), (value + 1,) * 3) for value in range(count)]


def test_run__batch_is_halved_until_it_fits_and_stays_so() -> None:
    body = Small(3)
    small = encoder(body)
    body.seen.clear()
    assert small.encode(greys(10))[:, 0].tolist() == list(range(1, 11))
    assert body.seen == [10, 5, 2, 2, 2, 2, 2]
    body.seen.clear()
    small.encode(greys(4))
    assert body.seen == [2, 2]


def test_run__one_picture_does_not_fit() -> None:
    body = Small(1)
    small = encoder(body)
    body.room = 0
    with pytest.raises(EncoderError) as raised:
        small.encode(greys(4))
    assert raised.value.code == "encoder_out_of_memory"


def test_encode__value_that_is_no_number_is_refused() -> None:
    broken = runtime.Runtime(Broken(), PLAIN, device="cpu", precision="float32")
    images = [*greys(2), Image.new("RGB", (5, 5)), *greys(1)]
    with pytest.raises(EncoderError, match=r"\[2\]") as raised:
        base.finite(broken.run(images, network.average), name="broken")
    assert raised.value.code == "encoder_not_finite"


def test_pick_precision__choice_wins() -> None:
    device = torch.device("cpu")
    assert runtime.pick_precision("float32", device) == torch.float32
    assert runtime.pick_precision("bfloat16", device) == torch.bfloat16


def test_pick_precision__auto_follows_the_processor() -> None:
    flags = torch.cpu.get_capabilities()
    native = any(flags.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    found = runtime.pick_precision("auto", torch.device("cpu"))
    assert found == (torch.bfloat16 if native else torch.float32)


def test_pixels__whole_picture_or_its_middle() -> None:
    image = Image.new("RGB", (80, 40), "white")
    image.paste("red", (0, 0, 20, 40))
    image.paste("blue", (60, 0, 80, 40))
    options = {"size": 40, "mean": (0, 0, 0), "std": (1, 1, 1)}
    whole = preprocessing.Preprocessing(resize=40, squash=True, **options).pixels([image])
    middle = preprocessing.Preprocessing(resize=40, squash=False, **options).pixels([image])
    assert whole.shape == middle.shape == (1, 40, 40, 3)
    assert [whole[0, 20, x].tolist() for x in (3, 20, 36)] == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    assert (middle == 255).all()


def test_pixels__crop_takes_the_share_that_the_network_was_trained_on() -> None:
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None], 256, 0)).convert("RGB")
    cropped = preprocessing.Preprocessing(size=112, resize=128, squash=False, mean=(0, 0, 0), std=(1, 1, 1))
    row = cropped.pixels([ramp])[0, 50, :, 0].astype(int)
    assert abs(row - (16 + 2 * np.arange(112) + 0.5)).max() <= 1
