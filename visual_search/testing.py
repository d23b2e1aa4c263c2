"""What a shop's own tests can use: `VISUAL_SEARCH = {..., "ENCODERS": ["tiny"]}` needs no torch and no weights."""

from __future__ import annotations

from visual_search.encoders.tiny import TinyEncoder

__all__ = ["TinyEncoder"]
