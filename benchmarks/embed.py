"""
Print images per second from files to vectors: a naive loop, the product's pipeline, and the bare network.

    python benchmarks/embed.py [--quick] [--check] [--images N] [--device DEVICE] [FOLDER]

Without a FOLDER of JPEGs it draws 12-megapixel ones into a temporary folder. `--quick` takes under a minute;
`--check` exits with 1 where a goal is missed, and names it.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visual_search.encoders import lite0, network, pipeline
from visual_search.images import limits, pool

GOAL = 2.0
SIZE = (4032, 3024)
BATCH = 16


def draw(folder: Path, count: int) -> None:
    """Write `count` JPEGs that are about as dear to decode as a phone's: soft shapes, texture, grain, quality 90."""
    chance = np.random.default_rng(7)
    grain = chance.normal(0, 4, (SIZE[1], SIZE[0], 1)).astype(np.float32)
    for number in range(count):
        coarse, fine = (
            np.asarray(Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC), np.float32)
            for small in (chance.integers(0, 256, (rows, rows * 4 // 3, 3), dtype=np.uint8) for rows in (9, 189))
        )
        pixels = np.clip(0.8 * coarse + 0.2 * fine + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)


def naive(model: network.Network, device: torch.device, files: list[Path]) -> None:
    """Do what a tutorial does: one picture after the other, decoded whole, eager, in full precision."""
    size = model.prepare.size
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.prepare.mean, model.prepare.std))
    for path in files:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
        with torch.no_grad():
            model.pool(model.body(((pixels - mean) / std)[None].to(device))).cpu().numpy()


def product(encoder: network.NetworkEncoder, decoder: pool.Decoder, files: list[Path]) -> None:
    """Run the product's pipeline."""
    sources = (path.read_bytes() for path in files)
    found = pipeline.encode_many(encoder, sources, decoder=decoder, limits=limits.CATALOGUE, batch_size=BATCH)
    refused = [item for item in found if not isinstance(item, np.ndarray)]
    if refused:
        sys.exit(f"{len(refused)} pictures were refused: {refused[0]}")


def bare(encoder: network.NetworkEncoder, batches: int) -> None:
    """Run the network alone, on numbers that are ready."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8)
    for _ in range(batches):
        encoder.runtime.forward(pixels, network.average)


def rate(count: int, work: Callable[[], None], *, rounds: int) -> float:
    """Return images per second: the best of `rounds`, since what else the machine does only ever costs time."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return count / min(times)


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description="Images per second from files to vectors.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer pictures, one round")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    parser.add_argument("--images", type=int, default=64, help="drawn pictures")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    count, rounds = (24, 1) if options.quick else (options.images, 3)

    with tempfile.TemporaryDirectory() as temporary:
        if options.folder is None:
            draw(Path(temporary), min(count, 8))
        pictures = sorted((options.folder or Path(temporary)).rglob("*.jpg"))
        files = (pictures * (count // max(len(pictures), 1) + 1))[:count]
        if not files:
            sys.exit(f"There is no .jpg in {options.folder}.")

        encoder = network.NetworkEncoder(lite0.build(), device=options.device)
        plain = lite0.build()
        plain.body.eval().to(encoder.runtime.device)
        with pool.Decoder() as decoder:
            naive(plain, encoder.runtime.device, files[:2])
            product(encoder, decoder, files[: 2 * BATCH])
            bare(encoder, 2)
            few = files[: max(4, count // 4)]
            loop = rate(len(few), functools.partial(naive, plain, encoder.runtime.device, few), rounds=rounds)
            whole = rate(count, functools.partial(product, encoder, decoder, files), rounds=rounds)
            network_alone = rate(4 * BATCH, functools.partial(bare, encoder, 4), rounds=rounds)
        with Image.open(files[0]) as first:
            size = f"{first.width} x {first.height}"

    print(f"{count} JPEGs of {size}, {encoder.name} on {encoder.runtime.device} in {encoder.runtime.precision}")
    print(f"{'naive loop':<12}{loop:8.1f} images/s")
    print(f"{'pipeline':<12}{whole:8.1f} images/s   {whole / loop:.1f} times the naive loop, goal {GOAL:g}")
    print(f"{'bare network':<12}{network_alone:8.1f} images/s")
    if options.check and whole < GOAL * loop:
        print(f"Missed: the pipeline is {whole / loop:.2f} times as fast as the naive loop; the goal is {GOAL:g}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
