"""What a picture may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bound a picture's bytes, pixels, sides (in pixels) and JPEG scans, and name the formats that are read."""

    max_bytes: int
    max_pixels: int
    max_side: int = 12_000
    min_side: int = 16
    max_scans: int = 64
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP")


UPLOAD = Limits(max_bytes=10 * 2**20, max_pixels=25_000_000)
"""For what a customer sends."""

CATALOGUE = Limits(max_bytes=64 * 2**20, max_pixels=50_000_000)
"""For what the shop itself stores."""
