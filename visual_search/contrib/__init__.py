"""What some shops want beside it: each module is small, and used only where its documentation says so."""

from __future__ import annotations
