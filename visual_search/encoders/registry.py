"""Find and load an encoder by its name; imports torch only to load one that needs it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from visual_search import exceptions
from visual_search.encoders import base, colour, tiny

if TYPE_CHECKING:
    from visual_search.encoders import network

Spec = str | Mapping[str, Any]

RUNTIMES = ("auto", "torch")
"""What can be asked for; "auto" is OpenVINO where it is installed and the device is the CPU, else torch."""

_OPTIONS = frozenset({"weights", "sha256", "size", "crops", "precision", "quantised", "quantised_sha256"})
_PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")
_LITE0 = "efficientnet_lite0"
_BUILT_IN: dict[str, frozenset[str]] = {
    _LITE0: _OPTIONS,
    colour.NAME: frozenset(),
    "tiny": frozenset(),
    "timm:": _OPTIONS,
    "torchvision:": _OPTIONS,
    "open_clip:": frozenset({"weights", "sha256", "precision", "prompts", "tokenizer"}),
}
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")

_lock = threading.Lock()
_loaded: dict[tuple[str, ...], base.Encoder] = {}


def load(spec: Spec, *, device: str = "auto", runtime: str = "auto", cache: str = base.CACHE) -> base.Encoder:
    """
    Return the encoder that `spec` names: the same object for the same arguments within one process.

    `spec` is a name or a mapping {"name": ..., "size": pixels, "crops": 1 or 2, "precision": ..., "weights": path,
    "sha256": ...}. A name is `efficientnet_lite0`, `timm:NAME`, `torchvision:NAME`, `open_clip:NAME` (which has
    "prompts" and "tokenizer" in place of a size and crops), `colour`, `tiny` (for tests), or the dotted path of what
    returns an encoder when called with the mapping's other keys. Raises `EncoderError`.

    `runtime` is one of `RUNTIMES`; `cache` is the folder that keeps what was converted for OpenVINO, "" for none.
    """
    validate(spec)
    machine = {"device": device, "runtime": runtime, "cache": cache}
    key = json.dumps(spec if isinstance(spec, str) else dict(spec), sort_keys=True, default=str), *machine.values()
    with _lock:
        if key not in _loaded:
            name, options = _split(spec)
            _loaded[key] = _build(name, options, machine)
        return _loaded[key]


def network_of(spec: Spec) -> network.Network:
    """Return the torch network that `spec` names, a new one at each call; raise EncoderError where it names none."""
    validate(spec)
    name, options = _split(spec)
    if _kind(name) not in (_LITE0, "timm:", "torchvision:"):
        raise _invalid(f"The encoder {name} is no torch network. Use {_LITE0!r}, 'timm:NAME' or 'torchvision:NAME'.")
    return _network(name, {key: options[key] for key in options.keys() & {"weights", "sha256", "size"}})


def takes(spec: Spec, option: str) -> bool:
    """Return whether the encoder that `spec` names has `option`; what your own takes, only you know."""
    kind = _kind(_split(spec)[0])
    return kind is not None and option in _BUILT_IN[kind]


def validate(spec: Spec) -> None:
    """Raise `EncoderError` where `spec` can't be right; loads nothing and does not import torch."""
    name, options = _split(spec)
    kind = _kind(name)
    if kind is None:
        _find_dotted(name)
        return
    if unknown := sorted(options.keys() - _BUILT_IN[kind]):
        allowed = ", ".join(sorted(_BUILT_IN[kind])) or "none"
        raise _invalid(f"The encoder {name} has no option {', '.join(unknown)}. Its options: {allowed}.")
    size, precision = options.get("size"), options.get("precision", "auto")
    if options.get("crops", 1) not in (1, 2):
        raise _invalid(
            f"The crops of the encoder {name} are {options['crops']!r}. Use 1 (the whole) or 2 (its middle too)."
        )
    if size is not None and not (isinstance(size, int) and 32 <= size <= 2048):
        raise _invalid(f"The size of the encoder {name} is {size!r}. Use a number of pixels from 32 to 2048.")
    if precision not in _PRECISIONS:
        raise _invalid(f"The precision {precision!r} is unknown. Use one of {', '.join(_PRECISIONS)}.")
    for file, key in (("weights", "sha256"), ("quantised", "quantised_sha256")):
        digits = options.get(key)
        if digits is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", str(digits)):
            raise _invalid(f"The {key} of the encoder {name} must be 64 hexadecimal digits, not {digits!r}.")
        if digits is not None and file not in options:
            raise _invalid(f"The encoder {name} has a {key} but no file to check. Add {file!r}: PATH.")
    if (precision == "int8") != ("quantised" in options):
        raise _invalid(
            f"The encoder {name} needs both 'precision': 'int8' and 'quantised': PATH, or neither. "
            "`manage.py visual_search quantise` makes that file."
        )
    prompts = options.get("prompts", ["{}"])
    if not (
        isinstance(prompts, list | tuple)
        and prompts
        and all(isinstance(each, str) and "{}" in each for each in prompts)
    ):
        raise _invalid(f"The prompts of the encoder {name} are {prompts!r}. Use a list as ['a photo of {{}}'].")
    if kind == "open_clip:" and importlib.util.find_spec("open_clip") is None:
        raise exceptions.EncoderUnavailable(
            f"The encoder {name} needs open_clip: pip install 'django-visual-search[clip]'.",
            code="encoder_not_installed",
        )


def _split(spec: Spec) -> tuple[str, dict[str, Any]]:
    options = {"name": spec} if isinstance(spec, str) else dict(spec) if isinstance(spec, Mapping) else {}
    name = options.pop("name", None)
    if not isinstance(name, str) or not name:
        raise _invalid(f"An encoder is a name or a mapping with the key 'name', not {spec!r}.")
    return name, options


def _kind(name: str) -> str | None:
    """Return the key of `_BUILT_IN` that `name` falls under, None for a dotted path."""
    family, colon, model = name.partition(":")
    if (kind := family + colon) in _BUILT_IN and bool(colon) == bool(model):
        return kind
    if _DOTTED.fullmatch(name):
        return None
    raise base.unknown(name, _BUILT_IN)


def _build(name: str, options: dict[str, Any], machine: dict[str, str]) -> base.Encoder:
    kind = _kind(name)
    if kind is None:
        return _from_dotted(name, options)
    if kind == "tiny":
        return tiny.TinyEncoder()
    if kind == colour.NAME:
        return colour.ColourEncoder()
    # torch takes seconds and some 300 MB: a process that only answers from stored vectors never gets here.
    from visual_search.encoders import crops, network

    precision, looks = options.pop("precision", "auto"), options.pop("crops", 1)
    if kind == "open_clip:":
        from visual_search.encoders import from_open_clip

        options["path"] = options.pop("weights", None)
        return from_open_clip.load(name.partition(":")[2], precision=precision, **machine, **options)
    quantised, sum_ = options.pop("quantised", None), options.pop("quantised_sha256", None)
    built = _network(name, options)
    if quantised is not None:
        from visual_search.encoders import int8

        encoder: network.NetworkEncoder = int8.QuantisedEncoder(built, path=quantised, sha256=sum_)
    else:
        encoder = network.NetworkEncoder(built, precision=precision, **machine)
    return crops.TwoCrops(encoder) if looks == 2 else encoder


def _network(name: str, options: dict[str, Any]) -> network.Network:
    options["path"] = options.pop("weights", None)
    model = name.partition(":")[2]
    if name == _LITE0:
        from visual_search.encoders import lite0

        return lite0.build(**options)
    if name.startswith("timm:"):
        from visual_search.encoders import from_timm

        return from_timm.build(model, **options)
    from visual_search.encoders import from_torchvision

    return from_torchvision.build(model, **options)


def _find_dotted(name: str) -> None:
    module = name.rpartition(".")[0]
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None:
        raise exceptions.EncoderError(
            f"The encoder {name!r} is not there: no module {module!r} can be found. Check the dotted path.",
            code="encoder_unknown",
        )


def _from_dotted(name: str, options: dict[str, Any]) -> base.Encoder:
    module, _, attribute = name.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise exceptions.EncoderError(
            f"The module {module!r} has no {attribute!r}. Check the dotted path of the encoder.",
            code="encoder_unknown",
        ) from None
    encoder = factory(**options)
    if not isinstance(encoder, base.Encoder):
        raise _invalid(
            f"{name} returned {type(encoder).__name__}, which lacks one of name, dimensions, "
            "fingerprint, input_size and encode()."
        )
    return encoder


def _invalid(message: str) -> exceptions.EncoderError:
    return exceptions.EncoderError(message, code="encoder_invalid")


def _forget() -> None:
    # A lock that another thread held during the fork would never open, and neither CUDA nor OpenMP survives one.
    global _lock
    _lock = threading.Lock()
    _loaded.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
