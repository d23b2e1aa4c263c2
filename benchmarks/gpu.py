"""
Print images per second on a GPU, from JPEG files in memory to vectors with colour, and what bounds them.

    python benchmarks/gpu.py [--quick] [--check] [--images N] [--batch N] [--device DEVICE] [--eager] [FOLDER]

It needs torch, torchvision, timm and this package's `encoders` and `images`; no Django, no Postgres. Where the package
of the default encoder's weights is missing, they are random, and where torch.compile fails (it needs a C compiler and
Python's headers), nothing is compiled: it says so. Without a FOLDER of JPEGs it draws some of 640 x 640 pixels, quality
90. Goals, with the default encoder: the pipeline reaches 0.85 of the slower of its two halves alone (the decoder's own
rate, and the bare forward of network and histogram), and 4,000 images/s on a data-centre card. `--check` exits with 1
where one is missed, or where there is no CUDA to measure on. `--device cpu` runs the same code on a CPU, as a test that
it works; its figures say nothing.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from visual_search.encoders import colour, joined, lite0, network
from visual_search.encoders.gpu import decode, pipeline
from visual_search.images import pool

SIDE, QUALITY, DRAWN = 640, 90, 64
SHARE, RATE = 0.85, 4_000.0


class Counting(pool.Decoder):
    """Count what is left to the CPU: `decoded` in all, `first` of them in the first round."""

    decoded = first = 0

    def decode_many(self, sources: Iterable[bytes], **options: Any) -> Iterator[Any]:
        """Decode as a `pool.Decoder` does."""
        listed = list(sources)
        self.decoded += len(listed)
        return super().decode_many(listed, **options)


def main() -> int:
    """Measure and print; return the exit status."""
    options = arguments()
    if options.device != "cpu" and not torch.cuda.is_available():
        print("no CUDA here")
        return int(options.check)
    sources = list(itertools.islice(itertools.cycle(files(options.folder)), options.images))
    network, weights = default(options.device)
    encoder = joined.Joined([network, colour.ColourEncoder()])
    working = pipeline.Pipeline(encoder, batch_size=options.batch, compiled=not options.eager)
    with Counting() as decoder:
        measured = measure(working, sources, decoder, rounds=options.rounds)
    slower = min(measured["decoder alone"], measured["forward alone"])
    whole = measured["pipeline"]
    name = torch.cuda.get_device_name() if working.device.type == "cuda" else "CPU"
    print(f"{len(sources)} JPEGs, {encoder.name} in {network.runtime.precision}, batches of {options.batch}, {name}")
    how = "compiled" if working.compiled else "eager"
    whose = "nvJPEG" if working.device.type == "cuda" else "torchvision"
    print(
        f"{weights} weights, {how}; {decoder.first} of the JPEGs were decoded by the CPU's processes, "
        f"the others by {whose}"
    )
    for what, rate in measured.items():
        print(f"{what:<16}{rate:10.0f} images/s")
    print(f"{'of the slower':<16}{whole / slower:10.2f}            goal {SHARE}; {RATE:,.0f} images/s in all")
    missed = [
        *(
            [f"the pipeline reaches {whole / slower:.2f} of the slower half, not {SHARE}"]
            if whole < SHARE * slower
            else []
        ),
        *([f"the pipeline reaches {whole:.0f} images/s, not {RATE:.0f}"] if whole < RATE else []),
    ]
    for each in missed if options.check else []:
        print(f"Missed: {each}.")
    return int(options.check and bool(missed))


def default(device: str) -> tuple[network.NetworkEncoder, str]:
    """Return the default encoder, and whose its weights are: speed doesn't depend on them."""
    try:
        state, whose = lite0.state(), "its own"
    except ModuleNotFoundError:
        torch.manual_seed(0)
        state, whose = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), "random"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        torch.save(state, path)
        return network.NetworkEncoder(lite0.build(path=str(path)), device=device, runtime="torch"), whose


def measure(
    working: pipeline.Pipeline, sources: Sequence[bytes], decoder: Counting, *, rounds: int
) -> dict[str, float]:
    """Return the images per second of the pipeline, and of its two halves alone, each on the same pictures."""
    size = working.batch_size
    batches = [sources[start : start + size] for start in range(0, len(sources), size)]
    pixels = [(torch.rand_like(working._empty(part, size)) * 255).round() for part in working._parts]

    def whole() -> None:
        outcomes = list(working.encode_many(sources, decoder=decoder))
        if wrong := [item for item in outcomes if not isinstance(item, np.ndarray)]:
            sys.exit(f"{len(wrong)} pictures were refused: {wrong[0]}")

    def decoding() -> None:
        for batch in batches:
            decode.batch(batch, device=working.device, decoder=decoder)
        finish(working.device)

    def forward() -> None:
        with torch.inference_mode():
            for _ in batches:
                torch.cat([part.features(each) for part, each in zip(working._parts, pixels, strict=True)], 1)
        finish(working.device)

    whole()
    decoder.first = decoder.decoded
    forward()
    works: dict[str, Callable[[], None]] = {"pipeline": whole, "decoder alone": decoding, "forward alone": forward}
    return {
        name: (len(batches) * size if work is forward else len(sources)) / min(seconds(work) for _ in range(rounds))
        for name, work in works.items()
    }


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def finish(device: torch.device) -> None:
    """Wait until the GPU has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def files(folder: Path | None) -> list[bytes]:
    """Return the JPEGs of `folder`, or drawn ones: soft shapes, texture and grain, about as dear as photos."""
    if folder is not None:
        found = [path.read_bytes() for path in sorted(folder.rglob("*.jp*g"))]
        return found or sys.exit(f"There is no .jpg in {folder}.")
    chance = np.random.default_rng(7)
    return [drawn(chance) for _ in range(DRAWN)]


def drawn(chance: np.random.Generator) -> bytes:
    coarse, fine = (
        np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
        for small in (chance.integers(0, 256, (rows, rows, 3), dtype=np.uint8) for rows in (7, 90))
    )
    pixels = 0.8 * coarse + 0.2 * fine + chance.normal(0, 4, (SIDE, SIDE, 1))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Images per second on a GPU, from bytes to vectors.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer pictures, and nothing compiled")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--images", type=int, help="pictures in each round (default: 16,384)")
    parser.add_argument("--batch", type=int, default=256, help="pictures in a batch (default: 256)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    options = parser.parse_args()
    options.images = options.images or (2_048 if options.quick else 16_384)
    options.eager, options.rounds = options.eager or options.quick, 1 if options.quick else 3
    return options


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    sys.exit(main())
