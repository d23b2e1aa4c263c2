"""What the header of a JPEG file says; nothing is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from visual_search.images import decode

_START, _SCAN, _END = b"\xff\xd8", 0xDA, b"\xff\xd9"
_SEQUENTIAL, _OTHER_FRAMES = (0xC0, 0xC1), frozenset(range(0xC2, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP1, _APP2, _APP14 = 0xE1, 0xE2, 0xEE
_FRAME = struct.Struct(">BHHB")
_SRGB = (b"sRGB", "sRGB".encode("utf-16-be"))


@dataclass(frozen=True, slots=True)
class Header:
    """Width and height in pixels as they are stored, and the orientation that EXIF names (1 to 8)."""

    width: int
    height: int
    orientation: int = 1


def plain(data: bytes) -> Header | None:
    """
    Return the header of an ordinary JPEG, None for anything that a hardware decoder may not take or take wrongly.

    Ordinary is: sequential, complete, one scan, 8 bits, grey or YCbCr, no colour profile but sRGB.
    """
    if not data.startswith(_START):
        return None
    found: Header | None = None
    orientation, components, position = 1, b"", 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        kind, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        if kind in _SEQUENTIAL and found is None and len(body) >= _FRAME.size:
            bits, height, width, count = _FRAME.unpack_from(body)
            components = body[_FRAME.size :: 3]
            if bits != 8 or len(components) != count or count not in (1, 3) or components == b"RGB":
                return None
            found = Header(width, height)
        elif kind == _APP1 and body.startswith(b"Exif\0\0"):
            orientation = decode.orientation(body)
        elif _foreign(kind, body) or kind in _OTHER_FRAMES or kind in _SEQUENTIAL:
            return None
        elif kind == _SCAN:
            # A scan of all components is the only one. Sought from behind, as the file is long: the GIL is held.
            whole = body[:1] == bytes([len(components)]) and data.rfind(_END, position) > 0
            return Header(found.width, found.height, orientation) if found and whole else None
    return None


def _foreign(kind: int, body: bytes) -> bool:
    """Return whether a segment gives the numbers another meaning than that of YCbCr from sRGB."""
    if kind == _APP14 and body.startswith(b"Adobe"):
        return body[11:12] == b"\0"
    return kind == _APP2 and body.startswith(b"ICC_PROFILE\0") and not any(name in body for name in _SRGB)
