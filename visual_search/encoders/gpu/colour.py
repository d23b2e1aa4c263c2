"""The colour histograms of `encoders.colour`, for many pictures at once on a device."""

from __future__ import annotations

import functools

import torch

from visual_search.encoders import colour, preprocessing

PREPARE = preprocessing.Preprocessing(
    size=colour.SIDE, resize=colour.SIDE, squash=True, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="box"
)


def histograms(pixels: torch.Tensor) -> torch.Tensor:
    """Return float32 [n, 405] of `pixels` [n, 3, 40, 40], whole numbers 0..255: see `colour.ColourEncoder`."""
    constant = _constants(pixels.device)
    colours = _lab(pixels.flatten(2).transpose(1, 2), constant)
    ground = torch.quantile(colours[:, constant["border"]], 0.5, dim=1, keepdim=True)
    distance = (colours - ground).square().sum(2)
    weights = constant["centre"] * (colour.FLOOR + 1 - torch.exp(-distance / (2 * colour.NEAR**2)))
    place = ((colours - constant["least"]) / constant["bin"]).clamp(min=0).minimum(constant["last"])
    # A pixel's share of a bin falls with its distance from it, so that only the eight around it get any.
    light, green, blue = (
        (1 - (place[:, :, axis, None] - torch.arange(count, device=pixels.device)).abs()).clamp_(min=0)
        for axis, count in enumerate(colour.BINS.tolist())
    )
    hues = (green[:, :, :, None] * blue[:, :, None, :]).flatten(2)
    total = ((light * weights[:, :, None]).transpose(1, 2) @ hues).flatten(1)
    return (total / total.sum(1, keepdim=True)).sqrt()


def _lab(pixels: torch.Tensor, constant: dict[str, torch.Tensor]) -> torch.Tensor:
    ratio = constant["linear"][pixels.long()] @ constant["xyz"]
    # No cube root in torch; of 0 the power has none either, and the other branch is taken.
    root = torch.where(ratio > 216 / 24389, ratio.clamp(min=1e-6) ** (1 / 3), ratio * (841 / 108) + 4 / 29)
    return root @ constant["lab"] - constant["sixteen"]


@functools.lru_cache(maxsize=8)
def _constants(device: torch.device) -> dict[str, torch.Tensor]:
    arrays = {
        "linear": colour.LINEAR,
        "xyz": colour.XYZ.T,
        "lab": colour.LAB.T,
        "centre": colour.CENTRE,
        "border": colour.BORDER,
        "least": colour.LEAST,
        "bin": colour.BIN,
        "last": colour.LAST,
    }
    found = {name: torch.from_numpy(array.copy()).to(device) for name, array in arrays.items()}
    return found | {"sixteen": torch.tensor([16.0, 0.0, 0.0], device=device)}
