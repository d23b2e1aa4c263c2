"""The example shop, on a Postgres and folders of the tests' own; several runs at once don't meet."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("DEMO_DIR", str(Path(__file__).resolve().parent.parent / ".test"))
# A process that a test starts shares the test's broker; pytest's own processes (`-n`) have one each.
if os.environ.get("BROKER_OF") != os.environ.get("PYTEST_XDIST_WORKER", ""):
    os.environ["BROKER_OF"] = os.environ.get("PYTEST_XDIST_WORKER", "")
    os.environ["BROKER_DIR"] = tempfile.mkdtemp(prefix="visual-search-broker-")
    atexit.register(shutil.rmtree, os.environ["BROKER_DIR"], ignore_errors=True)

from example_shop.settings import *  # noqa: F403
from example_shop.settings import DATABASES, INSTALLED_APPS, VISUAL_SEARCH  # noqa: F401

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES["default"]["TEST"] = {"NAME": f"test_{os.getpid()}"}

# The real encoder has tests of its own; this one encodes a picture in a millisecond.
VISUAL_SEARCH = {**VISUAL_SEARCH, "ENCODERS": ["tiny"]}
