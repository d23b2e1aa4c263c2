"""The example shop, on a Postgres and folders of the tests' own."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("DEMO_DIR", str(Path(__file__).resolve().parent.parent / ".test"))

from example_shop.settings import *  # noqa: E402, F403
from example_shop.settings import INSTALLED_APPS, VISUAL_SEARCH  # noqa: E402, F401

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The real encoder has tests of its own; this one encodes a picture in a millisecond.
VISUAL_SEARCH = {**VISUAL_SEARCH, "ENCODERS": ["tiny"]}
