"""Read a picture's bytes, and no more of them than is allowed."""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import Any

from visual_search import exceptions
from visual_search.images import limits as bounds

_CHUNK = 2**18
"""Bytes asked for at once: a file object reserves as many, and 64 MB of them cost as much as the SHA-256."""


def read(file: Any, *, limits: bounds.Limits = bounds.UPLOAD) -> bytes:
    """
    Return all bytes of `file`: bytes, an open binary file, or a storage file such as Django's `FieldFile`.

    A storage file is opened and closed here; an open file is rewound first and stays open. Raises `BadImage` with
    the code `image_missing` (nothing stored, or the file is gone), `image_empty` or `image_too_large`. A storage that
    fails in another way (a time-out, no permission) raises its own error: that may pass, a bad picture doesn't.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        data = bytes(file)
    elif file is None or (hasattr(file, "storage") and not file):
        raise exceptions.BadImage("There is no picture. Add one and try again.", code="image_missing")
    else:
        data = _read(file, limits.max_bytes + 1)
    check_length(len(data), limits=limits)
    return data


def check_length(length: int, *, limits: bounds.Limits) -> None:
    """Raise `BadImage` unless `length` bytes are some, and not too many."""
    if not length:
        raise exceptions.BadImage("The picture's file is empty. Choose another file.", code="image_empty")
    if length > limits.max_bytes:
        raise exceptions.BadImage(
            f"The picture's file is larger than {limits.max_bytes / 2**20:.0f} MB. Choose a smaller one.",
            code="image_too_large",
        )


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal: two pictures with the same sum need one vector."""
    return hashlib.sha256(data).hexdigest()


def _read(file: Any, size: int) -> bytes:
    try:
        if not hasattr(file, "storage"):
            with contextlib.suppress(AttributeError, io.UnsupportedOperation):
                file.seek(0)
            return _fill(file, size)
        with file.storage.open(file.name, "rb") as opened:
            return _fill(opened, size)
    except FileNotFoundError:
        raise exceptions.BadImage(
            "The picture's file is missing from the storage. Upload it again.", code="image_missing"
        ) from None


def _fill(file: Any, size: int) -> bytes:
    # One read() may return less than it was asked for (sockets, some storages).
    chunks, missing = [], size
    while missing and (chunk := file.read(min(missing, _CHUNK))):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
