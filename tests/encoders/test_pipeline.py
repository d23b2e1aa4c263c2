from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from tests.images import pictures
from visual_search.encoders import base, pipeline, tiny
from visual_search.exceptions import BadImage
from visual_search.images import decode, pool

SCENES = [pictures.scene(40 + side, 60) for side in range(20)]


def test_encode_many__order_and_refusals() -> None:
    encoder = tiny.TinyEncoder()
    sources = [pictures.saved(scene) for scene in SCENES]
    sources[3:3] = [b"", b"GIF89a"]
    sources.append(b"\xff\xd8\xff")
    with pool.Decoder(processes=2) as decoder:
        found = list(pipeline.encode_many(encoder, sources, decoder=decoder, batch_size=4))
    refused = {place: item.code for place, item in enumerate(found) if isinstance(item, BadImage)}
    assert refused == {3: "image_empty", 4: "image_format", 22: "image_unreadable"}
    expected = encoder.encode([decode.decode(data, min_size=32) for data in sources if len(data) > 10])
    np.testing.assert_array_equal(np.stack([item for item in found if not isinstance(item, BadImage)]), expected)


def test_encode_many__nothing() -> None:
    with pool.Decoder(processes=1) as decoder:
        assert list(pipeline.encode_many(tiny.TinyEncoder(), [], decoder=decoder)) == []
        found = list(pipeline.encode_many(tiny.TinyEncoder(), [b"", b""], decoder=decoder))
    assert [type(item) for item in found] == [BadImage, BadImage]


def test_encode_many__decodes_while_it_encodes() -> None:
    read: list[int] = []
    progress: list[int] = []

    class Waiting(tiny.TinyEncoder):
        """Wait, in each batch, until pictures of the next one have been read."""

        def encode(self, images: Sequence[Image.Image]) -> base.Features:
            time.sleep(0.05)
            progress.append(len(read))
            return super().encode(images)

    def sources() -> Iterator[bytes]:
        for place, scene in enumerate(SCENES):
            read.append(place)
            yield pictures.saved(scene)

    with pool.Decoder(processes=1) as decoder:
        found = list(pipeline.encode_many(Waiting(), sources(), decoder=decoder, batch_size=5))
    assert len(found) == 20
    assert progress == [10, 15, 20, 20]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("visual-search-decode")]
