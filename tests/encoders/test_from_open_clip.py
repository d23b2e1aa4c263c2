from __future__ import annotations

import functools
import hashlib
import http.server
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import tokenizers
import torch
import transformers
from PIL import Image

from tests.images import pictures
from visual_search import encoders
from visual_search.encoders import base, joined, registry
from visual_search.exceptions import EncoderError, EncoderUnavailable

NAME = "open_clip:vs-small"
SCENES = [pictures.scene(64, 64), pictures.scene(96, 48), pictures.scene(40, 80)]
TEXTS = ["a red mug", "{braces} and 100 % wool", "", "kettle " * 100]
SMALL = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
WORDS = {
    **SMALL["text_cfg"],
    "vocab_size": 40,
    "hf_tokenizer_name": "nobody/nothing",
    "tokenizer_kwargs": {"clean": "lower"},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model of a few thousand parameters besides its vocabulary, as open_clip has it, and the file of its weights."""
    folder = tmp_path_factory.mktemp("small")
    for name, words in (("vs-small", SMALL["text_cfg"]), ("vs-words", WORDS)):
        (folder / f"{name}.json").write_text(json.dumps({**SMALL, "text_cfg": words}))
        open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(3)
    model = open_clip.create_model("vs-small").eval()
    safetensors.torch.save_file(model.state_dict(), folder / "small.safetensors")
    return model, folder / "small.safetensors"


def load(path: Path, **options: Any) -> Any:
    return encoders.load(
        {"name": NAME, "weights": str(path), "precision": "float32", **options}, device="cpu", runtime="torch"
    )


def cosines(one: base.Features, other: base.Features) -> Any:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def refused(spec: Any) -> EncoderError:
    with pytest.raises(EncoderError) as raised:
        encoders.load(spec, device="cpu")
    return raised.value


def test_load__same_vectors_as_open_clip(small: tuple[Any, Path]) -> None:
    model, path = small
    encoder = load(path)
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=32), is_train=False)
    with torch.inference_mode():
        seen = model.encode_image(torch.stack([transform(scene) for scene in SCENES])).numpy()
        said = model.encode_text(open_clip.get_tokenizer("vs-small")(TEXTS), normalize=True).numpy()
    found = encoder.encode(SCENES)
    assert (found.dtype, found.shape, encoder.dimensions, encoder.input_size) == (np.float32, (3, 24), 24, 32)
    # Ours takes the middle out at parts of pixels.
    assert cosines(found, seen).min() > 0.99
    np.testing.assert_allclose(encoder.encode_text(TEXTS), said, atol=1e-5)
    assert isinstance(encoder, base.TextEncoder)


def test_encode_text__prompts_as_in_open_clip(small: tuple[Any, Path]) -> None:
    model, path = small
    prompts = ["a photo of {}", "{} on a white background", "{}"]
    names = ["mug", "red dress"]
    expected = open_clip.build_zero_shot_classifier(model, open_clip.get_tokenizer("vs-small"), names, prompts)
    encoder = load(path, prompts=prompts)
    np.testing.assert_allclose(encoder.encode_text(names), expected.T.numpy(), atol=1e-5)
    assert np.linalg.norm(encoder.encode_text(names), axis=1) == pytest.approx([1, 1])
    assert abs(encoder.encode_text(names) - load(path).encode_text(names)).max() > 0.01


def test_encode_text__any_number_of_texts(small: tuple[Any, Path]) -> None:
    encoder = load(small[1], prompts=["a {}", "two {}"])
    texts = [f"thing {number}" for number in range(2 * encoder.runtime.batch_size + 3)]
    found = encoder.encode_text(texts)
    assert (found.dtype, found.shape) == (np.float32, (len(texts), 24))
    np.testing.assert_allclose(found[[0, 20, -1]], encoder.encode_text([texts[0], texts[20], texts[-1]]), atol=1e-5)
    assert encoder.encode_text([]).shape == encoder.encode([]).shape == (0, 24)


def test_encode__bfloat16_is_near_float32(small: tuple[Any, Path]) -> None:
    exact, rounded = load(small[1]), load(small[1], precision="bfloat16")
    assert exact.fingerprint == rounded.fingerprint
    for found, expected in (
        (rounded.encode(SCENES), exact.encode(SCENES)),
        (rounded.encode_text(TEXTS), exact.encode_text(TEXTS)),
    ):
        assert found.dtype == np.float32
        assert abs(found - expected).max() > 0
        assert cosines(found, expected).min() > 0.985


def test_encode__openvino_sees_what_torch_sees(small: tuple[Any, Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    spec = {"name": NAME, "weights": str(small[1]), "precision": "float32"}
    ours: Any = encoders.load(spec, device="cpu", cache=str(tmp_path))
    torchs = load(small[1])
    assert type(ours.runtime).__module__ == "visual_search.encoders.on_openvino"
    assert [path.suffix for path in tmp_path.iterdir()] == [".zip"]
    assert ours.fingerprint == torchs.fingerprint
    assert cosines(ours.encode(SCENES), torchs.encode(SCENES)).min() >= 0.9999
    np.testing.assert_allclose(ours.encode_text(TEXTS), torchs.encode_text(TEXTS), atol=1e-5)


def test_fingerprint__is_that_of_weights_preprocessing_and_prompts(small: tuple[Any, Path], tmp_path: Path) -> None:
    model, path = small
    state = dict(model.state_dict())
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "same.pt")
    torch.save({**state, "logit_scale": torch.tensor(9.0)}, tmp_path / "scale.pt")
    torch.save({**state, "text_projection": state["text_projection"] + 0.1}, tmp_path / "words.pt")
    torch.save({**state, "visual.proj": state["visual.proj"] + 0.1}, tmp_path / "pictures.pt")
    own = load(path).fingerprint
    assert load(tmp_path / "same.pt").fingerprint == own
    # What scales the loss has no part in a vector.
    assert load(tmp_path / "scale.pt").fingerprint == own
    others = [load(tmp_path / name).fingerprint for name in ("words.pt", "pictures.pt")]
    others.append(load(path, prompts=["a photo of {}"]).fingerprint)
    others.append(repository(small, tmp_path / "vs-small").fingerprint)
    assert len({own, *others}) == 5


def repository(small: tuple[Any, Path], folder: Path, **words: Any) -> Any:
    """Load what a repository of a hub holds: the same weights, with preprocessing as SigLIP has it."""
    folder.mkdir()
    options = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    described = {"model_cfg": {**SMALL, "text_cfg": {**SMALL["text_cfg"], **words}}, "preprocess_cfg": options}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return encoders.load(
        {"name": f"open_clip:local-dir:{folder}", "weights": str(small[1]), "precision": "float32"},
        device="cpu",
        runtime="torch",
    )


def test_fingerprint__covers_what_the_config_says_and_so_does_the_cache(
    small: tuple[Any, Path], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    found = []
    for place, quick in (("a", False), ("b", True)):
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": {**SMALL, "quick_gelu": quick}, "preprocess_cfg": {}})
        )
        spec = {"name": f"open_clip:local-dir:{folder}", "weights": str(small[1]), "precision": "float32"}
        torchs = encoders.load(spec, device="cpu", runtime="torch")
        ours = encoders.load(spec, device="cpu", cache=str(tmp_path / "cache"))
        assert cosines(ours.encode(SCENES), torchs.encode(SCENES)).min() >= 0.9999
        assert ours.fingerprint == torchs.fingerprint
        found.append(ours.fingerprint)
    assert found[0] != found[1]


def test_fingerprint__covers_the_tokenizer_wherever_it_lies(small: tuple[Any, Path], tmp_path: Path) -> None:
    def fingerprint(name: str, words: list[str], *, lower: bool) -> str:
        vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *words])}
        read = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
        read.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        if lower:
            read.normalizer = tokenizers.normalizers.Lowercase()
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=read, pad_token="[PAD]", unk_token="[UNK]")
        fast.save_pretrained(tmp_path / name)
        return str(load(path, name="open_clip:vs-cased", tokenizer=str(tmp_path / name)).fingerprint)

    described = {**SMALL, "text_cfg": {**WORDS, "tokenizer_kwargs": {"clean": "whitespace"}}}
    (tmp_path / "vs-cased.json").write_text(json.dumps(described))
    open_clip.add_model_config(tmp_path / "vs-cased.json")
    path = tmp_path / "cased.pt"
    torch.save(open_clip.create_model("vs-cased").state_dict(), path)
    first = fingerprint("first", ["mug", "red"], lower=False)
    assert fingerprint("copy", ["mug", "red"], lower=False) == first
    assert (
        len({first, fingerprint("more", ["mug", "tin"], lower=False), fingerprint("lower", ["mug", "red"], lower=True)})
        == 3
    )


def test_load__folder_with_preprocessing_of_its_own(small: tuple[Any, Path], tmp_path: Path) -> None:
    encoder = repository(small, tmp_path / "shop")
    assert encoder.name == "open_clip:shop"
    options = open_clip.transform.PreprocessCfg(
        size=32, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", resize_mode="squash"
    )
    transform = open_clip.transform.image_transform_v2(options, is_train=False)
    with torch.inference_mode():
        expected = small[0].encode_image(torch.stack([transform(scene) for scene in SCENES])).numpy()
    assert cosines(encoder.encode(SCENES), expected).min() > 0.99
    assert encoder.encode_text(["mug"]).shape == (1, 24)


def test_load__tokenizer_of_a_folder(small: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "red", "mug", "kettle"])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path)
    torch.manual_seed(4)
    torch.save(open_clip.create_model("vs-words").state_dict(), tmp_path / "words.pt")
    spec = {"name": "open_clip:vs-words", "weights": str(tmp_path / "words.pt")}

    assert refused(spec).code == "tokenizer_unavailable"
    encoder: Any = encoders.load(
        {**spec, "tokenizer": str(tmp_path), "precision": "float32"}, device="cpu", runtime="torch"
    )
    found = encoder.encode_text(["red mug", "RED  mug", "kettle"])
    np.testing.assert_array_equal(found[0], found[1])
    assert abs(found[0] - found[2]).max() > 0.01


def test_load__file_is_loaded_without_a_warning(
    small: tuple[Any, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(small[1], prompts=["a {}, of which nothing is loaded yet"])
    repository(small, tmp_path / "shop")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_load__names_that_are_wrong(small: tuple[Any, Path]) -> None:
    for name, near in (
        ("ViT-B-33", "Did you mean .*open_clip:ViT-B-32"),
        ("ViT-B-32:laion2b_s34b_b79", "Did you mean open_clip:ViT-B-32:laion2b_s34b_b79k"),
    ):
        with pytest.raises(EncoderError, match=near) as raised:
            encoders.load(f"open_clip:{name}")
        assert raised.value.code == "encoder_unknown"


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        ("open_clip:ViT-B-32", "encoder_invalid", "laion2b_s34b_b79k"),
        ("open_clip:hf-hub:", "encoder_invalid", "OWNER/MODEL"),
        ("open_clip:local-dir:somewhere", "encoder_invalid", "'weights': PATH"),
        ({"name": "open_clip:local-dir:nowhere", "weights": "a.pt"}, "encoder_unavailable", "nowhere"),
        ({"name": "open_clip:ViT-L-14", "weights": "a.pt"}, "encoder_invalid", "differ in preprocessing"),
        ({"name": "open_clip:ViT-B-32", "size": 224, "weights": "a.pt"}, "encoder_invalid", "no option size"),
        ({"name": "open_clip:ViT-B-32:openai", "prompts": []}, "encoder_invalid", "a photo of {}"),
        ({"name": "open_clip:ViT-B-32:openai", "prompts": ["a photo"]}, "encoder_invalid", "a photo of {}"),
        ({"name": "open_clip:ViT-B-32:openai", "prompts": "a {}"}, "encoder_invalid", "a photo of {}"),
    ],
)
def test_load__specification_that_is_wrong(spec: Any, code: str, said: str) -> None:
    error = refused(spec)
    assert error.code == code
    assert said in str(error)


@pytest.mark.parametrize(
    "name", ["ViT-B-32:laion2b_s34b_b79k", "RN50:cc12m", "hf-hub:Marqo/marqo-ecommerce-embeddings-B"]
)
def test_load__no_network(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EncoderUnavailable, match="'weights': PATH") as raised:
        encoders.load(f"open_clip:{name}")
    assert raised.value.code == "weights_unavailable"


class Hub(http.server.SimpleHTTPRequestHandler):
    """A hub as its client wants it: the files of `directory`, each as it was at one commit."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace("/shop/vs-small/resolve/main/", "/"))

    def end_headers(self) -> None:
        self.send_header("ETag", '"' + hashlib.sha256(self.path.encode()).hexdigest() + '"')
        self.send_header("X-Repo-Commit", "c" * 40)
        super().end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def test_load__repository_of_a_hub(small: tuple[Any, Path], tmp_path: Path) -> None:
    encoder = repository(small, tmp_path / "vs-small")
    shutil.copy(small[1], tmp_path / "vs-small" / "open_clip_model.safetensors")
    handler = functools.partial(Hub, directory=str(tmp_path / "vs-small"))
    script = (
        "from visual_search import encoders\n"
        "encoder = encoders.load('open_clip:hf-hub:shop/vs-small', device='cpu', runtime='torch')\n"
        "print(encoder.name, encoder.fingerprint, encoder.encode_text(['mug']).shape)"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "home")}
        environment = {**os.environ, **place, "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        server.shutdown()
    assert done.stdout.split("\n")[0] == f"open_clip:vs-small {encoder.fingerprint} (1, 24)", done.stderr


def test_load__weights_that_do_not_fit(small: tuple[Any, Path], tmp_path: Path) -> None:
    state = small[0].state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name != "visual.proj"}, tmp_path / "a.pt")
    assert refused({"name": NAME, "weights": str(tmp_path / "a.pt")}).code == "weights_mismatch"
    assert refused({"name": NAME, "weights": str(small[1]), "sha256": "a" * 64}).code == "weights_sha256"


def test_load__preprocessing_that_is_not_offered(small: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from visual_search.encoders import from_open_clip

    monkeypatch.setattr(open_clip.transform.PreprocessCfg, "__init__", _longest, raising=True)
    with pytest.raises(EncoderError) as raised:
        from_open_clip.load("vs-small", path=str(small[1]))
    assert raised.value.code == "encoder_unsupported"


def _longest(self: Any) -> None:
    self.size, self.mode, self.fill_color, self.resize_mode = 224, "RGB", 0, "longest"
    self.mean, self.std, self.interpolation = (0.5,) * 3, (0.5,) * 3, "bicubic"


def test_validate__without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderUnavailable, match=r"django-visual-search\[clip\]") as raised:
        registry.validate("open_clip:ViT-B-32:openai")
    assert raised.value.code == "encoder_not_installed"


def test_feature_map__there_is_none(small: tuple[Any, Path]) -> None:
    with pytest.raises(EncoderError) as raised:
        load(small[1]).feature_map([Image.new("RGB", (32, 32), "red")])
    assert raised.value.code == "feature_map_unavailable"


def test_joined__words_beside_an_encoder_that_knows_none(small: tuple[Any, Path]) -> None:
    both = joined.load(["tiny", {"name": NAME, "weights": str(small[1])}], device="cpu", runtime="torch")
    assert (both.has_text, both.parts) == (True, (64, 24))
    found = both.encode_text(["mug"])
    assert not found[:, :64].any()
    assert np.linalg.norm(found[:, 64:]) == pytest.approx(1)
