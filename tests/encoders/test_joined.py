from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.images import pictures
from visual_search.encoders import base, joined, tiny
from visual_search.exceptions import EncoderError


class Words(tiny.TinyEncoder):
    """An encoder that knows words: each is as long as its letters."""

    name = "words"
    fingerprint = base.fingerprint(architecture="words")

    def encode_text(self, texts: Sequence[str]) -> base.Features:
        return np.array([[len(text)] * self.dimensions for text in texts], np.float32).reshape(-1, self.dimensions)


def test_joined__side_by_side() -> None:
    both = joined.load(["tiny", "tests.encoders.test_joined.Words"])
    scenes = [pictures.scene(40, 60), pictures.scene(60, 40)]
    expected = tiny.TinyEncoder().encode(scenes)
    assert (both.name, both.parts, both.dimensions, both.input_size) == ("tiny + words", (64, 64), 128, 32)
    np.testing.assert_array_equal(both.encode(scenes), np.hstack([expected, expected]))
    assert both.fingerprint != joined.load(["tests.encoders.test_joined.Words", "tiny"]).fingerprint


def test_encode_text__zeros_where_a_part_knows_no_words() -> None:
    both = joined.load(["tiny", "tests.encoders.test_joined.Words"])
    assert both.has_text
    found = both.encode_text(["mug", "kettle"])
    assert (found.dtype, found.shape) == (np.float32, (2, 128))
    assert found[:, [0, 63, 64, 127]].tolist() == [[0, 0, 3, 3], [0, 0, 6, 6]]
    assert both.encode_text([]).shape == (0, 128)


def test_encode_text__no_part_knows_words() -> None:
    alone = joined.load(["tiny"])
    assert not alone.has_text
    with pytest.raises(EncoderError) as raised:
        alone.encode_text(["mug"])
    assert raised.value.code == "text_unavailable"
