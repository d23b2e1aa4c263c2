"""The process that decodes for `images.pool`: it knows nothing, may do little, and can be killed.

A message is two lengths, a JSON header and a body: in a request the options and the file, in an answer the size and the
pixels (RGB), or the code and message of a `BadImage`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import signal
import struct
import sys
import time
from typing import Any

from visual_search import exceptions
from visual_search.images import decode, limits

LENGTHS = struct.Struct(">II")
_MEMORY = 2**30


def message(header: dict[str, Any], body: bytes) -> bytes:
    """Return `header` and `body` as one message."""
    encoded = json.dumps(header).encode()
    return LENGTHS.pack(len(encoded), len(body)) + encoded + body


def request(data: bytes, *, bounds: limits.Limits, min_size: int | None, seconds: float) -> bytes:
    """Return the message that asks for `data` to be decoded in at most `seconds` of processor time."""
    return message({"limits": dataclasses.asdict(bounds), "min_size": min_size, "seconds": seconds}, data)


def answer(header: dict[str, Any], data: bytes) -> bytes:
    """Decode `data` as the request's `header` asks, and return the message that says what came of it."""
    options = dict(header["limits"], formats=tuple(header["limits"]["formats"]))
    try:
        image = decode.decode(data, limits=limits.Limits(**options), min_size=header["min_size"])
        return message({"size": image.size}, image.tobytes())
    except exceptions.BadImage as error:
        return message({"code": error.code, "message": str(error)}, b"")


def main() -> None:
    """Answer requests from standard input until it ends, as it does when the parent dies."""
    # Ctrl-C goes to the whole group; the parent decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a codec prints must not land between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _confine()
    while lengths := requests.read(LENGTHS.size):
        header_length, body_length = LENGTHS.unpack(lengths)
        header = json.loads(requests.read(header_length))
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + header["seconds"]) + 1)
        answers.write(answer(header, requests.read(body_length)))
        answers.flush()


def _confine() -> None:
    """Take from this process what decoding doesn't need."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    try:
        with open("/proc/self/statm") as statistics:
            mapped = int(statistics.read().split()[0]) * resource.getpagesize()
    except OSError:
        # Without /proc (macOS) nobody knows what is mapped already, and a guess could forbid any work.
        return
    _limit(resource.RLIMIT_AS, mapped + _MEMORY)


def _limit(kind: int, value: int) -> None:
    # The soft limit alone: it is raised again for the next picture, and the hard one may be lower already.
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main()
