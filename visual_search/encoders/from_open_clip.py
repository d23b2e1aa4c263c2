"""Image-text models of open_clip: pictures and words in one space."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip import factory, transform
from open_clip import model as models
from open_clip import tokenizer as tokenizers

from visual_search import exceptions
from visual_search.encoders import base, network, parts, preprocessing, weights

AS_THEY_ARE = ("{}",)

_PROBES = (
    "",
    "A Red Mug, 0.5 l: it's 100 % wool/cotton & <b>new</b>!",
    "caf\u00e9 Stra\u00dfe na\u00efve \u4e2d\u6587\u8336\u676f \u043a\u0440\u0430\u0441\u043d\u044b\u0439",
    "unbelievably  long-winded\tdescriptions\nof refrigerators " * 40,
)
"""What is read differently by tokenizers of the same vocabulary: case, accents, spaces, signs, and where to stop."""


class Pictures(torch.nn.Module):
    """Run an open_clip model on pictures, up to their vectors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return [n, d]."""
        vectors: torch.Tensor = self.model.encode_image(batch)
        return vectors


class OpenClipEncoder(network.NetworkEncoder):
    """Encode pictures and words with an open_clip model; implements `base.Encoder` and `base.TextEncoder`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str,
        described: Mapping[str, Any],
        prompts: Sequence[str],
        **machine: str,
    ) -> None:
        built = network.Network(
            name=name,
            body=Pictures(model),
            prepare=_preprocessing(model, name),
            pool=_unchanged,
            grid=_no_grid,
            described=described,
        )
        super().__init__(built, **machine)
        self.fingerprint = base.fingerprint(
            pictures=self.fingerprint, prompts=list(prompts), tokenizer=_reading(tokenizer)
        )
        self._model, self._tokenizer, self._prompts = model, tokenizer, tuple(prompts)
        # A tokenizer of Hugging Face sets its padding at each call, and fails where two threads do so at once.
        self._tokenizing = threading.Lock()

    def encode_text(self, texts: Sequence[str]) -> base.Features:
        """
        Return the unit vectors of `texts`, float32 [n, dimensions]; what a model doesn't read of a long one is cut off.

        With each text put into every prompt: `unit(mean over prompts p of unit(f(p(text))))`, the prompt ensemble of
        Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section 3.1.4.
        """
        sentences = [prompt.replace("{}", text) for text in texts for prompt in self._prompts]
        raw = np.empty((len(sentences), self.dimensions), np.float32)
        for start in range(0, len(sentences), self.runtime.batch_size):
            batch = slice(start, start + self.runtime.batch_size)
            raw[batch] = self._words(sentences[batch])
        vectors, _ = parts.unit(base.finite(raw, name=self.name))
        return parts.unit(vectors.reshape(len(texts), len(self._prompts), self.dimensions).mean(1))[0]

    def _words(self, sentences: list[str]) -> base.Features:
        with self._tokenizing:
            tokens = self._tokenizer(sentences)
        device, dtype = self.runtime.device, self.runtime.precision
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            vectors: base.Features = self._model.encode_text(tokens.to(device)).float().cpu().numpy()
        return vectors


def load(
    name: str,
    *,
    path: str | None = None,
    sha256: str | None = None,
    prompts: Sequence[str] = AS_THEY_ARE,
    tokenizer: str | None = None,
    **machine: str,
) -> OpenClipEncoder:
    """
    Return the open_clip model `name`, with weights that are downloaded once, or those of the local file `path`.

    `name` is ARCHITECTURE:TAG as in `open_clip.list_pretrained(as_str=True)`, hf-hub:OWNER/MODEL, or local-dir:FOLDER,
    a copy of such a repository. Preprocessing is that of the weights. `tokenizer` is the folder of a tokenizer of
    Hugging Face, for models that would download theirs. `machine` is what `NetworkEncoder` takes: device, precision,
    runtime and cache. Raises `EncoderError`.
    """
    first, _, rest = name.partition(":")
    repository = first in ("hf-hub", "local-dir")
    architecture, tag = (name, "") if repository else (first, rest)
    if not repository:
        _expect_known(architecture, tag, path)
    elif not rest:
        raise _invalid(f"The encoder open_clip:{name} names no model. Use hf-hub:OWNER/MODEL or local-dir:FOLDER.")
    # Neither the tag nor the place is part of it: the same weights have the same fingerprint wherever they lie.
    label = f"open_clip:{Path(rest).name if repository else architecture}"
    if path is None:
        if first == "local-dir":
            raise _invalid(f"The encoder {label} lies in a folder. Name the file of its weights too: 'weights': PATH.")
        create = functools.partial(open_clip.create_model, architecture, tag or None, require_pretrained=True)
        model: Any = _without_logits(weights.download(label, create))
    else:
        options = None if repository else _preprocess_options(architecture, tag)
        model = _without_logits(_built(label, architecture, options))
        weights.fill(model, _renamed(model, weights.read(path, sha256=sha256)), name=label)
    reader = _tokenizer(label, architecture, tokenizer)
    described = open_clip.get_model_config(architecture)
    return OpenClipEncoder(model, reader, name=label, described=described, prompts=prompts, **machine)


def _expect_known(architecture: str, tag: str, path: str | None) -> None:
    if architecture not in open_clip.list_models():
        raise base.unknown(f"open_clip:{architecture}", [f"open_clip:{known}" for known in open_clip.list_models()])
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise base.unknown(f"open_clip:{architecture}:{tag}", [f"open_clip:{architecture}:{known}" for known in tags])
    if not tag and path is None:
        offered = f"those of a tag, as 'open_clip:{architecture}:TAG' ({', '.join(tags)}), or " if tags else ""
        raise _invalid(f"The encoder open_clip:{architecture} needs weights: {offered}a file's, as 'weights': PATH.")


def _preprocess_options(architecture: str, tag: str) -> dict[str, Any]:
    """Return the preprocessing of the weights `tag`; without one, that of all known weights of `architecture`."""
    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(architecture)
    plain = dataclasses.asdict(transform.PreprocessCfg())
    known = [transform.merge_preprocess_dict(plain, open_clip.get_pretrained_cfg(architecture, each)) for each in tags]
    if any(options != known[0] for options in known):
        raise _invalid(
            f"The weights of open_clip:{architecture} differ in preprocessing. Say which ones the file holds, as in "
            f"'open_clip:{architecture}:{tags[0]}': {', '.join(tags)}."
        )
    # The size is the architecture's own.
    return {key: value for key, value in (known or [plain])[0].items() if key != "size"}


def _built(label: str, architecture: str, options: dict[str, Any] | None) -> Any:
    """Return the model without its weights, with the preprocessing `options`, or those of its repository."""
    try:
        with _without_alarm():
            return open_clip.create_model(
                architecture, load_weights=False, pretrained_text=False, force_preprocess_cfg=options
            )
    except Exception as error:
        # A repository, its JSON, and the libraries that build each tower have errors of their own.
        raise exceptions.EncoderUnavailable(
            f"open_clip can't build {label} ({type(error).__name__}: {str(error)[:300]}). Check the folder, or this "
            "machine's access to the network."
        ) from error


@contextlib.contextmanager
def _without_alarm() -> Iterator[None]:
    # open_clip warns, through the root logger, that the model stays random: it can't know that the weights come next.
    def keep(record: logging.LogRecord) -> bool:
        return record.pathname != factory.__file__

    logging.getLogger().addFilter(keep)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(keep)


def _without_logits(model: Any) -> Any:
    """Return `model` without what scales its loss: that has no part in a vector, and files differ in it."""
    model.logit_scale = model.logit_bias = None
    return model


def _renamed(model: Any, state: weights.State) -> dict[str, torch.Tensor]:
    """Return `state` under the names that `model` has for it, as `open_clip.load_checkpoint` does with a path."""
    found: dict[str, torch.Tensor] = factory.convert_state_dict(model, dict(state))
    if not hasattr(model, "positional_embedding"):
        found = models.convert_to_custom_text_state_dict(found)
    # Of a buffer that transformers no longer has.
    left_out = {"logit_scale", "logit_bias", "text.transformer.embeddings.position_ids"}
    return {name: tensor for name, tensor in found.items() if name not in left_out}


def _tokenizer(label: str, architecture: str, folder: str | None) -> Any:
    try:
        if folder is None:
            return open_clip.get_tokenizer(architecture)
        described = open_clip.get_model_config(architecture)["text_cfg"]
        return tokenizers.HFTokenizer(
            folder,
            context_length=described.get("context_length", tokenizers.DEFAULT_CONTEXT_LENGTH),
            tokenizer_mode=described.get("tokenizer_mode"),
            **described.get("tokenizer_kwargs", {}),
        )
    except Exception as error:
        raise exceptions.EncoderUnavailable(
            f"The tokenizer of {label} can't be loaded ({type(error).__name__}: {str(error)[:300]}). It needs "
            "`pip install transformers`, and this machine's access to the network, or a folder that holds it: "
            "'tokenizer': PATH.",
            code="tokenizer_unavailable",
        ) from error


def _reading(tokenizer: Any) -> list[Any]:
    """Return what tells apart how tokenizers read; a copy in a folder reads as the one of the hub does."""
    # Those of Hugging Face have their words in the tokenizer that open_clip wraps.
    words: dict[str, int] = getattr(getattr(tokenizer, "tokenizer", None), "get_vocab", dict)()
    return [sorted(words.items()), tokenizer(list(_PROBES)).tolist()]


def _preprocessing(model: Any, label: str) -> preprocessing.Preprocessing:
    options = open_clip.get_model_preprocess_cfg(model)
    size, mode = options["size"], options["resize_mode"]
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1 or mode not in ("shortest", "squash"):
        raise exceptions.EncoderError(
            f"{label} wants pictures of {size} pixels, resized by {mode!r}. Use a model that takes squares of the "
            "shortest side or of the whole, squashed.",
            code="encoder_unsupported",
        )
    (side,) = sides
    return preprocessing.Preprocessing(
        size=side,
        resize=side,
        squash=mode == "squash",
        mean=tuple(255 * value for value in options["mean"]),
        std=tuple(255 * value for value in options["std"]),
        interpolation=options["interpolation"] if options["interpolation"] != "random" else "bicubic",
    )


def _unchanged(vectors: torch.Tensor) -> torch.Tensor:
    return vectors


def _no_grid(vectors: torch.Tensor) -> torch.Tensor:
    raise exceptions.EncoderError(
        "An open_clip model gives one vector a picture, and no feature map.", code="feature_map_unavailable"
    )


def _invalid(message: str) -> exceptions.EncoderError:
    return exceptions.EncoderError(message, code="encoder_invalid")
