from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from example_shop import drawing
from example_shop.catalogue import rendering, seeding
from example_shop.catalogue.models import Product, ProductImage
from tests import factories
from visual_search.models import ProductChange


def run(**options: Any) -> list[str]:
    out = io.StringIO()
    call_command("seed_shop", per_kind=1, stdout=out, **options)
    return out.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw in this process and small: one test below has the real processes draw at full size."""

    def pictures(numbers: list[int], *, seed: int, products_per_kind: int) -> Any:
        catalogue = drawing.catalogue(seed, products_per_kind=products_per_kind)
        for number in numbers:
            buffer = io.BytesIO()
            catalogue[number].views[0].render(48).save(buffer, "JPEG")
            yield number, [buffer.getvalue()] * len(catalogue[number].views)

    monkeypatch.setattr(rendering, "pictures", pictures)


@pytest.mark.django_db
def test_seed__fills_the_shop_as_it_is_drawn_and_queues_it() -> None:
    catalogue = drawing.catalogue(7, products_per_kind=1)
    out = run()
    pictures = sum(len(product.views) for product in catalogue)
    assert out[-1] == f"Drew {len(catalogue)} products with {pictures} pictures."
    assert {
        (p.slug, p.name, p.description, p.category.name, p.brand, p.colour, p.price, p.stock)
        for p in Product.objects.select_related("category")
    } == {(d.slug, d.name, d.description, d.category, d.brand, d.colour, d.price, d.stock) for d in catalogue}
    first = Product.objects.get(slug=catalogue[0].slug)
    assert [picture.alt for picture in first.pictures] == [view.alt for view in catalogue[0].views]
    queued = set(ProductChange.objects.values_list("product_id", flat=True))
    assert queued == set(Product.objects.values_list("pk", flat=True))


@pytest.mark.django_db
def test_seed__a_second_time_does_nothing() -> None:
    run()
    before = list(Product.objects.order_by("pk").values_list("pk", flat=True))
    assert run() == ["All of the drawn products are there already. Nothing to do."]
    assert list(Product.objects.order_by("pk").values_list("pk", flat=True)) == before


@pytest.mark.django_db
def test_seed__goes_on_where_an_interrupted_run_stopped(settings: Any) -> None:
    numbers = seeding.missing(7, 1)

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seeding.fill(numbers, seed=7, products_per_kind=1, report=interrupt)
    assert Product.objects.count() == 3
    # A picture that was written for a product that was never saved.
    fourth = drawing.catalogue(7, products_per_kind=1)[numbers[3]]
    orphan = Path(settings.MEDIA_ROOT) / "products" / f"{fourth.slug}-{fourth.views[0].name}.jpg"
    orphan.write_bytes(b"half a picture")
    assert run()[-1].startswith(f"Drew {len(numbers) - 3} products")
    files = {path.name for path in Path(settings.MEDIA_ROOT).rglob("*.jpg")}
    assert files == {Path(name).name for name in ProductImage.objects.values_list("image", flat=True)}


@pytest.mark.django_db(transaction=True)
def test_seed__leaves_another_catalogue_alone_unless_told_to_flush() -> None:
    other = factories.product()
    assert run() == ["The shop has 1 products of another catalogue. --flush would replace them."]
    assert list(Product.objects.all()) == [other]
    old_file = Path(other.images.get().image.path)
    assert run(flush=True)[0] == "Removed 1 products."
    assert not Product.objects.filter(slug=other.slug).exists()
    assert not old_file.exists()


@pytest.mark.django_db
def test_seed__of_no_products() -> None:
    with pytest.raises(CommandError, match="--per-kind is 0; it has to be 1 or more"):
        call_command("seed_shop", per_kind=0)


def test_rendering__draws_in_processes_without_django() -> None:
    program = (
        "import sys\n"
        "from example_shop.catalogue import rendering\n"
        "if __name__ == '__main__':\n"
        "    for number, pictures in rendering.pictures([1, 0], seed=7, products_per_kind=1):\n"
        "        print(number, len(pictures), pictures[0][:3] == bytes.fromhex('ffd8ff'))\n"
        "    print('django.conf' in sys.modules)\n"
    )
    views = [len(product.views) for product in drawing.catalogue(7, products_per_kind=1)]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root, timeout=120
    )
    assert done.stdout.splitlines()[:2] == [f"1 {views[1]} True", f"0 {views[0]} True"]


def test_rendering__draws_jpegs_of_full_size() -> None:
    rendering._start(7, 1)
    try:
        pictures = rendering._draw(0)
        with Image.open(io.BytesIO(pictures[0])) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (800, 800))
    finally:
        rendering._products.clear()
