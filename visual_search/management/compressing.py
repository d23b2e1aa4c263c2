"""`manage.py visual_search distil | quantise`: a smaller or faster encoder, made of the shop's own pictures."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from PIL import Image

from visual_search import catalog, conf
from visual_search.encoders import registry
from visual_search.exceptions import BadImage
from visual_search.images import limits, pool, source
from visual_search.indexing.sources import pictures
from visual_search.management import indexes, lines

COMPARED = 100
"""Pictures that a quantised network is compared on."""


class Pictures(Sequence[bytes]):
    """The catalogue's pictures, each read when it is asked for; raises what `source.read` does."""

    def __init__(self) -> None:
        shown = catalog.current().products().using(conf.settings.DATABASE)
        products = (shown if shown.query.distinct_fields else shown.order_by("pk")).iterator(500)
        listed = (picture for product in products for picture in pictures.of(product))
        self._files = [picture.file for picture in listed if picture.error is None]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[bytes]: ...
    def __getitem__(self, number: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(number, slice):
            return [source.read(file, limits=limits.CATALOGUE) for file in self._files[number]]
        return source.read(self._files[number], limits=limits.CATALOGUE)


def add_arguments(commands: Any) -> None:
    """Declare both subcommands."""
    distil = commands.add_parser("distil", help="Teach a small encoder what a larger one sees in the shop's pictures.")
    distil.add_argument("--teacher", type=indexes.spec, required=True, help="An encoder: its name, or JSON.")
    distil.add_argument("--student", type=indexes.spec, required=True, help="A network: its name, or JSON.")
    distil.add_argument("--out", type=Path, required=True, help="The .safetensors file to write.")
    distil.add_argument("--epochs", type=int, default=20, help="Times that each picture is seen (default: 20).")
    distil.add_argument("--batch-size", type=int, default=32, help="Pictures before each step (default: 32).")
    distil.add_argument("--seed", type=int, default=0, help="Another one learns in another order (default: 0).")
    distil.add_argument("--resume", action="store_true", help="Go on from the checkpoint beside the file.")
    distil.add_argument("--logs", type=Path, help="Folder for TensorBoard; needs the extra [distil].")
    quantise = commands.add_parser("quantise", help="Calibrate an encoder for int8 on the shop's pictures.")
    quantise.add_argument("encoder", type=indexes.spec, help="A network: its name, or JSON.")
    quantise.add_argument("--out", type=Path, required=True, help="The file to write.")
    quantise.add_argument("--pictures", type=int, default=300, help="Pictures to calibrate on (default: 300).")


def distil(
    command: Any, *, teacher: Any, student: Any, out: Path, resume: bool, logs: Path | None, **options: Any
) -> None:
    """Distil, and say how to build an index of what came of it."""
    network = registry.network_of(student)
    # Imports torch, which no other subcommand needs.
    from visual_search.encoders.distillation import plan, processes, run

    device = processes.device(conf.settings.DEVICE)
    line = lines.ProgressLine(command.stdout)
    count = line.counting("Learning")
    result = run.distil(
        registry.load(teacher, **(conf.machine() | {"device": device})),
        network,
        Pictures(),
        out=out,
        plan=plan.Plan(**{name: options[name] for name in ("epochs", "batch_size", "seed")}),
        device=device,
        resume=resume,
        logs=logs,
        progress=lambda done, total, note: count(done, total, note=note),
    )
    if result.sha256:  # else another process of torchrun's wrote it
        line.close()
        command.stdout.write(
            f"Learned from {result.pictures} pictures; agreement with the teacher on those held out: "
            f"{result.before:.3f} before, {result.after:.3f} now."
        )
        _say(command, student, weights=str(out.resolve()), sha256=result.sha256)


def quantise(command: Any, *, encoder: Any, out: Path, pictures: int, **options: Any) -> None:
    """Quantise, compare with float32 on real pictures, and say how to build an index of what came of it."""
    network = registry.network_of(encoder)
    # Imports torch, which no other subcommand needs.
    from visual_search.encoders import int8
    from visual_search.encoders import network as networks

    full = networks.NetworkEncoder(network, device="cpu", precision="float32", cache=conf.settings.ENCODER_CACHE)
    images = _sample(pictures + COMPARED, min_size=full.input_size)
    calibrated = images[: max(pictures, len(images) - COMPARED)][:pictures]
    sha256 = int8.quantise(full, calibrated, out)
    said = {"precision": "int8", "quantised": str(out.resolve()), "quantised_sha256": sha256}
    made = int8.QuantisedEncoder(registry.network_of(encoder), path=str(out), sha256=sha256)
    found = int8.compare(full, made, images[len(calibrated) :] or images)
    command.stdout.write(f"calibrated on  {len(calibrated)} pictures")
    command.stdout.write(f"cosine         {found.median:.4f} with float32 (median), {found.least:.4f} (least)")
    command.stdout.write(f"pictures/s     {found.speed:.0f}, in float32 {found.former_speed:.0f}, on this machine")
    _say(command, encoder, **said)


def _sample(count: int, *, min_size: int) -> list[Image.Image]:
    listed = Pictures()
    order = random.Random(0).sample(range(len(listed)), min(count, len(listed)))
    with pool.Decoder() as decoder:
        found = decoder.decode_many(_readable(listed, order), limits=limits.CATALOGUE, min_size=min_size)
        return [picture for picture in found if isinstance(picture, Image.Image)]


def _readable(listed: Sequence[bytes], order: Sequence[int]) -> Iterator[bytes]:
    for number in order:
        with contextlib.suppress(BadImage):
            yield listed[number]


def _say(command: Any, former: Any, **said: str) -> None:
    """Print the spec, and the command that creates an index with it in place of the settings' first encoder."""
    made = json.dumps(_options(former) | said)
    rest = [each if isinstance(each, str) else json.dumps(dict(each)) for each in conf.settings.ENCODERS[1:]]
    command.stdout.write(command.style.SUCCESS(made))
    arguments = " ".join(f"--encoder '{each}'" for each in (made, *rest))
    command.stdout.write(f"To try it, beside the live index: manage.py visual_search index create {arguments}")


def _options(spec: Any) -> dict[str, Any]:
    return {"name": spec} if isinstance(spec, str) else dict(spec)
