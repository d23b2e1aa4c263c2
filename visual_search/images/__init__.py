"""Turn untrusted bytes into pixels. Imports neither Django nor torch."""

from __future__ import annotations
