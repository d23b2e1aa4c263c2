"""Decode a picture from bytes that nobody vouches for."""

from __future__ import annotations

import io
import math
import re

from PIL import Image, ImageCms, ImageStat, UnidentifiedImageError
from PIL import WebPImagePlugin as _WebPImagePlugin  # noqa: F401 (else the first WebP makes Pillow load all its plugins)

from visual_search import exceptions
from visual_search.images import limits as bounds
from visual_search.images import source

ORIENTATION = 274
"""EXIF's tag."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIGNATURE = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "HEIC": re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL),
    "AVIF": re.compile(rb"....ftypavi", re.DOTALL),
    "GIF": re.compile(rb"GIF8"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
    "PDF": re.compile(rb"%PDF"),
}
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE, _STANDALONE = b"\xda", b"\xd9", b"\x01\xd8"
_PNG_DEPTH = 24
_PROFILE_MODE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_PROFILE_BYTES = 4 * 2**20
# A draft and a box filter blur: with this much left to a proper filter, Lite0's vectors of real photos keep a cosine of
# 0.999 (at least 0.996) to those of the full pictures; with 2 it is hardly more, with 1 it is 0.96.
# A phone's 3,024 pixels can then be read at an eighth, for 224.
_HEADROOM = 1.6


def decode(data: bytes, *, limits: bounds.Limits = bounds.UPLOAD, min_size: int | None = None) -> Image.Image:
    """
    Decode the first frame of `data` into an upright sRGB picture (mode RGB).

    With `min_size` the picture may come back smaller than it is stored, its shorter side at least 1.6 times
    `min_size` pixels (unless it is shorter already): a 12-megapixel photo is then decoded several times as fast.
    Raises nothing but `BadImage`, with one of the codes `image_empty`, `image_too_large`, `image_format`,
    `image_too_many_pixels`, `image_too_small`, `image_too_many_scans`, `image_blank` and `image_unreadable`.
    """
    source.check_length(len(data), limits=limits)
    try:
        return _decode(data, limits, min_size)
    except exceptions.BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        error = _too_many_pixels(limits)
    except UnidentifiedImageError:
        error = _unidentified(data, limits)
    except MemoryError:
        error = exceptions.BadImage("Decoding this picture takes more memory than is allowed. Choose a smaller one.")
    except Exception:
        # Parsers of hostile files raise SyntaxError, TypeError, RuntimeError and more; their words may quote the file.
        error = _unreadable()
    raise error from None


def _decode(data: bytes, limits: bounds.Limits, min_size: int | None) -> Image.Image:
    file = io.BytesIO(data)
    image: Image.Image = Image.open(file, formats=limits.formats)
    _check_size(image.size, limits)
    jpeg = image.format in ("JPEG", "MPO")
    # Pillow has read as far as the header of the first scan.
    if jpeg and not _in_one_scan(image, data[: file.tell()]) and _scans(data, limits.max_scans) > limits.max_scans:
        raise exceptions.BadImage(
            f"This JPEG is stored in more than {limits.max_scans} scans. Save it again as an ordinary JPEG.",
            code="image_too_many_scans",
        )
    least = math.ceil((min_size or 0) * _HEADROOM)
    if least:
        image.draft(None, (least, least))
    image.load()
    # A PNG may have its EXIF behind the pixels.
    exif, profile = image.info.get("exif"), image.info.get("icc_profile")
    image = _eight_bit(image, deep=image.format == "PNG" and data[_PNG_DEPTH] == 16)
    if least and (factor := min(image.size) // least) > 1:
        image = image.reduce(factor)
    image = _srgb(_opaque(image), profile)
    image = _upright(image, exif)
    if max(ImageStat.Stat(image).stddev) < 1:
        raise exceptions.BadImage(
            "The picture is of one colour only: there is nothing to search for. Choose another one.",
            code="image_blank",
        )
    return image


def _check_size(size: tuple[int, int], limits: bounds.Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels or max(size) > limits.max_side:
        raise _too_many_pixels(limits, found=f"{width} x {height}")
    if min(size) < limits.min_side:
        raise exceptions.BadImage(
            f"The picture is {width} x {height} pixels; each side needs {limits.min_side}. Choose a larger one.",
            code="image_too_small",
        )


def _in_one_scan(image: Image.Image, head: bytes) -> bool:
    """Return whether all of a sequential JPEG is in the scan whose header ends its `head`: libjpeg takes no more then.

    So cameras write it, and looking for further scans there takes a tenth of the time of decoding it.
    """
    components = len(image.getbands())
    header = head[-8 - 2 * components :]
    return "progressive" not in image.info and header[:2] == b"\xff" + _START_OF_SCAN and header[4] == components


def _scans(data: bytes, enough: int) -> int:
    """Count the scans of the first picture in a JPEG file, up to a few more than `enough`."""
    # An upper bound at memory speed: most files need no walk. What phones append (a video) can exceed it by chance.
    if (bound := data.count(b"\xff" + _START_OF_SCAN)) <= enough:
        return bound
    scans, position = 0, 2
    while scans <= enough and (found := _JPEG_MARKER.search(data, position)):
        marker, position = found[1], found.end()
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        if marker not in _STANDALONE:
            position += max(2, int.from_bytes(data[position : position + 2]))
    return scans


def _eight_bit(image: Image.Image, *, deep: bool) -> Image.Image:
    """Return `image` in a mode that can be reduced, transparency (of any kind) as an alpha channel.

    A `deep` one has 16 bits a channel in its file.
    """
    key = image.info.get("transparency")
    if image.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits to 8; the greys have to be scaled.
        numbers = image.convert("I")
        grey = numbers.point(lambda value: value * (1 / 257) + 0.5).convert("L")
        if not isinstance(key, int):
            return grey
        alpha = numbers.point([255 * (value != key) for value in range(2**16)], "L")
        return Image.merge("LA", (grey, alpha)).convert("RGBA")
    if deep and isinstance(key, tuple):
        # Of three channels Pillow keeps the upper 8 bits, but the whole of the colour that stands for nothing.
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `image` as sRGB; a profile that is broken, huge or of another colour space is ignored."""
    if profile and len(profile) <= _PROFILE_BYTES:
        try:
            opened = ImageCms.getOpenProfile(io.BytesIO(profile))
            if _PROFILE_MODE.get(opened.profile.xcolor_space) == image.mode:
                converted = ImageCms.profileToProfile(image, opened, ImageCms.createProfile("sRGB"), outputMode="RGB")
                assert converted is not None
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return image.convert("RGB")


def orientation(exif: bytes) -> int:
    """Return the orientation that a block of EXIF names, 1 (upright) to 8; 1 where it names none."""
    # ImageOps.exif_transpose() writes the EXIF block anew, which raises on hostile ones.
    tags = Image.Exif()
    try:
        tags.load(exif)
        found = tags.get(ORIENTATION, 1)
        return found if found in _TRANSPOSE else 1
    except Exception:
        return 1


def _upright(image: Image.Image, exif: bytes | None) -> Image.Image:
    turn = _TRANSPOSE.get(orientation(exif)) if exif else None
    return image if turn is None else image.transpose(turn)


def _unidentified(data: bytes, limits: bounds.Limits) -> exceptions.BadImage:
    found = next((name for name, signature in _SIGNATURE.items() if signature.match(data)), None)
    if found in limits.formats:
        return _unreadable()
    allowed = ", ".join(limits.formats)
    return exceptions.BadImage(
        f"This file is {f'of type {found}' if found else 'no picture that we know'}; the picture must be one of "
        f"{allowed}. Save it as one of these.",
        code="image_format",
    )


def _too_many_pixels(limits: bounds.Limits, *, found: str = "") -> exceptions.BadImage:
    return exceptions.BadImage(
        f"The picture is {found or 'far too large'}; {limits.max_pixels / 1e6:.0f} megapixels and "
        f"{limits.max_side} pixels a side are allowed. Choose a smaller one.",
        code="image_too_many_pixels",
    )


def _unreadable() -> exceptions.BadImage:
    return exceptions.BadImage(
        "The picture is damaged or incomplete. Save it again, or choose another one.", code="image_unreadable"
    )
