"""From a customer's photo to its features. The photo stays in memory, for the time of one request."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from PIL import Image

from visual_search import conf
from visual_search.encoders import base, joined, parts
from visual_search.exceptions import BadImage, EncoderUnavailable
from visual_search.images import decode, limits, source
from visual_search.indexing.vectors import arrays, encoding
from visual_search.models import SearchIndex


def upload_limits() -> limits.Limits:
    """Return what a customer may send."""
    return limits.Limits(max_bytes=conf.settings.UPLOAD_MAX_BYTES, max_pixels=conf.settings.UPLOAD_MAX_PIXELS)


def features(
    index: SearchIndex, photo: Any, *, region: tuple[float, float, float, float] | None = None
) -> base.Features:
    """Return the raw features of `photo` (bytes, a binary file, or a PIL image), float32 [sum(d)].

    `region` cuts out (left, top, right, bottom) first, as shares of the upright photo's width and height. Raises
    BadImage where it is no picture that can be used, EncoderError where the encoder can't look at it.
    """
    encoder = _encoder(index)
    found = encoder.encode([picture(photo, encoder.input_size, region=region)])
    if parts.stored(found, arrays.transforms(index.pk))[1].max() <= parts.DEGENERATE:
        raise BadImage(
            "The photo shows nothing that the encoder can tell apart. Choose another one, or another part of it.",
            code="image_blank",
        )
    return found[0]


def features_of_words(index: SearchIndex, words: str) -> base.Features:
    """Return the raw features of `words`, float32 [sum(d)], zero where an encoder of `index` knows none.

    Raises EncoderError where no encoder knows words, or the one that does can't encode them.
    """
    return _encoder(index).encode_text([words])[0]


def _encoder(index: SearchIndex) -> joined.Joined:
    encoder = joined.load(index.encoders, **conf.machine())
    if encoder.fingerprint != index.fingerprint:
        raise EncoderUnavailable(
            f"The live index {index} was built with other weights than this process has. Search by photo answers again "
            "once an index for them is live, or the former version is back."
        )
    return encoder


def picture(photo: Any, size: int, *, region: tuple[float, float, float, float] | None = None) -> Image.Image:
    """Return `photo` (see `features`), or its `region`, upright, of `size` pixels a side at least if it has them.

    Raises BadImage.
    """
    if region is None:
        return _decoded(photo, size)
    share = min(region[2] - region[0], region[3] - region[1])
    return _cut(_decoded(photo, round(size / share)), region)


def _cut(picture: Image.Image, region: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = region
    width, height = picture.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    if min(box[2] - box[0], box[3] - box[1]) < limits.UPLOAD.min_side:
        raise BadImage(
            f"The region is {box[2] - box[0]} x {box[3] - box[1]} pixels; each side needs {limits.UPLOAD.min_side}. "
            "Choose a larger part.",
            code="image_too_small",
        )
    return picture.crop(box)


def _decoded(photo: Any, size: int) -> Image.Image:
    if isinstance(photo, Image.Image):
        # It takes the way of every other picture; as a PNG it may be larger than a customer's file.
        data, bounds = _png(photo), replace(upload_limits(), max_bytes=limits.CATALOGUE.max_bytes)
    else:
        bounds = upload_limits()
        data = source.read(photo, limits=bounds)
    return encoding.decoder().decode(data, limits=bounds, min_size=size)


def _png(image: Image.Image) -> bytes:
    image.load()
    turned = Image.Exif()
    turned[decode.ORIENTATION] = decode.orientation(image.info.get("exif", b""))
    if image.mode.startswith("I"):
        # Pillow's own conversion to RGB clips 16 bits to 8, and the one from one order of bytes to the other does, too.
        readable = image.convert("I").convert("I;16")
    else:
        readable = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")
    buffer = io.BytesIO()
    readable.save(buffer, "PNG", compress_level=1, exif=turned)
    return buffer.getvalue()
