from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests import factories
from visual_search import models
from visual_search.encoders import base, joined, tiny
from visual_search.encoders.gpu import pipeline
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.vectors import encoding

pytestmark = [pytest.mark.django_db, pytest.mark.one_shop]


@dataclasses.dataclass
class Own(tiny.TinyEncoder):
    """A shop's own encoder, compared by its fields, and so without a hash."""

    name: str = "own"


ENCODERS = [{"name": "efficientnet_lite0", "size": 64, "precision": "float32"}, "colour"]


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch, settings: Any) -> list[int]:
    """Take the CPU for a GPU, and note how many pictures each call of its pipeline had."""
    counts: list[int] = []
    encode_many = pipeline.Pipeline.encode_many

    def noted(self: Any, sources: Any, **options: Any) -> Any:
        listed = list(sources)
        counts.append(len(listed))
        return encode_many(self, listed, **options)

    monkeypatch.setattr(pipeline.Pipeline, "encode_many", noted)
    monkeypatch.setattr(encoding, "GPUS", ("cpu",))
    monkeypatch.setattr(pipeline, "FEW", 128)  # one picture fills a batch well enough
    settings.VISUAL_SEARCH = {
        **settings.VISUAL_SEARCH,
        "ENCODERS": ENCODERS,
        "DEVICE": "cpu",
        "RUNTIME": "torch",
        "GPU_PIPELINE": "eager",
    }
    monkeypatch.setattr(encoding, "_pipelines", {})
    return counts


def vectors() -> dict[Any, Any]:
    return {row.product_id: np.array(row.embedding) for row in models.ProductEmbedding.objects.filter(state="ready")}


def test_encode__of_the_worker_takes_the_gpus_pipeline(on_gpu: list[int], settings: Any, embed: Any) -> None:
    sources = [factories.picture(colour, size=120, kind="JPEG") for colour in ("crimson", "teal", "gold", "navy")]
    products = [factories.product(pictures=[data]) for data in sources]
    bad = factories.product(pictures=[b"no picture"])
    embed()

    found = vectors()
    assert sum(on_gpu) >= 5
    assert found.keys() == {product.pk for product in products}
    assert models.ProductEmbedding.objects.get(product=bad.pk).error_code == "image_format"

    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "GPU_PIPELINE": "off"}
    on_gpu.clear()
    models.ProductEmbedding.objects.all().delete()
    lifecycle.create(ENCODERS)
    embed()
    assert not on_gpu
    for key, vector in vectors().items():
        assert vector @ found[key] > 0.99 * np.linalg.norm(vector) * np.linalg.norm(found[key])


def test_encode__without_a_gpu_goes_the_ordinary_way(
    on_gpu: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, embed: Any
) -> None:
    monkeypatch.setattr(encoding, "GPUS", ("cuda",))
    factories.product(pictures=[factories.picture("teal")])
    embed()
    assert len(vectors()) == 1
    assert not on_gpu
    assert "is on no GPU" in caplog.text


def test_encode__with_an_encoder_that_the_gpus_pipeline_does_not_know(
    on_gpu: list[int], settings: Any, caplog: pytest.LogCaptureFixture, embed: Any
) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tiny"]}
    factories.product(pictures=[factories.picture("teal")])
    embed()
    assert len(vectors()) == 1
    assert not on_gpu
    assert "the ordinary one runs it" in caplog.text


def test_encode__with_an_encoder_that_has_no_hash(on_gpu: list[int], settings: Any, embed: Any) -> None:
    settings.VISUAL_SEARCH = {**settings.VISUAL_SEARCH, "ENCODERS": ["tests.indexing.vectors.test_encoding.Own"]}
    factories.product(pictures=[factories.picture("teal")])
    embed()
    assert len(vectors()) == 1


def test_encode__compiles_nothing_without_a_gpu(on_gpu: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "GPUS", ("cuda",))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    encoder = joined.load(ENCODERS, device="cpu", runtime="torch")
    assert encoding._on_gpu(encoder, "compiled", 32) is None


def test_encode__makes_one_pipeline_of_the_same_encoders(on_gpu: list[int]) -> None:
    one, other = (joined.load(ENCODERS, device="cpu", runtime="torch") for _ in range(2))
    found = encoding._on_gpu(one, "eager", 32)
    assert one is not other
    assert found is encoding._on_gpu(other, "eager", 32) is not None
    for size in range(9):
        encoding._on_gpu(one, "eager", size)
    assert len(encoding._pipelines) == encoding.PIPELINES_KEPT


def test_encode__closes_its_sources_though_somebody_keeps_its_error() -> None:
    class Failing(tiny.TinyEncoder):
        def encode(self, images: Sequence[Image.Image]) -> base.Features:
            raise RuntimeError("It fails.")

    closed = []

    def sources() -> Generator[bytes]:
        try:
            while True:
                yield factories.picture("teal")
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="It fails") as caught:
        list(encoding.encode(joined.Joined([Failing()]), sources()))

    assert closed
    assert caught.value.__traceback__ is not None
