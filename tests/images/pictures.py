"""Draw the pictures, good and hostile, that the tests of images and encoders feed in."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image, ImageCms, ImageDraw


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """Return a drawn picture without any symmetry, so that a wrong turn shows."""
    image = Image.new("RGB", (width, height), (236, 228, 214))
    draw = ImageDraw.Draw(image)
    for row in range(height):
        draw.line([(0, row), (width, row)], fill=(236 - row * 90 // height, 228 - row * 40 // height, 214))
    draw.ellipse([width * 0.1, height * 0.15, width * 0.55, height * 0.85], fill=(196, 62, 48))
    draw.rectangle([width * 0.6, height * 0.2, width * 0.9, height * 0.5], fill=(38, 84, 124))
    draw.polygon(
        [(width * 0.6, height * 0.95), (width * 0.95, height * 0.9), (width * 0.8, height * 0.6)], fill=(250, 196, 60)
    )
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return `image` as a file of the format `kind`."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """Return one PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG up to its header chunk: what it promises, and none of it."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png_bomb(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """Return a valid PNG of zeros: some kilobytes that fill gigabytes."""
    row = 1 + (width * depth * (3 if colour == 2 else 1) + 7) // 8
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    return png_header(width, height, depth=depth, colour=colour) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def grey16(image: Image.Image, *, key: int | None = None) -> bytes:
    """Return the grey of `image` as a PNG of 16 bits per pixel; `key` is the number that is transparent."""
    grey = image.convert("L")
    # The same number twice is the one times 257.
    return _sixteen(
        grey, bytes(each for value in grey.tobytes() for each in (value, value)), () if key is None else (key,)
    )


def colour16(image: Image.Image, *, key: tuple[int, int, int] | None = None) -> bytes:
    """Return `image` times 256 as a PNG of 16 bits per channel; `key` is the colour that is transparent."""
    return _sixteen(image, bytes(each for value in image.tobytes() for each in (value, 0)), key or ())


def _sixteen(image: Image.Image, pixels: bytes, key: tuple[int, ...]) -> bytes:
    row = 2 * image.width * len(image.getbands())
    rows = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))
    header = png_header(image.width, image.height, depth=16, colour=2 if image.mode == "RGB" else 0)
    clear = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    return header + clear + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def many_scans(jpeg: bytes, scans: int) -> bytes:
    """Return the progressive `jpeg` with its last scan repeated until it has `scans`: cheap to send, dear to decode."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * (scans - jpeg.count(b"\xff\xda") + 1) + jpeg[-2:]


def oriented(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """Return a file that shows `image` once its EXIF `orientation` is obeyed."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[274] = orientation
    stored = image.transpose(undo[orientation]) if orientation in undo else image
    return saved(stored, kind, exif=exif.tobytes(), quality=95)


def exif_behind(png: bytes) -> bytes:
    """Return `png` with its EXIF behind its pixels, where the format allows it, too."""
    start = png.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(png[start : start + 4])
    return png[:start] + png[stop:-12] + png[start:stop] + png[-12:]


def variants(image: Image.Image) -> dict[str, bytes]:
    """Return `image` in the ways that shops and phones store pictures; all of them look the same."""
    alpha = image.convert("RGBA")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {
        "jpeg": saved(image, "JPEG", quality=95),
        "progressive": saved(image, "JPEG", quality=95, progressive=True),
        "profile": saved(image, "JPEG", quality=95, icc_profile=srgb),
        "broken profile": saved(image, "JPEG", quality=95, icc_profile=srgb[:200]),
        "cmyk": saved(image.convert("CMYK"), "JPEG", quality=95),
        "webp": saved(image, "WEBP", quality=95),
        "palette": saved(image.quantize(256)),
        "opaque alpha": saved(alpha),
        "trailing bytes": saved(image) + b"<html><script>alert(1)</script>",
        "several frames": saved(image, "PNG", save_all=True, append_images=[image.rotate(90)]),
        "animated webp": saved(image, "WEBP", save_all=True, append_images=[image.rotate(90)], quality=95),
        "two pictures": saved(image, "MPO", save_all=True, append_images=[image.rotate(90)], quality=95),
        **{f"orientation {value}": oriented(image, value) for value in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
        "orientation 6 webp": oriented(image, 6, "WEBP"),
        "orientation 6 png": oriented(image, 6, "PNG"),
        "orientation 6 png, behind the pixels": exif_behind(oriented(image, 6, "PNG")),
    }


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return files that must be refused, each with the code to refuse it with."""
    image = scene()
    png, jpeg, webp = saved(image), saved(image, "JPEG"), saved(image, "WEBP")
    progressive = saved(image, "JPEG", progressive=True)
    files: dict[str, tuple[bytes, str]] = {
        "nothing": (b"", "image_empty"),
        "one byte": (b"\xff", "image_format"),
        "a start and no more": (b"\xff\xd8\xff", "image_unreadable"),
        "png signature": (png[:8], "image_unreadable"),
        "webp signature": (webp[:12], "image_unreadable"),
        "png without data": (png_header(200, 200) + chunk(b"IEND", b""), "image_unreadable"),
        "png with a lie in its header": (png_header(60_000, 60_000) + chunk(b"IDAT", b""), "image_too_many_pixels"),
        "png with a broken header sum": (png[:20] + b"\x7f" + png[21:], "image_unreadable"),
        "png with broken data": (png[:60] + bytes(50) + png[110:], "image_unreadable"),
        "bomb, one bit": (png_bomb(13_300, 13_300, depth=1, colour=0), "image_too_many_pixels"),
        "bomb below Pillow's warning": (png_bomb(9_400, 9_400), "image_too_many_pixels"),
        "bomb above Pillow's limit": (png_header(14_000, 14_000) + chunk(b"IDAT", b""), "image_too_many_pixels"),
        "long strip": (png_bomb(20_000, 20), "image_too_many_pixels"),
        "high strip": (png_bomb(20, 20_000), "image_too_many_pixels"),
        "one pixel": (saved(image.resize((1, 1))), "image_too_small"),
        "one row": (saved(image.resize((500, 1))), "image_too_small"),
        "text bomb": (
            png[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200_000_000), 9)) + png[33:],
            "image_unreadable",
        ),
        "410 scans": (many_scans(progressive, 410), "image_too_many_scans"),
        "5000 scans": (many_scans(progressive, 5000), "image_too_many_scans"),
        "padded scan markers": (
            many_scans(progressive, 410).replace(b"\xff\xda", b"\xff\xff\xff\xda"),
            "image_too_many_scans",
        ),
        "white": (saved(Image.new("RGB", (200, 200), "white")), "image_blank"),
        "clear": (saved(Image.new("RGBA", (200, 200), (9, 9, 9, 0))), "image_blank"),
        "almost black": (saved(Image.effect_noise((200, 200), 0.5).point(lambda value: value - 128)), "image_blank"),
        "gif": (saved(image, "GIF"), "image_format"),
        "bmp": (saved(image, "BMP"), "image_format"),
        "tiff": (saved(image, "TIFF"), "image_format"),
        "ico": (saved(image, "ICO"), "image_format"),
        "ppm": (saved(image, "PPM"), "image_format"),
        "eps": (saved(image, "EPS"), "image_format"),
        "pdf": (saved(image, "PDF"), "image_format"),
        "jpeg 2000": (saved(image, "JPEG2000"), "image_format"),
        "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "image_format"),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "image_format"),
        "html": (b"<!doctype html><title>picture.jpg</title>", "image_format"),
        "zip": (b"PK\x03\x04" + bytes(100), "image_format"),
    }
    for name, data in {"png": png, "jpeg": jpeg, "webp": webp, "progressive": progressive}.items():
        for percent in (10, 50, 90):
            files[f"{name} cut off at {percent} %"] = (data[: len(data) * percent // 100], "image_unreadable")
    return files
