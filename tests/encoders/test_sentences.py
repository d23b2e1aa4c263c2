from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visual_search.encoders import base, sentences
from visual_search.exceptions import EncoderError, EncoderUnavailable

TEXTS = ["a copper kettle for tea", "sneakers to run in", "running shoes", "something to boil water in"]


@pytest.fixture(scope="module")
def minilm() -> sentences.SentenceEncoder:
    return sentences.load(sentences.PACKAGED, device="cpu")


def copied(folder: Path) -> Path:
    """Copy the packaged model, its weights as links."""
    return Path(shutil.copytree(sentences.folder_of(sentences.PACKAGED), folder, copy_function=_linked))


def _linked(source: str, target: str) -> None:
    if source.endswith(".safetensors"):
        Path(target).symlink_to(source)
    else:
        shutil.copy(source, target)


def test_encode_text__what_means_the_same_is_near(minilm: sentences.SentenceEncoder) -> None:
    found = minilm.encode_text(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, (4, minilm.dimensions))
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    near = found @ found.T - 2 * np.eye(4)
    # No word in common but "in".
    assert near.argmax(1).tolist() == [3, 2, 1, 0]
    assert isinstance(minilm, base.TextEncoder)


def test_encode_text__does_not_depend_on_its_neighbours(minilm: sentences.SentenceEncoder) -> None:
    texts = [f"thing number {number}" for number in range(40)] + ["", "kettle " * 1_000]
    found = minilm.encode_text(texts)
    alone = np.concatenate([minilm.encode_text([texts[place]]) for place in (0, 39, 40, 41)])
    np.testing.assert_allclose(found[[0, 39, 40, 41]], alone, atol=1e-5)
    assert minilm.encode_text([]).shape == (0, 384)


def test_encode_text__from_many_threads(minilm: sentences.SentenceEncoder) -> None:
    expected = minilm.encode_text(TEXTS)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda size=size: found.append((size, minilm.encode_text(TEXTS[:size]))))
        for size in (1, 2, 3, 4) * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    for size, vectors in found:
        np.testing.assert_allclose(vectors, expected[:size], atol=1e-5)


def test_fingerprint__is_that_of_the_files(minilm: sentences.SentenceEncoder, tmp_path: Path) -> None:
    folder = copied(tmp_path / "copy")
    assert sentences.load(str(folder)).fingerprint == minilm.fingerprint
    (folder / "README.md").write_text("Another text.")
    assert sentences.SentenceEncoder("copy", folder).fingerprint == minilm.fingerprint
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(pooling.read_text().replace('"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true'))
    assert sentences.SentenceEncoder("copy", folder).fingerprint != minilm.fingerprint


def test_fingerprint__loads_nothing() -> None:
    script = (
        "import sys; from visual_search.encoders import sentences\n"
        f"assert len(sentences.load({sentences.PACKAGED!r}).fingerprint) == 64\n"
        "print({'torch', 'transformers', 'sentence_transformers', 'django'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_load__same_object_for_the_same_name(minilm: sentences.SentenceEncoder) -> None:
    assert sentences.load(sentences.PACKAGED, device="cpu") is minilm


def test_load__nothing_of_that_name(tmp_path: Path) -> None:
    for name in ("all-MiniLM-L12-v2", str(tmp_path), ""):
        with pytest.raises(EncoderError, match=r"modules\.json") as raised:
            sentences.load(name)
        assert raised.value.code == "encoder_unknown"


def test_load__without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderUnavailable, match=r"django-visual-search\[text\]") as raised:
        sentences.folder_of(sentences.PACKAGED)
    assert raised.value.code == "encoder_not_installed"


def test_load__model_of_other_dimensions(tmp_path: Path) -> None:
    folder = copied(tmp_path / "wide")
    (folder / "3_Dense").mkdir()
    dense = {
        "in_features": 384,
        "out_features": 8,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (folder / "3_Dense" / "config.json").write_text(json.dumps(dense))
    import safetensors.torch

    state = {"linear.weight": torch.zeros(8, 384), "linear.bias": torch.zeros(8)}
    safetensors.torch.save_file(state, folder / "3_Dense" / "model.safetensors")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match="8 numbers") as raised:
        sentences.load(str(folder), device="cpu").encode_text(["mug"])
    assert raised.value.code == "encoder_unsupported"


def test_load__weights_in_a_pickle_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.ones(1)}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderUnavailable, match=r"\.safetensors") as raised:
        sentences.load(str(folder), device="cpu").encode_text(["mug"])
    assert raised.value.code == "encoder_unavailable"
