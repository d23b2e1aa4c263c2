"""The example shop, on a Postgres and folders of the tests' own; several runs at once don't meet."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("DEMO_DIR", str(Path(__file__).resolve().parent.parent / ".test"))
if "BROKER_DIR" not in os.environ:
    os.environ["BROKER_DIR"] = tempfile.mkdtemp(prefix="visual-search-broker-")
    atexit.register(shutil.rmtree, os.environ["BROKER_DIR"], ignore_errors=True)

from example_shop.settings import *  # noqa: F403
from example_shop.settings import DATABASES, INSTALLED_APPS, VISUAL_SEARCH  # noqa: F401

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["TEST"] = {"NAME": f"test_{os.getpid()}"}

# The real encoder has tests of its own; this one encodes a picture in a millisecond.
VISUAL_SEARCH = {**VISUAL_SEARCH, "ENCODERS": ["tiny"]}
