from __future__ import annotations

import os
from pathlib import Path

import pytest

from visual_search import encoders
from visual_search.encoders import base

FULL = {"name": "efficientnet_lite0", "precision": "float32"}


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for converted networks."""
    return str(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="session")
def lite0() -> base.Encoder:
    """The default encoder in full precision, on torch."""
    return encoders.load(FULL, device="cpu", runtime="torch")


@pytest.fixture(scope="session")
def fast_lite0(cache: str) -> base.Encoder:
    """The default encoder in full precision, on OpenVINO."""
    pytest.importorskip("visual_search.encoders.on_openvino")
    return encoders.load(FULL, device="cpu", cache=cache)


@pytest.fixture(scope="session")
def catalog_dir() -> Path:
    """The folder of real pictures; tests that need it are skipped where it isn't."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data" / "catalog"
    folder = Path(os.environ.get("CATALOG_DIR", beside))
    if not (folder / "photos.csv").exists():
        pytest.skip("the real pictures aren't here: set CATALOG_DIR")
    return folder
