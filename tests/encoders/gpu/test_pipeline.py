from __future__ import annotations

import io
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from example_shop import drawing
from tests.images import pictures
from visual_search import encoders, exceptions
from visual_search.encoders import colour, joined, network, preprocessing, runtime, tiny
from visual_search.encoders import pipeline as ordinary
from visual_search.encoders.gpu import decode, pipeline, resample
from visual_search.images import limits, pool

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


def file(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def sources() -> list[bytes]:
    """Ordinary JPEGs, and one of each kind that a hardware decoder refuses or would get wrong."""
    drawn = [view.render(240) for product in drawing.catalogue(products_per_kind=1) for view in product.views][:9]
    scene = pictures.scene()
    tags = Image.Exif()
    tags[274] = 6
    files = [file(picture) for picture in drawn]
    files[1:1] = [file(scene, exif=tags), file(scene, progressive=True), file(scene.convert("CMYK"))]
    files[7:7] = [file(scene.convert("L")), file(scene, "PNG"), b"no picture", file(Image.new("RGB", (90, 90), "navy"))]
    return [*files, file(scene)[:-300]]


@pytest.fixture(scope="module")
def decoder() -> Iterator[pool.Decoder]:
    with pool.Decoder(processes=2) as children:
        yield children


def default(device: str) -> joined.Joined:
    spec = {"name": "efficientnet_lite0", "precision": "float32", "size": 96}
    return joined.Joined([encoders.load(spec, device=device, runtime="torch"), colour.ColourEncoder()])


def cosine(one: Any, other: Any) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("device", DEVICES)
def test_encode_many__agrees_with_the_ordinary_pipeline(
    device: str, sources: list[bytes], decoder: pool.Decoder
) -> None:
    encoder = default(device)
    # Five: whole batches, and a last one that has to be padded.
    found = list(pipeline.Pipeline(encoder, batch_size=5).encode_many(sources, decoder=decoder))

    expected = list(ordinary.encode_many(encoder, sources, decoder=decoder))
    assert len(found) == len(sources)
    for one, other in zip(found, expected, strict=True):
        assert type(one) is type(other)
        if isinstance(other, exceptions.BadImage):
            assert one.code == other.code
            continue
        assert cosine(one[:1280], other[:1280]) > 0.99
        assert cosine(one[1280:], other[1280:]) > 0.995
    codes = [item.code for item in found if isinstance(item, exceptions.BadImage)]
    assert codes == ["image_format", "image_blank", "image_unreadable"]


def test_encode_many__real_pictures(catalog_dir: Path, decoder: pool.Decoder) -> None:
    files = sorted((catalog_dir / "images").glob("*/*.jp*g"))[::6]
    encoder = default("cpu")
    sources = [each.read_bytes() for each in files]
    found = np.array(list(pipeline.Pipeline(encoder, batch_size=8).encode_many(sources, decoder=decoder)))
    expected = np.array(list(ordinary.encode_many(encoder, sources, decoder=decoder)))
    networks = [cosine(one[:1280], other[:1280]) for one, other in zip(found, expected, strict=True)]
    colours = [cosine(one[1280:], other[1280:]) for one, other in zip(found, expected, strict=True)]
    assert min(networks) > 0.985
    assert np.median(networks) > 0.997
    assert min(colours) > 0.99


def test_encode_many__nothing(decoder: pool.Decoder) -> None:
    assert list(pipeline.Pipeline(default("cpu"), batch_size=4).encode_many([], decoder=decoder)) == []


def test_encode_many__nothing_but_bad_pictures(decoder: pool.Decoder) -> None:
    found = list(pipeline.Pipeline(default("cpu"), batch_size=4).encode_many([b"no", b"none"], decoder=decoder))
    assert [item.code for item in found if isinstance(item, exceptions.BadImage)] == ["image_format"] * 2


def test_encode_many__reads_no_more_than_it_works_on(sources: list[bytes], decoder: pool.Decoder) -> None:
    read: list[int] = []

    def noted() -> Iterator[bytes]:
        for number in range(40):
            read.append(number)
            yield sources[0]

    found = pipeline.Pipeline(default("cpu"), batch_size=4).encode_many(noted(), decoder=decoder)
    next(found)
    assert len(read) <= 16
    found.close()  # type: ignore[attr-defined]


def test_encode_many__compiles_one_shape(sources: list[bytes], decoder: pool.Decoder) -> None:
    shapes: list[tuple[int, ...]] = []

    def backend(graph: Any, inputs: Any) -> Any:
        shapes.append(tuple(next(each.shape for each in inputs if each.ndim == 4 and len(each) == 4)))
        return graph.forward

    torch._dynamo.reset()
    plain = preprocessing.Preprocessing(size=32, resize=32, squash=True, mean=(100, 110, 120), std=(60, 70, 80))
    small = network.Network(name="small", body=torch.nn.Conv2d(3, 4, 3), prepare=plain)
    encoder = network.NetworkEncoder(small, device="cpu", runtime="torch")
    working = pipeline.Pipeline(joined.Joined([encoder]), batch_size=4)
    working._parts[0] = pipeline._Part(
        working._parts[0].prepare, torch.compile(working._parts[0].features, dynamic=False, backend=backend)
    )
    assert len(list(working.encode_many(sources[:10], decoder=decoder))) == 10
    assert len(shapes) == 1


class Small(torch.nn.Module):
    """A network that has memory for `room` pictures only, and fails with `error` for more than `most`."""

    def __init__(self, room: int = 99, error: str = "", most: int = 0) -> None:
        super().__init__()
        self.room, self.error, self.most = room, error, most
        self.seen: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(batch))
        if self.error and len(batch) > self.most:
            if self.error == "nan":
                return batch * float("nan")
            raise RuntimeError(self.error)
        if len(batch) > self.room:
            raise torch.OutOfMemoryError
        return batch


def small(body: Small, *, room: int | None = None, **options: Any) -> pipeline.Pipeline:
    """Return a pipeline of `body` on pictures of 32 x 32 pixels, which has seen nothing yet; then it has `room`."""
    prepare = preprocessing.Preprocessing(size=32, resize=32, squash=True, mean=(0,) * 3, std=(1,) * 3)
    whole, body.error, error = network.Network(name="small", body=body, prepare=prepare), "", body.error
    encoder = network.NetworkEncoder(whole, device="cpu", runtime="torch")
    body.error, body.room = error, body.room if room is None else room
    body.seen.clear()
    return pipeline.Pipeline(joined.Joined([encoder]), **options)


def means(outcomes: Any) -> list[int]:
    return [round(float(each.mean())) for each in outcomes]


def test_encode_many__what_the_device_has_no_room_for_goes_the_ordinary_way(decoder: pool.Decoder) -> None:
    body = Small(room=5)
    working = small(body, batch_size=8)
    shades = [*range(100, 200, 3)]
    sources = [file(Image.linear_gradient("L").point(lambda value, s=s: value // 8 + s)) for s in shades]

    found = means(working.encode_many(sources, decoder=decoder))

    assert found == means(ordinary.encode_many(working.encoder, sources, decoder=decoder))
    assert found == sorted(found)
    assert working.batch_size == 4
    body.seen.clear()
    assert means(working.encode_many(sources, decoder=decoder)) == found
    assert set(body.seen) == {4}


@pytest.mark.parametrize("error", ["cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "nan"])
def test_encode_many__what_the_device_fails_for_goes_the_ordinary_way(
    error: str, decoder: pool.Decoder, caplog: pytest.LogCaptureFixture
) -> None:
    body = Small(error=error, most=2)
    working = small(body, batch_size=8, at_once=2)
    sources = [file(pictures.scene())] * 18

    assert len(means(working.encode_many(sources, decoder=decoder))) == 18
    assert working.batch_size == 8
    assert sorted(set(body.seen)) == [2, 8]
    assert "cpu" in caplog.text


def test_encode_many__refuses_what_is_no_number_in_either_way(decoder: pool.Decoder) -> None:
    working = small(Small(error="nan"), batch_size=4)
    with pytest.raises(exceptions.EncoderError) as caught:
        list(working.encode_many([file(pictures.scene())] * 4, decoder=decoder))
    assert caught.value.code == "encoder_not_finite"


def test_encode_many__a_few_pictures_are_not_padded(decoder: pool.Decoder) -> None:
    body = Small()
    working = small(body, batch_size=32)
    scene = file(pictures.scene())

    assert len(list(working.encode_many([scene] * 3, decoder=decoder))) == 3
    assert body.seen == [3]
    assert len(list(working.encode_many([scene] * 40, decoder=decoder))) == 40
    assert body.seen == [3, 32, 32]


def test_encode_many__says_that_the_device_is_lost(decoder: pool.Decoder) -> None:
    working = small(Small(error="CUDA error: unspecified launch failure"), batch_size=4)
    with pytest.raises(exceptions.EncoderError) as caught:
        list(working.encode_many([file(pictures.scene())] * 9, decoder=decoder))
    assert caught.value.code == "encoder_device_lost"


@pytest.mark.parametrize("at_once", [True, False])
def test_pipeline__that_cannot_be_compiled_is_none(
    at_once: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, decoder: pool.Decoder
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("No C compiler.")

    monkeypatch.setattr(torch, "compile", fail if at_once else lambda *_, **__: fail)
    encoder = default("cpu")
    working = pipeline.Pipeline(encoder, batch_size=2, compiled=True)

    assert not working.compiled
    assert "No C compiler." in caplog.text
    assert len(list(working.encode_many([file(pictures.scene())] * 2, decoder=decoder))) == 2


def test_pipeline__is_compiled_in_the_size_that_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    body = Small(room=5)
    working = small(body, batch_size=16, compiled=True)
    assert (working.compiled, working.batch_size, body.seen) == (True, 4, [16, 8, 4])


def test_pipeline__without_room_to_compile_keeps_its_size(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    working = small(Small(room=1), room=0, batch_size=16, compiled=True)
    assert (working.compiled, working.batch_size) == (False, 16)
    assert "torch.compile fails for small" in caplog.text


def test_encode_many__what_is_compiled_and_fails_later_is_not_compiled_any_more(
    monkeypatch: pytest.MonkeyPatch, decoder: pool.Decoder
) -> None:
    broken: list[bool] = []

    def compiled(call: Any, **_: Any) -> Any:
        def run(batch: torch.Tensor) -> torch.Tensor:
            if broken:
                raise RuntimeError("No space left for what is compiled.")
            found: torch.Tensor = call(batch)
            return found

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    body = Small()
    working = small(body, batch_size=4, compiled=True)
    broken.append(True)
    sources = [file(pictures.scene())] * 8

    assert len(list(working.encode_many(sources, decoder=decoder))) == 8
    assert not working.compiled
    body.seen.clear()
    assert len(list(working.encode_many(sources, decoder=decoder))) == 8
    assert body.seen == [4, 4]


def test_encode_many__frees_what_it_had_made_before_it_gives_memory_back(
    monkeypatch: pytest.MonkeyPatch, decoder: pool.Decoder
) -> None:
    kept: list[Any] = []
    resized = resample.square

    def square(images: torch.Tensor, *options: Any, **named: Any) -> torch.Tensor:
        kept.append(weakref.ref(images))
        return resized(images, *options, **named)

    alive: list[bool] = []
    forget = resample.forget
    monkeypatch.setattr(resample, "square", square)
    monkeypatch.setattr(resample, "forget", lambda: (forget(), alive.append(any(each() is not None for each in kept))))
    working = small(Small(room=5), batch_size=8)

    def prepare(*arguments: Any) -> None:
        prepared(*arguments)
        raise torch.OutOfMemoryError

    prepared = working._prepare
    monkeypatch.setattr(working, "_prepare", prepare)

    assert len(list(working.encode_many([file(pictures.scene())] * 8, decoder=decoder))) == 8
    assert alive == [False]


def test_pipeline__says_that_the_device_is_lost_while_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda call, **_: call)
    with pytest.raises(exceptions.EncoderError) as caught:
        small(Small(error="CUDA error: unspecified launch failure"), batch_size=4, compiled=True)
    assert caught.value.code == "encoder_device_lost"


def test_pipeline__refuses_what_runs_on_something_else_than_torch() -> None:
    class Other(runtime.Runtime):
        pass

    body = Small()
    (encoder,) = small(body, batch_size=4).encoder.encoders
    assert isinstance(encoder, network.NetworkEncoder)
    encoder.runtime = Other(body, encoder.runtime.prepare, device="cpu", precision="float32")
    with pytest.raises(exceptions.EncoderError) as caught:
        pipeline.Pipeline(joined.Joined([encoder]))
    assert caught.value.code == "gpu_unsupported"


def test_pipeline__refuses_an_encoder_that_it_does_not_know() -> None:
    with pytest.raises(exceptions.EncoderError) as caught:
        pipeline.Pipeline(joined.Joined([tiny.TinyEncoder()]))
    assert caught.value.code == "gpu_unsupported"


@pytest.mark.parametrize("device", DEVICES)
def test_batch__what_the_device_refuses_is_decoded_elsewhere(device: str, decoder: pool.Decoder) -> None:
    # The header is in order and the data isn't, which only whoever decodes it can say.
    good = file(pictures.scene())
    middle = good.index(b"\xff\xda") + 40
    broken = good[:middle] + b"\xff\xd9"

    found = decode.batch([good, broken, good], device=torch.device(device), decoder=decoder)

    sizes = [item.pixels.shape if isinstance(item, decode.Decoded) else item.code for item in found]
    assert sizes[0] == sizes[2] == (3, *reversed(pictures.scene().size))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bad", [[37], [0, 63], list(range(64))])
def test_batch__only_what_the_device_refuses_is_left_to_the_cpu(device: str, bad: list[int]) -> None:
    class Noting(pool.Decoder):
        def decode_many(self, sources: Any, **options: Any) -> Any:
            asked.extend(sources)
            return iter([exceptions.BadImage()] * len(asked))

    asked: list[bytes] = []
    good = file(pictures.scene(64, 48))
    # The header is in order, and a table of codes isn't.
    table = good.index(b"\xff\xc4") + 5
    broken = good[:table] + b"\xff" * 16 + good[table + 16 :]
    sources = [broken if number in bad else good for number in range(64)]

    found = decode.batch(sources, device=torch.device(device), decoder=Noting())

    decoded = [number for number, item in enumerate(found) if isinstance(item, decode.Decoded)]
    assert asked == [broken] * len(bad)
    assert decoded == [number for number in range(64) if number not in bad]


def test_batch__a_device_that_refuses_all_is_asked_some_times_only(
    monkeypatch: pytest.MonkeyPatch, decoder: pool.Decoder
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(decode, "_together", lambda sources, device: asked.append(len(sources)) or [])
    found = decode.batch([file(pictures.scene(64, 48))] * 64, device=torch.device("cpu"), decoder=decoder)
    assert len(asked) == decode.MOST_REFUSALS
    assert all(isinstance(item, decode.Decoded) for item in found)


def test_batch__large_pictures_are_decoded_in_turns(monkeypatch: pytest.MonkeyPatch, decoder: pool.Decoder) -> None:
    monkeypatch.setattr(decode, "MOST_PIXELS", 1)
    found = decode.batch([file(pictures.scene())] * 3, device=torch.device("cpu"), decoder=decoder)
    assert len({item.pixels.shape for item in found if isinstance(item, decode.Decoded)}) == 1


def test_batch__limits_hold(decoder: pool.Decoder) -> None:
    small = limits.Limits(max_bytes=2**20, max_pixels=100)
    (found,) = decode.batch([file(pictures.scene())], device=torch.device("cpu"), decoder=decoder, limits=small)
    assert isinstance(found, exceptions.BadImage)
    assert found.code == "image_too_many_pixels"


@needs_cuda
def test_encode_many__bfloat16_on_cuda_changes_little(catalog_dir: Path, decoder: pool.Decoder) -> None:
    files = sorted((catalog_dir / "images").glob("*/*.jp*g"))[::3]
    sources = [each.read_bytes() for each in files]
    rough = joined.load(["efficientnet_lite0", "colour"], device="cuda")
    found = np.array(list(pipeline.Pipeline(rough, batch_size=32).encode_many(sources, decoder=decoder)))
    exact = joined.load([{"name": "efficientnet_lite0", "precision": "float32"}, "colour"], device="cpu")
    expected = np.array(list(ordinary.encode_many(exact, sources, decoder=decoder)))
    cosines = [cosine(one[:1280], other[:1280]) for one, other in zip(found, expected, strict=True)]
    assert min(cosines) >= 0.985
    assert np.median(cosines) >= 0.997
