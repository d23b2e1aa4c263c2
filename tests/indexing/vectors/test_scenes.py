"""With the real encoder: what is in a scene is found, and nothing else is confused by it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from example_shop import drawing
from tests import factories
from visual_search.encoders import regions
from visual_search.indexing import reconciler
from visual_search.indexing.generations import gate
from visual_search.indexing.vectors import embedding, measures
from visual_search.models import ProductEmbedding
from visual_search.retrieval import answers, explanation
from visual_search.retrieval.query import Query

pytestmark = [pytest.mark.django_db, pytest.mark.one_shop]

PLACES = {"Sneakers": (20, 30), "Teapots": (370, 40), "Watches": (190, 330)}
OTHERS = ("Handbags", "Sunglasses")
SIDE = 250


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    found = {product.category: product for product in drawing.catalogue(3, products_per_kind=1)}
    return {kind: found[kind] for kind in (*PLACES, *OTHERS)}


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def scene(drawn: dict[str, Any]) -> bytes:
    canvas = Image.new("RGB", (640, 600), "white")
    for kind, place in PLACES.items():
        canvas.paste(drawn[kind].views[0].render(SIDE), place)
    return png(canvas)


def shop(settings: Any, drawn: dict[str, Any], **changes: Any) -> Any:
    """Return the product whose picture is the scene, among those that aren't on it."""
    settings.VISUAL_SEARCH = {
        **settings.VISUAL_SEARCH,
        "ENCODERS": [{"name": "efficientnet_lite0", "precision": "float32"}, "colour"],
        **changes,
    }
    for kind in OTHERS:
        factories.product(pictures=[png(view.render(256)) for view in drawn[kind].views[:2]])
    found = factories.product(pictures=[scene(drawn)])
    factories.embed()
    return found


def asked(drawn: dict[str, Any], kind: str) -> list[Any]:
    photo = png(drawn[kind].views[0].render(256))
    return answers.answer(Query(photo=photo, limit=20)).products


def test_photo__finds_what_is_in_a_scene(settings: Any, drawn: dict[str, Any]) -> None:
    product = shop(settings, drawn, REGIONS=4)

    found = {kind: asked(drawn, kind)[0] for kind in PLACES}
    for kind, (left, top) in PLACES.items():
        place = (left / 640, top / 600, (left + SIDE) / 640, (top + SIDE) / 600)
        assert found[kind].pk == product.pk
        assert regions.overlap(found[kind].matched_region, place) > 0.3
        assert found[kind].matched_image.key == str(product.images.get().pk)

    ProductEmbedding.objects.exclude(region=[]).delete()
    for kind in PLACES:
        (whole,) = [each for each in asked(drawn, kind) if each.pk == product.pk]
        assert whole.matched_region is None
        assert whole.similarity < found[kind].similarity - 0.05


def test_embed__looks_for_nothing_unless_told_to(settings: Any, drawn: dict[str, Any]) -> None:
    shop(settings, drawn)

    assert ProductEmbedding.objects.filter(region=[]).count() == ProductEmbedding.objects.count() == 5


def test_regions__come_and_go_with_their_picture(settings: Any, drawn: dict[str, Any], monkeypatch: Any) -> None:
    product = shop(settings, drawn, REGIONS=4)
    index = ProductEmbedding.objects.filter(product=product).first().index  # type: ignore[union-attr]
    rows = ProductEmbedding.objects.filter(product=product).order_by("region")
    before = list(rows.values_list("pk", "image_key", "region", "position", "updated_at"))
    assert 3 <= len(before) <= 5
    assert before[0][2] == []

    # What is the same is neither encoded nor written again.
    assert product.pk in embedding.run(index, [product.pk]).untouched
    image = product.images.get()
    image.position = 4
    image.save()
    factories.embed()
    after = list(rows.values_list("pk", "image_key", "region"))
    assert after == [row[:3] for row in before]
    assert set(rows.values_list("position", flat=True)) == {0}
    assert reconciler.reconcile().queued == 0

    image.image.save("plain.png", io.BytesIO(factories.picture()))
    factories.embed()
    assert rows.values("source_sha256").distinct().count() == 1
    assert not {tuple(row[2]) for row in before[1:]} & set(map(tuple, rows.values_list("region", flat=True)))
    assert rows.filter(region=[]).exists()


def test_similar__asks_with_the_whole_picture(settings: Any, drawn: dict[str, Any]) -> None:
    product = shop(settings, drawn, REGIONS=4)

    def found() -> list[tuple[Any, float]]:
        return [(each.pk, each.similarity) for each in answers.answer(Query(product=product.pk, limit=20)).products]

    before = found()
    assert len(before) == len(OTHERS)
    ProductEmbedding.objects.filter(product=product).exclude(region=[]).delete()
    assert found() == before


def test_gate__counts_no_region_as_another_picture(settings: Any, drawn: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(measures, "LEAST_PAIRS", 1)
    product = shop(settings, drawn, REGIONS=4)
    index = ProductEmbedding.objects.get(product=product, region=[]).index

    asked = gate._with_siblings(index, None, 100)

    # Those with two pictures; the scene has one.
    assert len(asked) == 2 * (len(OTHERS))
    assert product.pk not in {key for key, _ in asked}
    assert gate.evaluate(index).coverage == 1


def test_explain__looks_at_what_was_found(settings: Any, drawn: dict[str, Any]) -> None:
    product = shop(settings, drawn, REGIONS=4)
    query = Query(photo=png(drawn["Teapots"].views[0].render(256)))

    part = explanation.explain(query, product.pk)
    ProductEmbedding.objects.exclude(region=[]).delete()
    whole = explanation.explain(query, product.pk)

    assert part.similarity > whole.similarity + 0.05
    assert part.result.picture.width < whole.result.picture.width * 2 / 3
