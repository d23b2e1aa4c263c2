from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from example_shop.catalogue import importing
from example_shop.catalogue.models import Category, Product, ProductImage, Variant
from tests import factories
from visual_search.models import ProductChange

HEADER = "shop,product,sku,name,description,price,category,brand,colour,tags\n"
PRODUCTS = HEADER + (
    'home,kettle,KETTLE,Copper Kettle,"Sings, softly.",,Kitchen -> Kettles,Ember,,\n'
    "home,kettle,KETTLE-BLACK,Copper Kettle,,49.99,Kitchen -> Kettles,Ember,Black,\n"
    "home,kettle,KETTLE-WHITE,Copper Kettle,,54.99,Kitchen -> Kettles,Ember,White,\n"
    "home,kettle,KETTLE-BLACK,Copper Kettle,,44.99,Kitchen -> Kettles,Ember,,\n"
    "farm,p1,p1,Pear,,,Fruit/Pear > Pear,,,\n"
    "farm,p2,p2,Camp kettle,,12.5,Outdoor -> Kettles,,,\n"
)
IMAGES = (
    "shop,product,sku,image,position\n"
    "home,kettle,KETTLE-BLACK,images/black.png,2\n"
    "home,kettle,KETTLE,images/front.png,0\n"
    "farm,p1,p1,images/lost.png,0\n"
    "farm,p2,p2,images/camp.png,0\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    (folder / "images").mkdir(parents=True)
    for name, colour in {"black": "black", "front": "chocolate", "camp": "teal"}.items():
        (folder / "images" / f"{name}.png").write_bytes(factories.picture(colour))
    (folder / "products.csv").write_text(PRODUCTS)
    (folder / "images.csv").write_text(IMAGES)
    return folder


def run(folder: Path, **options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("import_catalog", folder, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def files(settings: Any) -> set[str]:
    return {path.name for path in Path(settings.MEDIA_ROOT).rglob("*.*")}


@pytest.mark.django_db
def test_import__brings_products_variants_and_pictures(folder: Path) -> None:
    out, err = run(folder)
    assert out.splitlines()[-1] == "Imported 3 products with 3 pictures, in place of 0 products."
    assert err == f"Skipped the picture images/lost.png: there is no such file in {folder}.\n"
    assert list(Product.objects.order_by("pk").values_list("slug", "name", "brand", "price", "category__slug")) == [
        ("kettle", "Copper Kettle", "Ember", Decimal("44.99"), "kettles"),
        ("p1", "Pear", "", None, "pear"),
        ("p2", "Camp kettle", "", Decimal("12.50"), "outdoor-kettles"),
    ]
    assert set(Category.objects.values_list("name", flat=True)) == {"Kettles", "Pear"}
    assert list(Variant.objects.values_list("product__slug", "sku", "colour", "price")) == [
        ("kettle", "KETTLE-BLACK", "Black", Decimal("44.99")),
        ("kettle", "KETTLE-WHITE", "White", Decimal("54.99")),
    ]
    kettle = Product.objects.get(slug="kettle")
    assert [(picture.alt, picture.position) for picture in kettle.pictures] == [
        ("Copper Kettle", 0),
        ("Copper Kettle, Black", 1),
    ]
    with kettle.pictures[0].image.open() as file:
        assert file.read() == factories.picture("chocolate")
    assert kettle.stock == sum(kettle.variants.values_list("stock", flat=True))


@pytest.mark.django_db
def test_import__queues_its_products_for_visual_search(folder: Path) -> None:
    run(folder)
    queued = set(ProductChange.objects.values_list("product_id", flat=True))
    assert queued == set(Product.objects.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_import__replaces_all_and_removes_the_old_files(folder: Path, settings: Any) -> None:
    old = factories.product()
    old_file = Path(old.images.get().image.path)
    assert old_file.exists()
    run(folder)
    out, _ = run(folder)
    assert out.splitlines()[-1] == "Imported 3 products with 3 pictures, in place of 3 products."
    assert not old_file.exists()
    assert files(settings) == {Path(name).name for name in ProductImage.objects.values_list("image", flat=True)}
    assert not Category.objects.filter(name="Things").exists()


@pytest.mark.django_db(transaction=True)
def test_import__that_fails_changes_nothing(folder: Path, settings: Any) -> None:
    old = factories.product()
    before = files(settings)
    listing = importing.read(folder)

    def fail(done: int, total: int) -> None:
        if done == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        importing.replace(listing, report=fail)
    assert list(Product.objects.all()) == [old]
    assert files(settings) == before


@pytest.mark.django_db
def test_import__of_one_shop(folder: Path) -> None:
    run(folder, shop="home")
    assert list(Product.objects.values_list("slug", flat=True)) == ["kettle"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("products", "images", "options", "message"),
    [
        (None, IMAGES, {}, "There is no products.csv in "),
        (PRODUCTS, None, {}, "There is no images.csv in "),
        (
            PRODUCTS.replace("colour", "hue"),
            IMAGES,
            {},
            "products.csv lacks the column colour. It needs: shop, product",
        ),
        (PRODUCTS, IMAGES.replace("image,", "file,"), {}, "images.csv lacks the column image."),
        (PRODUCTS, IMAGES, {"shop": "street"}, "There is no shop 'street' in products.csv. It has: farm, home."),
        (HEADER, IMAGES, {}, "products.csv names no product."),
        (PRODUCTS.replace("49.99", "cheap"), IMAGES, {}, "products.csv, line 3: 'cheap' is no price."),
        (PRODUCTS.replace("49.99", "NaN"), IMAGES, {}, "products.csv, line 3: 'NaN' is no price."),
        (PRODUCTS.replace("49.99", "-1"), IMAGES, {}, "products.csv, line 3: '-1' is no price."),
        (PRODUCTS.replace("Pear,,,", ",,,"), IMAGES, {}, "products.csv, line 6: the column name is empty."),
        (PRODUCTS.replace("p1,p1", "p 1,p1"), IMAGES, {}, "products.csv, line 6: 'p 1' is no slug."),
        (PRODUCTS.replace("farm,p1", "farm,kettle"), IMAGES, {}, "Product 'kettle' is in the shops home and farm."),
        (
            PRODUCTS,
            IMAGES.replace("png,2", "png,second"),
            {},
            "images.csv, line 2: the position 'second' is no number.",
        ),
    ],
)
def test_import__of_a_bad_catalogue(
    folder: Path, products: str | None, images: str | None, options: dict[str, str], message: str
) -> None:
    kept = factories.product(pictures=[])
    for name, text in {"products.csv": products, "images.csv": images}.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)
    with pytest.raises(CommandError) as caught:
        run(folder, **options)
    assert str(caught.value).startswith(message)
    assert list(Product.objects.all()) == [kept]


def test_read__of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(importing.BadCatalogue, match=r"There is no folder .*/nowhere"):
        importing.read(tmp_path / "nowhere")


def test_read__of_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "products.csv").write_bytes(b"\xff\xfe\x00shop")
    with pytest.raises(importing.BadCatalogue, match=r"products\.csv is not a csv file in UTF-8"):
        importing.read(folder)


def test_read__takes_no_picture_from_outside_the_folder(folder: Path) -> None:
    (folder.parent / "secret.png").write_bytes(factories.picture())
    (folder / "images.csv").write_text(IMAGES.replace("images/camp.png", "../secret.png"))
    assert importing.read(folder).missing == ["images/lost.png", "../secret.png"]


def test_believable_stock__is_the_same_each_time_and_sometimes_nothing() -> None:
    stocks = [importing.believable_stock(f"SKU-{number}") for number in range(900)]
    assert stocks == [importing.believable_stock(f"SKU-{number}") for number in range(900)]
    assert (min(stocks), max(stocks)) == (0, 40)
    assert 60 <= stocks.count(0) <= 140
