from __future__ import annotations

import os
from pathlib import Path

import pytest

from visual_search import encoders
from visual_search.encoders import base


@pytest.fixture(scope="session")
def lite0() -> base.Encoder:
    """The default encoder in full precision."""
    return encoders.load({"name": "efficientnet_lite0", "precision": "float32"}, device="cpu")


@pytest.fixture(scope="session")
def catalog_dir() -> Path:
    """The folder of real pictures; tests that need it are skipped where it isn't."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalog"
    folder = Path(os.environ.get("CATALOG_DIR", beside))
    if not (folder / "photos.csv").exists():
        pytest.skip("the real pictures aren't here: set CATALOG_DIR")
    return folder
