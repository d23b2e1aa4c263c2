"""Networks in 8-bit integers: calibrated once on the shop's own pictures, then run by OpenVINO on a CPU."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from visual_search import exceptions
from visual_search.encoders import base, network, parts, weights

logger = logging.getLogger("visual_search.encoders")


_ATTENTION = {"Softmax", "ScaledDotProductAttention"}
_TIMED, _ROUNDS = 8, 10


class QuantisedEncoder(network.NetworkEncoder):
    """
    Encode pictures with the quantised form of `built` in the file `path`, which `quantise` wrote.

    Its vectors are others than those of `built`, so that the file's SHA-256 is part of the fingerprint. It always runs
    on the CPU. Raises `EncoderUnavailable` (`int8_unavailable`) without OpenVINO, and `WeightsError` with a code of
    `weights.contents`, `weights_invalid`, or `weights_mismatch` where the file was made of another network.
    """

    def __init__(self, built: network.Network, *, path: str, sha256: str | None = None) -> None:
        self._path = Path(path)
        self._data = weights.contents(self._path, sha256=sha256)
        super().__init__(built, device="cpu")
        self.fingerprint = base.fingerprint(network=self.fingerprint, int8=hashlib.sha256(self._data).hexdigest())
        self._data = b""

    def _start(self, device: str, precision: str, choice: str, cache: str) -> network.runtime.Runtime:
        try:
            from visual_search.encoders import conversion, on_openvino
        except ImportError:
            raise _unavailable("run a network in int8") from None
        try:
            model, notes = conversion.unpack(io.BytesIO(self._data))
        except Exception as error:
            # Parsers of damaged files raise anything.
            raise exceptions.WeightsError(
                f"{self._path} is damaged or no quantised network ({type(error).__name__}). "
                "Make it with `manage.py visual_search quantise`."
            ) from None
        if notes.get("network") != self.fingerprint:
            raise exceptions.WeightsError(
                f"{self._path} was made of another network than {self.name} as it is named here: its weights or its "
                "size differ. Name those that it was made of, or make it anew with `manage.py visual_search quantise`.",
                code="weights_mismatch",
            )
        return on_openvino.Runtime(self._network.body, self._network.prepare, model=model)


def quantise(encoder: base.Encoder, images: Iterable[Image.Image], out: Path) -> str:
    """
    Write the network of `encoder` in int8 to the file `out` and return its SHA-256.

    The ranges of its activations are those of `images`: some 300 of the shop's own are enough. It is post-training
    quantisation: NNCF's, Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3. `encoder` has to
    run on OpenVINO in float32. Raises `EncoderUnavailable` (`int8_unavailable`) where it doesn't, or without NNCF.
    """
    try:
        from visual_search.encoders import conversion, on_openvino  # first: it keeps OpenVINO from reporting

        import nncf  # isort: skip
    except ImportError:
        raise _unavailable("quantise a network") from None
    running = getattr(encoder, "runtime", None)
    if not isinstance(running, on_openvino.Runtime):
        raise exceptions.EncoderUnavailable(
            f"The encoder {encoder.name} doesn't run on OpenVINO, which is what runs int8. Use a network that it can "
            "convert: 'efficientnet_lite0', 'timm:NAME' or 'torchvision:NAME'.",
            code="int8_unavailable",
        )
    pixels = [running.prepare.pixels([image]) for image in images]
    ops = running.model.get_ops()
    # Not by `nncf.set_log_level`, which raises the level of all handlers of that logger, others' among them.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    quantised = nncf.quantize(
        running.model,
        nncf.Dataset(pixels),
        subset_size=len(pixels),
        target_device=nncf.TargetDevice.CPU,
        model_type=nncf.ModelType.TRANSFORMER if _ATTENTION & {op.get_type_name() for op in ops} else None,
        # Depthwise convolutions have few weights a channel: in float32 they cost no time and save half the error.
        ignored_scope=nncf.IgnoredScope(types=["GroupConvolution"], validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # Processors without VNNI add products of full 8 bits in 16, and saturate: 7 bits fit.
            overflow_fix=nncf.OverflowFix.ENABLE,
        ),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    conversion.pack(quantised, out, network=encoder.fingerprint)
    return hashlib.sha256(out.read_bytes()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The cosines between the vectors of a network and of its quantised form, and pictures a second of both."""

    least: float
    median: float
    speed: float
    former_speed: float


def compare(
    former: network.NetworkEncoder, quantised: network.NetworkEncoder, images: Sequence[Image.Image]
) -> Comparison:
    """Compare two forms of one network on `images`; the speed is the network's own, on pixels that are ready."""
    one, other = (parts.unit(each.encode(images))[0] for each in (former, quantised))
    cosines = (one * other).sum(axis=1)
    pixels = former.runtime.prepare.pixels((list(images) * _TIMED)[:_TIMED])
    speeds = [_TIMED / min(_seconds(each, pixels) for _ in range(_ROUNDS)) for each in (former, quantised)]
    return Comparison(
        least=float(cosines.min()), median=float(np.median(cosines)), former_speed=speeds[0], speed=speeds[1]
    )


def _seconds(encoder: network.NetworkEncoder, pixels: npt.NDArray[np.uint8]) -> float:
    started = time.perf_counter()
    encoder.runtime.forward(pixels, network.average)
    return time.perf_counter() - started


def _unavailable(what: str) -> exceptions.EncoderUnavailable:
    return exceptions.EncoderUnavailable(
        f"To {what}, OpenVINO and NNCF are needed: pip install 'django-visual-search[int8]'.", code="int8_unavailable"
    )
