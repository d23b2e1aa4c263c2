"""Words through an encoder that puts them into the space of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from tests import factories
from visual_search import exceptions, models
from visual_search.encoders import base
from visual_search.indexing.generations import lifecycle
from visual_search.retrieval import answers, live, targets
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

ENCODER = "tests.retrieval.test_words_encoded.ColourWords"


class ColourWords:
    """Put a picture at its mean colour, and words at the colours that they name."""

    name = "colour words"
    dimensions = 3
    input_size = 32
    fingerprint = base.fingerprint(architecture="colour words")

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        pixels = [np.asarray(image.convert("RGB"), np.float32).reshape(-1, 3) for image in images]
        # White is the ground that the thing lies on.
        return np.array([1 - each.mean(axis=0) / 255 for each in pixels], np.float32).reshape(-1, 3)

    def encode_text(self, texts: Sequence[str]) -> base.Features:
        return np.array(
            [1 - np.mean([ImageColor.getrgb(w) for w in t.split()], axis=0) / 255 for t in texts], np.float32
        )


@pytest.fixture(params=[[ENCODER], ["tiny", ENCODER]], ids=["alone", "beside another"])
def shelf(request: Any) -> dict[str, Any]:
    colours = ("crimson", "seagreen", "royalblue", "goldenrod")
    products = {
        colour: factories.product(name=colour[::-1], pictures=[factories.picture(colour)]) for colour in colours
    }
    lifecycle.create(request.param)
    factories.embed()
    live.keep(None)
    return products


def looked(*terms: Term) -> list[Any]:
    return answers.answer(Query(terms=terms)).products


def test_index__says_whether_it_knows_words(shelf: dict[str, Any]) -> None:
    index = models.SearchIndex.objects.live()

    assert [part["name"] for part in index.parts if part.get("text")] == ["colour words"]
    assert targets.terms(index, Query(words="crimson")) == [Term(words="crimson")]


@pytest.mark.parametrize("colour", ["crimson", "seagreen", "royalblue", "goldenrod"])
def test_words__find_what_looks_so_whatever_it_is_called(shelf: dict[str, Any], colour: str) -> None:
    answer = answers.answer(Query(words=colour))

    assert answer.products[0] == shelf[colour]
    assert len(answer.products) == 4
    assert answer.kind == "text"
    assert answer.products[0].matched_image is not None
    share = sum(part["share"] for part in models.SearchIndex.objects.live().parts if part.get("text"))
    assert answer.products[0].similarity == pytest.approx(share, abs=0.02)


def test_words__are_fused_with_what_is_called_so(shelf: dict[str, Any]) -> None:
    called = shelf["goldenrod"]
    called.name = "crimson"
    called.save()
    factories.embed()

    assert answers.answer(Query(words="crimson", limit=2)).products[0] in (called, shelf["crimson"])
    assert called in answers.answer(Query(words="crimson", limit=2)).products


def test_words__mix_with_pictures(shelf: dict[str, Any]) -> None:
    photo = Term(photo=factories.picture("crimson"), weight=0.1)

    assert looked(photo, Term(words="royalblue"))[0] == shelf["royalblue"]
    assert looked(Term(words="crimson", weight=0.1), Term(product=shelf["goldenrod"].pk))


def test_negative_words__look_away(shelf: dict[str, Any]) -> None:
    assert (
        looked(Term(product=shelf["goldenrod"].pk, weight=0.2), Term(words="crimson", weight=-1))[-1]
        == shelf["crimson"]
    )


def test_words__with_other_weights_than_the_index_has_say_so(shelf: dict[str, Any]) -> None:
    models.SearchIndex.objects.update(fingerprint="0" * 64)
    live.keep(None)

    with pytest.raises(exceptions.EncoderUnavailable):
        looked(Term(words="crimson"))
