"""Any image model of timm."""

from __future__ import annotations

import functools
import math
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config

from visual_search import exceptions
from visual_search.encoders import base, network, preprocessing, weights


class Features(torch.nn.Module):
    """Run a timm model up to its last feature map."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the map in timm's own layout: [n, c, h, w], [n, h, w, c] or [n, tokens, c]."""
        features: torch.Tensor = self.model.forward_features(batch)
        return features


def build(name: str, *, path: str | None = None, sha256: str | None = None, size: int | None = None) -> network.Network:
    """
    Return the timm model `name` with its own pretrained weights (downloaded once), or those of the local file `path`.

    Pooling is the model's own (`forward_head(pre_logits=True)`), preprocessing that of its pretrained configuration.
    """
    if not timm.is_model(name):
        raise base.unknown(f"timm:{name}", [f"timm:{known}" for known in timm.list_models()])
    options: dict[str, Any] = {"num_classes": 0}
    if size and (configuration := timm.get_pretrained_cfg(name)) and configuration.fixed_input_size:
        options["img_size"] = size
    if path is None:
        model: Any = weights.download(
            f"timm:{name}", functools.partial(timm.create_model, name, pretrained=True, **options)
        )
    else:
        model = timm.create_model(name, pretrained=False, **options)
        kept = model.state_dict().keys()
        head = tuple(f"{layer}." for layer in _names(model.pretrained_cfg.get("classifier")))
        state = weights.read(path, sha256=sha256)
        weights.fill(
            model,
            {key: tensor for key, tensor in state.items() if key in kept or not key.startswith(head)},
            name=f"timm:{name}",
        )
    return network.Network(
        name=f"timm:{name}",
        body=Features(model),
        prepare=_preprocessing(model, size),
        pool=functools.partial(model.forward_head, pre_logits=True),
        grid=functools.partial(_grid, model),
    )


def _names(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def _preprocessing(model: torch.nn.Module, size: int | None) -> preprocessing.Preprocessing:
    configuration = resolve_data_config({}, model=model)
    side = size or configuration["input_size"][-1]
    mode = configuration["crop_mode"]
    return preprocessing.Preprocessing(
        size=side,
        resize=max(side, math.floor(side / configuration["crop_pct"])),
        squash=mode == "squash",
        mean=tuple(255 * value for value in configuration["mean"]),
        std=tuple(255 * value for value in configuration["std"]),
        interpolation=configuration["interpolation"] if configuration["interpolation"] != "random" else "bicubic",
    )


def _grid(model: Any, features: torch.Tensor) -> torch.Tensor:
    if features.ndim == 4:
        channels_last = str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC")
        return features.permute(0, 3, 1, 2) if channels_last else features
    tokens = features[:, getattr(model, "num_prefix_tokens", 0) :]
    side = math.isqrt(tokens.shape[1])
    if side * side != tokens.shape[1]:
        raise exceptions.EncoderError(
            "This model's features don't lie on a square grid, so that there is no feature map.",
            code="feature_map_unavailable",
        )
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
