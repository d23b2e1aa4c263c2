"""Image classifiers of torchvision, without their classifier."""

from __future__ import annotations

import collections
import functools
import itertools
from typing import Any

import torch
import torchvision

from visual_search import exceptions
from visual_search.encoders import base, network, preprocessing, weights

# What comes after the last feature map, by the names that torchvision gives it.
_AFTER = ("avgpool", "flatten", "fc", "classifier", "head")
_NOT_A_CHAIN = ("GoogLeNet", "Inception3", "VisionTransformer")


def build(name: str, *, path: str | None = None, sha256: str | None = None, size: int | None = None) -> network.Network:
    """
    Return the torchvision model `name` with its default weights (downloaded once), or those of the local file `path`.

    The file may hold the whole model or only its `features`. Preprocessing is that of the default weights.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise base.unknown(f"torchvision:{name}", [f"torchvision:{model}" for model in known])
    pretrained = torchvision.models.get_model_weights(name).DEFAULT
    if path is None:
        model: Any = weights.download(
            f"torchvision:{name}", functools.partial(torchvision.models.get_model, name, weights=pretrained)
        )
    else:
        model = torchvision.models.get_model(name, weights=None)
    body = _body(name, model)
    if path is not None:
        weights.fill(body, _without_head(weights.read(path, sha256=sha256)), name=f"torchvision:{name}")
    preset = pretrained.transforms()
    side = size or preset.crop_size[0]
    return network.Network(
        name=f"torchvision:{name}",
        body=body,
        prepare=preprocessing.Preprocessing(
            size=side,
            resize=round(side * preset.resize_size[0] / preset.crop_size[0]),
            squash=False,
            mean=tuple(255 * value for value in preset.mean),
            std=tuple(255 * value for value in preset.std),
            interpolation=preset.interpolation.value,
        ),
    )


def _body(name: str, model: torch.nn.Module) -> torch.nn.Module:
    """Return `model` up to its last feature map; its layers keep their names, so that its weights still fit."""
    if type(model).__name__ in _NOT_A_CHAIN:
        raise exceptions.EncoderError(
            f"The torchvision model {name} is no plain chain of layers up to a feature map. Use the one of timm: "
            f"'timm:...' (see timm.list_models('*{name.partition('_')[0]}*')).",
            code="encoder_unsupported",
        )
    layers = collections.OrderedDict(itertools.takewhile(lambda child: child[0] not in _AFTER, model.named_children()))
    if type(model).__name__ == "DenseNet":
        layers["relu"] = torch.nn.ReLU()
    return torch.nn.Sequential(layers)


def _without_head(state: weights.State) -> dict[str, torch.Tensor]:
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(_AFTER)}
    if all(key[0].isdigit() for key in kept):
        # The state dict of model.features alone.
        return {f"features.{key}": tensor for key, tensor in kept.items()}
    return kept
