from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from tests import factories
from visual_search import encoders, exceptions
from visual_search.encoders import base, parts, registry, tiny
from visual_search.encoders.distillation import plan, run

OPTIONS: dict[str, Any] = {"batch_size": 8, "learning_rate": 2e-3, "photos": 0.1}
PLAN = plan.Plan(epochs=2, **OPTIONS)
DRAWN = 24


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    """Two dozen pictures of eight colours and three shapes, and one that is none."""
    drawn = [factories.picture(colour, shape) for shape in ("circle", "square", "bar") for colour in factories.COLOURS]
    return [*drawn, b"no picture"]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("student") / "start.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), path)
    return {"name": "timm:test_efficientnet", "weights": str(path), "size": 64}


def distil(student: dict[str, Any], pictures: list[bytes], out: Path, **options: Any) -> plan.Result:
    network = registry.network_of(student)
    return run.distil(tiny.TinyEncoder(), network, pictures, out=out, **({"plan": PLAN} | options))


def cosines(encoder: Any, images: list[Image.Image]) -> base.Features:
    """Return the cosines between the centred vectors of all pairs of `images`."""
    directions = parts.unit(encoder.encode(images))[0]
    centred = parts.unit(directions - directions.mean(axis=0))[0]
    return (centred @ centred.T)[np.triu_indices(len(images), 1)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


@pytest.fixture(scope="module")
def done(student: dict[str, Any], pictures: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A file of weights, and what was said of it."""
    out = tmp_path_factory.mktemp("distilled") / "student.safetensors"
    return out, distil(student, pictures, out)


def test_distil__the_student_comes_nearer_to_its_teacher(
    student: dict[str, Any], pictures: list[bytes], tmp_path: Path
) -> None:
    out = tmp_path / "longer.safetensors"
    longer = plan.Plan(epochs=8, batch_size=8, learning_rate=2e-3, photos=0)
    result = distil(student, pictures, out, plan=longer)

    assert result.pictures == DRAWN
    images = [Image.open(io.BytesIO(data)) for data in pictures[:DRAWN]]
    taught = cosines(tiny.TinyEncoder(), images)
    before, after = (
        np.corrcoef(cosines(encoders.load(spec, device="cpu", runtime="torch"), images), taught)[0, 1]
        for spec in (student, student | {"weights": str(out)})
    )
    assert 1 - after < 0.7 * (1 - before)


def test_distil__writes_weights_that_a_spec_can_name(student: dict[str, Any], done: Any) -> None:
    out, result = done
    spec = student | {"weights": str(out), "sha256": result.sha256}
    picture = Image.new("RGB", (96, 96), "teal")

    before, after = (encoders.load(each, device="cpu", runtime="torch") for each in (student, spec))

    assert after.fingerprint != before.fingerprint
    assert after.dimensions == before.dimensions
    assert not np.allclose(before.encode([picture]), after.encode([picture]))


def test_distil__is_the_same_for_the_same_seed(
    student: dict[str, Any], pictures: list[bytes], done: Any, tmp_path: Path
) -> None:
    assert distil(student, pictures, tmp_path / "again.safetensors") == done[1]
    other = plan.Plan(epochs=2, seed=1, **OPTIONS)
    assert distil(student, pictures, tmp_path / "other.safetensors", plan=other).sha256 != done[1].sha256


def test_distil__resumed_ends_where_it_would_have(
    student: dict[str, Any], pictures: list[bytes], done: Any, tmp_path: Path
) -> None:
    out = tmp_path / "stopped.safetensors"

    def stop(step: int, total: int, note: str) -> None:
        if step == total // 2 + 1:  # after the first epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(student, pictures, out, progress=stop)
    assert not out.exists()

    steps: list[int] = []
    result = distil(student, pictures, out, resume=True, progress=lambda step, total, note: steps.append(step))

    assert result == done[1]
    assert steps == [3, 4]


@pytest.mark.parametrize("change", ["plan", "student", "damage", "absence"])
def test_distil__resumes_nothing_else(
    change: str, student: dict[str, Any], pictures: list[bytes], done: Any, tmp_path: Path
) -> None:
    out = tmp_path / "student.safetensors"
    kept = out.with_name(f"{out.name}.checkpoint")
    data = done[0].with_name(f"{done[0].name}.checkpoint").read_bytes()
    if change != "absence":
        kept.write_bytes(data[:-2000] if change == "damage" else data)
    chosen = plan.Plan(epochs=3, **OPTIONS) if change == "plan" else PLAN
    begun_with = student | ({"weights": str(done[0])} if change == "student" else {})
    with pytest.raises(exceptions.EncoderError) as caught:
        distil(begun_with, pictures, out, plan=chosen, resume=True)
    assert caught.value.code == "distil_checkpoint"


def test_distil__never_unpickles_a_checkpoint(student: dict[str, Any], pictures: list[bytes], tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save({"payload": Payload()}, tmp_path / "student.safetensors.checkpoint")
    with pytest.raises(exceptions.EncoderError) as caught:
        distil(student, pictures, tmp_path / "student.safetensors", resume=True)
    assert caught.value.code == "distil_checkpoint"
    assert not (tmp_path / "ran").exists()


def test_distil__needs_pictures(student: dict[str, Any], pictures: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(exceptions.EncoderError, match="19 of 20 pictures can be learned from; 20 are needed") as caught:
        distil(student, [*pictures[:19], b"no picture"], tmp_path / "none.safetensors")
    assert caught.value.code == "distil_pictures"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_distil__needs_an_epoch(student: dict[str, Any], pictures: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(exceptions.EncoderError) as caught:
        distil(student, pictures, tmp_path / "student.safetensors", plan=plan.Plan(epochs=0))
    assert caught.value.code == "distil_epochs"


def test_distil__logs_for_tensorboard(student: dict[str, Any], pictures: list[bytes], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    distil(student, pictures, tmp_path / "student.safetensors", logs=tmp_path / "logs")

    events = event_accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"cosine", "relational", "agreement"}
    assert [event.step for event in events.Scalars("cosine")] == [1, 2, 3, 4]
    assert [event.step for event in events.Scalars("agreement")] == [2, 4]


def test_distil__two_processes_learn_what_one_does(
    student: dict[str, Any], pictures: list[bytes], tmp_path: Path
) -> None:
    # The relational term sees only the pictures of its own process, so that it is left out of both.
    program = (
        "import json, sys; from pathlib import Path\n"
        "from visual_search.encoders import registry, tiny\n"
        "from visual_search.encoders.distillation import plan, run, training\n"
        "training.RELATIONAL = 0.0\n"
        "folder, spec = Path(sys.argv[1]), json.loads(sys.argv[2])\n"
        "pictures = [file.read_bytes() for file in sorted(folder.glob('*.jpg'))]\n"
        "chosen = plan.Plan(epochs=2, batch_size=8, learning_rate=2e-3, photos=0.1)\n"
        "network = registry.network_of(spec)\n"
        "run.distil(tiny.TinyEncoder(), network, pictures, out=folder / sys.argv[3], plan=chosen)"
    )
    for number, data in enumerate(pictures):
        (tmp_path / f"{number:02}.jpg").write_bytes(data)
    (tmp_path / "program.py").write_text(program)

    def started(out: str, *launcher: str) -> dict[str, torch.Tensor]:
        command = [sys.executable, *launcher, str(tmp_path / "program.py"), str(tmp_path), json.dumps(student), out]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        process = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
        assert process.returncode == 0, process.stderr[-2000:]
        return tensors(tmp_path / out)

    alone = started("alone.safetensors")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    together = started("together.safetensors", *torchrun)

    start = torch.load(student["weights"], weights_only=True)
    moved = max(float((alone[name] - start[name]).abs().max()) for name in alone)
    apart = max(float((alone[name] - together[name]).abs().max()) for name in alone)
    assert alone.keys() == together.keys()
    assert moved > 1e-3
    assert apart < moved / 10
