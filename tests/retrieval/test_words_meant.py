"""Words and what they mean, with the real sentence encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.test import override_settings

from tests import factories
from visual_search import exceptions, models
from visual_search.encoders import sentences
from visual_search.indexing.sources import texts
from visual_search.indexing.vectors import meanings
from visual_search.retrieval import answers, fusion, live, words
from visual_search.retrieval import gate as gates
from visual_search.retrieval.query import Query, Term

pytestmark = pytest.mark.django_db

NAMES = ["trail running shoes", "leather sneakers", "copper kettle", "electric shaver", "gift card"]


@pytest.fixture
def shelf() -> Iterator[dict[str, Any]]:
    from django.conf import settings

    wanted = {**settings.VISUAL_SEARCH, "TEXT_ENCODER": sentences.PACKAGED, "DEVICE": "cpu"}
    with override_settings(VISUAL_SEARCH=wanted):
        products = {name: factories.product(name=name) for name in NAMES}
        factories.embed()
        yield products


def names(query: Query) -> list[str]:
    return [product.name for product in answers.answer(query).products]


def alike(said: str, *, limit: int = 10, **options: Any) -> list[Any]:
    without = options.pop("without", ())
    gate = gates.of(Query(words=said, **options))
    return words.alike(models.SearchIndex.objects.live(), said, gate=gate, without=without, limit=limit)


def test_answer__products_that_mean_it_in_other_words(shelf: dict[str, Any]) -> None:
    assert names(Query(words="footwear for jogging"))[0] == "trail running shoes"
    assert set(names(Query(words="footwear"))) == {"trail running shoes", "leather sneakers"}
    assert names(Query(words="mortgage")) == []


def test_answer__words_that_are_there_come_first(shelf: dict[str, Any]) -> None:
    found = names(Query(words="sneakers"))
    assert found[0] == "leather sneakers"
    assert "trail running shoes" in found


def test_alike__order_is_that_of_the_vectors(shelf: dict[str, Any]) -> None:
    rows = dict(models.ProductText.objects.values_list("product_id", "embedding"))
    asked = sentences.load(sentences.PACKAGED, device="cpu").encode_text(["something to put on my feet"])[0]
    cosines = {key: float(np.asarray(vector) @ asked) for key, vector in rows.items()}
    expected = [key for key in sorted(cosines, key=lambda key: -cosines[key]) if cosines[key] >= words.LEAST_ALIKE]
    assert 0 < len(expected) < len(NAMES)
    assert alike("something to put on my feet") == expected
    assert alike("something to put on my feet", limit=1) == expected[:1]
    assert alike("something to put on my feet", without=expected[:1]) == expected[1:]


def test_alike__passes_the_gate(shelf: dict[str, Any]) -> None:
    shoes = shelf["trail running shoes"]
    queryset = type(shoes).objects.exclude(pk=shoes.pk)
    assert alike("footwear", queryset=queryset) == [shelf["leather sneakers"].pk]
    assert alike("footwear", queryset=queryset.none()) == []
    looks_away = Query(terms=(Term(words="footwear"), Term(words="leather", weight=-1)))
    assert names(looks_away) == ["trail running shoes"]


@pytest.mark.parametrize("said", ['"running footwear"', "footwear -leather", "-leather footwear"])
def test_alike__words_that_spell_out_what_has_to_be_there(said: str, shelf: dict[str, Any]) -> None:
    assert alike(said) == []
    assert alike("half-leather footwear") != []


def test_alike__vectors_of_another_encoder_do_not_count(shelf: dict[str, Any]) -> None:
    models.ProductText.objects.filter(product=shelf["trail running shoes"]).update(fingerprint="f" * 64)
    assert alike("footwear") == [shelf["leather sneakers"].pk]


def test_alike__index_that_is_no_longer_live(shelf: dict[str, Any]) -> None:
    gate = gates.of(Query(words="footwear"))
    with pytest.raises(live.Changed):
        words.alike(models.SearchIndex(pk=10_000), "footwear", gate=gate, without=(), limit=5)


def test_encoder__that_fails_leaves_the_full_text(
    shelf: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any, said: Any) -> Any:
        raise exceptions.EncoderUnavailable

    monkeypatch.setattr(sentences.SentenceEncoder, "encode_text", fail)
    assert names(Query(words="leather")) == ["leather sneakers"]
    assert meanings.FAILED in caplog.text


def test_fusion__is_that_of_the_two_rankings(shelf: dict[str, Any]) -> None:
    index, query = models.SearchIndex.objects.live(), Query(words="leather footwear for running")
    gate = gates.of(query)
    said = words.products(index, str(query.words), gate=gate, without=(), limit=100)
    meant = alike(str(query.words), limit=100)
    found = fusion.products(index, query, gate=gate, target=None, limit=5)
    scores = fusion.reciprocal_ranks([(1.0, said), (1.0, meant)])
    assert [match.product for match in found.matches] == fusion.in_order(scores)[:5]
    assert max(found.relevance.values()) <= 1


def test_write__many_texts_fill_pages_behind_a_narrow_gate() -> None:
    from django.conf import settings

    with override_settings(
        VISUAL_SEARCH={**settings.VISUAL_SEARCH, "TEXT_ENCODER": sentences.PACKAGED, "DEVICE": "cpu"}
    ):
        products = [factories.product(name=f"thing {number}", pictures=[]) for number in range(300)]
        asked = sentences.load(sentences.PACKAGED, device="cpu").encode_text(["thing"])[0]
        noise = np.random.default_rng(1).normal(size=(300, 384)).astype(np.float32) * 0.03
        vectors = {product.pk: vector for product, vector in zip(products, asked + noise, strict=True)}
        texts.write(
            texts.of(products),
            vectors=vectors,
            fingerprint=sentences.load(sentences.PACKAGED, device="cpu").fingerprint,
        )
        last = products[-20:]
        queryset = type(last[0]).objects.filter(pk__in=[product.pk for product in last])
        gate = gates.of(Query(words="thing", queryset=queryset))
        found = words.alike(None, "thing", gate=gate, without=(), limit=20)
    assert set(found) == {product.pk for product in last}
