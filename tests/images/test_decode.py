from __future__ import annotations

import random
import struct
import time
import warnings

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from tests.images import pictures
from visual_search.exceptions import BadImage
from visual_search.images import decode, limits

SCENE = pictures.scene()
HOSTILE = pictures.hostile()


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference, 0..255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize("name", pictures.variants(SCENE))
def test_decode__each_way_to_store_a_picture(name: str) -> None:
    image = decode.decode(pictures.variants(SCENE)[name])
    assert (image.mode, image.size) == ("RGB", SCENE.size)
    # CMYK and a palette of 256 lose colours; JPEG blurs edges; a wrong turn or frame costs 30 and more.
    assert difference(image, SCENE) < (8 if name == "cmyk" else 3)


@pytest.mark.parametrize("name", HOSTILE)
def test_decode__hostile_file_has_its_code(name: str) -> None:
    data, code = HOSTILE[name]
    start = time.process_time()
    with pytest.raises(BadImage) as raised:
        decode.decode(data)
    assert raised.value.code == code
    assert time.process_time() - start < 0.5
    assert raised.value.__cause__ is None


def test_decode__file_over_the_limit() -> None:
    with pytest.raises(BadImage, match="larger than 10 MB") as raised:
        decode.decode(bytes(limits.UPLOAD.max_bytes + 1))
    assert raised.value.code == "image_too_large"


def test_decode__sixteen_bits_are_scaled() -> None:
    assert difference(decode.decode(pictures.grey16(SCENE)), SCENE.convert("L").convert("RGB")) < 0.01


def test_decode__bilevel_and_grey() -> None:
    for mode in ("1", "L"):
        assert (
            decode.decode(pictures.saved(SCENE.convert(mode))).tobytes() == SCENE.convert(mode).convert("RGB").tobytes()
        )


@pytest.mark.parametrize(
    "kind", ["RGBA", "LA", "palette", "grey key", "colour key", "grey key of 16 bits", "colour key of 16 bits"]
)
def test_decode__transparency_is_white(kind: str) -> None:
    clear = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    clear.paste((200, 30, 30, 255), (40, 40, 60, 60))
    opaque = Image.new("RGB", clear.size, (7, 8, 9))
    opaque.paste((200, 30, 30), (40, 40, 60, 60))
    data = {
        "RGBA": lambda: pictures.saved(clear),
        "LA": lambda: pictures.saved(clear.convert("LA")),
        "palette": lambda: pictures.saved(clear.quantize(8)),
        "grey key": lambda: pictures.saved(clear.convert("RGB").convert("L"), transparency=0),
        "colour key": lambda: pictures.saved(clear.convert("RGB"), transparency=(0, 0, 0)),
        "grey key of 16 bits": lambda: pictures.grey16(opaque, key=257 * 8),
        "colour key of 16 bits": lambda: pictures.colour16(opaque, key=(256 * 7, 256 * 8, 256 * 9)),
    }[kind]()
    image = decode.decode(data)
    assert image.getpixel((5, 5)) == (255, 255, 255)
    assert image.getpixel((50, 50)) != (255, 255, 255)


def test_decode__reduced_transparency_has_no_dark_rim() -> None:
    clear = Image.new("RGBA", (800, 800), (0, 0, 0, 0))
    clear.paste((255, 200, 200, 255), (201, 201, 599, 599))
    darkest = min(low for low, _ in decode.decode(pictures.saved(clear), min_size=50).getextrema())
    assert darkest >= 199


def test_decode__profile_of_another_space_is_converted() -> None:
    # sRGB with its red and green columns exchanged: what is stored as red is meant as green.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in range(struct.unpack_from(">I", profile, 128)[0]):
        place = 132 + 12 * tag
        swap = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
        profile[place : place + 4] = swap.get(bytes(profile[place : place + 4]), profile[place : place + 4])
    red = Image.new("RGB", (64, 64), (255, 0, 0))
    red.paste((255, 255, 255), (0, 0, 32, 64))
    shown = decode.decode(pictures.saved(red, icc_profile=bytes(profile))).getpixel((50, 30))
    assert shown[1] > 240 > 30 > shown[0]  # type: ignore[index]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_decode__min_size_keeps_headroom_and_looks_the_same(kind: str) -> None:
    large = SCENE.resize((2560, 1920), Image.Resampling.BICUBIC)
    image = decode.decode(pictures.saved(large, kind), min_size=224)
    assert 359 <= min(image.size) < 718
    assert difference(image.resize(SCENE.size, Image.Resampling.BICUBIC), SCENE) < 2


def test_decode__min_size_never_enlarges() -> None:
    assert decode.decode(pictures.saved(SCENE), min_size=1000).size == SCENE.size


def test_decode__video_after_a_photo_may_hold_scan_markers() -> None:
    photo = pictures.saved(SCENE, "JPEG")
    assert decode.decode(photo + b"\xff\xda\0\x04" * 500).size == SCENE.size


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_decode__of_a_file_in_one_scan_nothing_is_counted(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_scans", lambda data, enough: pytest.fail("counted"))
    assert decode.decode(pictures.saved(SCENE.convert(mode), "JPEG")).size == SCENE.size


def test_decode__scans_after_one_that_holds_everything_are_never_decoded() -> None:
    plain = pictures.saved(SCENE, "JPEG")
    with pytest.raises(BadImage) as raised:
        decode.decode(pictures.many_scans(plain, 500))
    assert raised.value.code == "image_unreadable"


def test_decode__a_sequential_file_in_several_scans_is_counted() -> None:
    plain = pictures.saved(SCENE, "JPEG")
    first = plain.index(b"\xff\xda")
    # It says that its first scan holds one component of three.
    several = bytearray(pictures.many_scans(plain, 500))
    several[first + 4] = 1
    with pytest.raises(BadImage) as raised:
        decode.decode(bytes(several))
    assert raised.value.code == "image_too_many_scans"


def test_decode__ordinary_progressive_file_passes_the_scan_limit() -> None:
    data = pictures.many_scans(pictures.saved(SCENE, "JPEG", progressive=True), limits.UPLOAD.max_scans)
    assert decode.decode(data).size == SCENE.size


def test_decode__messages_say_what_is_allowed_and_nothing_of_the_file() -> None:
    with pytest.raises(BadImage) as raised:
        decode.decode(HOSTILE["gif"][0])
    assert str(raised.value) == (
        "This file is of type GIF; the picture must be one of JPEG, PNG, WEBP. Save it as one of these."
    )


def test_decode__leaves_the_process_as_it_was() -> None:
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    for data, _ in HOSTILE.values():
        with pytest.raises(BadImage):
            decode.decode(data)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.mark.filterwarnings("ignore")
def test_decode__mutations_raise_nothing_else() -> None:
    chance = random.Random(7)
    small = SCENE.resize((64, 48))
    seeds = [data for name, data in pictures.variants(small).items() if name != "trailing bytes"]
    refused = []
    for _ in range(10_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 12)):
            match chance.randrange(5):
                case 0:
                    data[chance.randrange(len(data))] = chance.randrange(256)
                case 1:
                    del data[chance.randrange(len(data)) :][: chance.randrange(40)]
                case 2:
                    place = chance.randrange(len(data))
                    data[place:place] = chance.randbytes(chance.randrange(1, 40))
                case 3:
                    place = chance.randrange(min(64, len(data)))
                    data[place : place + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
                case 4:
                    data = data[: chance.randrange(1, len(data) + 1)]
            data = data or bytearray(b"\xff")
        try:
            image = decode.decode(bytes(data), min_size=chance.choice((None, 16)))
        except BadImage as error:
            refused.append(error.code)
        else:
            assert image.mode == "RGB"
    assert 1000 < len(refused) < 10_000
    assert set(refused) <= {code for _, code in HOSTILE.values()}


@pytest.mark.filterwarnings("ignore")
def test_decode__exif_that_cannot_be_read_is_ignored() -> None:
    junk = b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 5000
    assert decode.decode(pictures.saved(SCENE, "JPEG", exif=junk)).size == SCENE.size
