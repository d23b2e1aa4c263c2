"""Turn pixels into vectors. Imports no Django, and torch only when an encoder that needs it is loaded."""

from __future__ import annotations

from visual_search.encoders.registry import load

__all__ = ["load"]
