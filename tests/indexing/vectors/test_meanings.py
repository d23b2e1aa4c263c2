from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import override_settings

from tests import factories
from visual_search import models
from visual_search.encoders import sentences
from visual_search.indexing import reconciler
from visual_search.indexing.generations import lifecycle
from visual_search.indexing.sources import texts
from visual_search.indexing.vectors import meanings

pytestmark = [pytest.mark.django_db, pytest.mark.one_shop]

PACKAGED = sentences.PACKAGED


def using(name: str, **others: Any) -> Any:
    from django.conf import settings

    return override_settings(VISUAL_SEARCH={**settings.VISUAL_SEARCH, "TEXT_ENCODER": name, "DEVICE": "cpu", **others})


def fingerprint() -> str:
    return sentences.load(PACKAGED, device="cpu").fingerprint


def stored() -> list[tuple[Any, ...]]:
    rows = models.ProductText.objects.order_by("title")
    return list(rows.values_list("title", "fingerprint", "embedding"))


def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of what the encoder is asked from now on."""
    asked: list[str] = []
    real = sentences.SentenceEncoder.encode_text

    def encode_text(self: Any, said: Any) -> Any:
        asked.extend(said)
        return real(self, said)

    monkeypatch.setattr(sentences.SentenceEncoder, "encode_text", encode_text)
    return asked


def test_save__has_a_vector_of_what_it_means(embed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = encoded(monkeypatch)
    product = factories.product(name="boots")
    with using(PACKAGED):
        embed()
        ((title, made_by, vector),) = stored()
        assert (title, made_by, len(asked)) == ("boots", fingerprint(), 1)
        expected = sentences.load(PACKAGED, device="cpu").encode_text(list(asked))[0]
        np.testing.assert_allclose(vector, expected, atol=1e-3)

        # Another index, and a save that changes no word, need no encoder.
        product.save()
        lifecycle.create()
        embed()
        assert len(asked) == 2  # this test's own
        product.name = "sandals"
        product.save()
        embed()
    assert [said.split(".")[0] for said in asked[2:]] == ["sandals"]
    assert stored()[0][2] != vector


def test_save__without_an_encoder(embed: Any) -> None:
    factories.product(name="boots")
    embed()
    assert stored() == [("boots", "", None)]


def test_reconcile__finds_what_another_encoder_made(embed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = encoded(monkeypatch)
    factories.product(name="boots")
    factories.product(name="lamp")
    embed()
    with using(PACKAGED):
        assert reconciler.reconcile().queued == 2
        embed()
        assert [row[1] for row in stored()] == [fingerprint()] * 2
        assert reconciler.reconcile().queued == 0
        with using(PACKAGED, TEXT_CONFIG="simple"):
            assert reconciler.reconcile().queued == 2
            embed()
            assert all(row[2] is not None for row in stored())
    assert len(asked) == 4
    assert reconciler.reconcile().queued == 2
    embed()
    assert stored() == [("boots", "", None), ("lamp", "", None)]


def test_encoder__that_fails_keeps_nothing_from_its_pictures(
    embed: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with using(PACKAGED):
        kept, changed = factories.product(name="boots"), factories.product(name="lamp")
        embed()
        before = stored()

        def fail(self: Any, said: Any) -> Any:
            raise RuntimeError("no memory")

        with monkeypatch.context() as patched:
            patched.setattr(sentences.SentenceEncoder, "encode_text", fail)
            changed.name = "lantern"
            for product in (kept, changed):
                product.save()
            embed()
        assert meanings.FAILED in caplog.text
        # A vector of other words would be wrong; that of the same words may stay.
        assert stored() == [before[0], ("lantern", "", None)]
        assert models.ProductEmbedding.objects.filter(state="ready").count() == 2
        assert reconciler.reconcile().queued == 1
        embed()
        assert [row[1] for row in stored()] == [fingerprint()] * 2


def test_encoder__that_is_not_there_changes_nothing(embed: Any, tmp_path: Any) -> None:
    product = factories.product(name="boots")
    with using(PACKAGED):
        embed()
    before = stored()
    with using(str(tmp_path)):
        assert meanings.of(texts.of([product])) == meanings.Meanings(fingerprint=None)
        product.save()
        embed()
        assert reconciler.reconcile().queued == 0
    assert stored() == before
