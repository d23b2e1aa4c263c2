from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import factories
from visual_search import exceptions, models
from visual_search.encoders import base, tiny
from visual_search.indexing.generations import lifecycle
from visual_search.retrieval import answers, explanation
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db


class Bent(tiny.TinyEncoder):
    """Pool in another way than by the average, as a vision transformer does."""

    name = "bent"
    fingerprint = base.fingerprint(architecture="bent")

    def encode(self, images: Sequence[Image.Image]) -> base.Features:
        return super().encode(images) ** 3


def encoded_with(*encoders: str) -> None:
    """Make an index of `encoders` the live one."""
    index = lifecycle.create(encoders)
    factories.embed()
    index.refresh_from_db()
    lifecycle.activate(index, force=True)


@pytest.fixture
def shelf(embed: Any) -> dict[str, Any]:
    shelf = {
        colour: factories.product(pictures=[factories.picture(colour)]) for colour in ("crimson", "firebrick", "teal")
    }
    embed()
    return shelf


def test_explain__sums_to_the_similarity_of_the_search(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson"])
    for result in answers.answer(query).products:
        found = explanation.explain(query, result)

        # Stored vectors have half precision.
        assert found.similarity == pytest.approx(result.similarity, abs=2e-3)
        assert found.query.heat.sum() == pytest.approx(found.similarity)
        assert found.result.heat.sum() == pytest.approx(found.similarity)
        assert (found.part, found.query.heat.shape) == ("tiny", (4, 4))


def test_explain__names_both_pictures(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson"])
    rows = {row.product_id: row.image_key for row in models.ProductEmbedding.objects.all()}

    found = explanation.explain(query, shelf["teal"].pk)

    assert found.query.image is not None
    assert found.result.image is not None
    assert found.query.image.key == rows[shelf["crimson"].pk]
    assert found.result.image.key == rows[shelf["teal"].pk]
    assert found.result.picture.size == (96, 96)
    assert Image.open(io.BytesIO(found.result.overlay())).size == (96, 96)


def test_explain__takes_a_photo_and_a_part_of_it(shelf: dict[str, Any]) -> None:
    data = factories.picture("crimson")

    whole = explanation.explain(Query(photo=data), shelf["crimson"])
    part = explanation.explain(Query(terms=(Term(photo=data, region=(0, 0, 0.5, 1)),)), shelf["crimson"])

    assert whole.query.image is None
    assert whole.similarity == pytest.approx(1, abs=1e-3)
    assert part.query.picture.size == (48, 96)
    assert part.similarity < whole.similarity


def test_explain__reads_a_stream_once(shelf: dict[str, Any]) -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation("seek")

    found = explanation.explain(Query(photo=Stream(factories.picture("crimson"))), shelf["crimson"])

    assert found.query.picture.size == (96, 96)


def test_explain__says_which_half_is_alike(embed: Any) -> None:
    def two(left: str, right: str) -> bytes:
        image = Image.new("RGB", (96, 96), left)
        image.paste(Image.new("RGB", (48, 96), right), (48, 0))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()

    a = factories.product(pictures=[two("crimson", "black")])
    b = factories.product(pictures=[two("crimson", "navy")])
    embed()

    found = explanation.explain(Query(product=a), b)

    assert found.result.heat[:, :2].sum() > 2 * abs(found.result.heat[:, 2:].sum())
    assert np.isfinite(found.query.heat).all()


@pytest.mark.parametrize("who", ["itself", "unknown", "pending", "filtered"])
def test_explain__refuses_what_is_no_result(shelf: dict[str, Any], who: str) -> None:
    product, filters = shelf["teal"], {}
    if who == "itself":
        product = shelf["crimson"]
    elif who == "unknown":
        product = type(product)().pk or 0 if isinstance(product.pk, int) else type(product)()
    elif who == "pending":
        product = factories.product()
    else:
        filters = {"price": -1}

    with pytest.raises(exceptions.InvalidQuery) as caught:
        explanation.explain(Query(product=shelf["crimson"], filters=filters), product)

    assert caught.value.code == "product_not_found"


def test_explain__refuses_an_encoder_that_does_not_average_its_map(shelf: dict[str, Any]) -> None:
    encoded_with(f"{__name__}.Bent")

    with pytest.raises(exceptions.EncoderError) as caught:
        explanation.explain(Query(product=shelf["crimson"]), shelf["teal"])

    assert caught.value.code == "feature_map_unavailable"


def test_explain__takes_the_first_encoder_that_averages_its_map(shelf: dict[str, Any]) -> None:
    encoded_with(f"{__name__}.Bent", "tiny")

    assert explanation.explain(Query(product=shelf["crimson"]), shelf["teal"]).part == "tiny"


def test_explain__teaches_the_mean_of_photos_nothing(shelf: dict[str, Any]) -> None:
    learnt = models.PhotoMean.objects.get().count

    explanation.explain(Query(photo=factories.picture("crimson")), shelf["teal"])

    assert models.PhotoMean.objects.get().count == learnt


def test_explain__refuses_several_terms(shelf: dict[str, Any]) -> None:
    terms = tuple(Term(product=product) for product in shelf.values())

    with pytest.raises(exceptions.InvalidQuery):
        explanation.explain(Query(terms=terms), shelf["teal"])


def test_explain__says_so_where_a_picture_is_gone(shelf: dict[str, Any]) -> None:
    query = Query(product=shelf["crimson"])
    (result, *_) = answers.answer(query).products
    result.matched_image.file.storage.delete(result.matched_image.file.name)

    with pytest.raises(exceptions.BadImage) as caught:
        explanation.explain(query, result)

    assert caught.value.code == "image_missing"
