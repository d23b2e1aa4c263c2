"""A storage that misbehaves as a file in its folder says, for each process that shares the folder."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage

ORDERS = "storage.json"


class Unreliable(FileSystemStorage):
    """Opens files as {name: what goes wrong} in the file `storage.json` says; "*" is for every name."""

    def _open(self, name: str, mode: str = "rb") -> File:
        wrong = _orders(Path(self.location))
        what = wrong.get(name, wrong.get("*"))
        if what is None:
            return super()._open(name, mode)
        return {
            "hangs": self._hangs,
            "drips": self._drips,
            "missing": self._missing,
            "forbidden": self._forbidden,
            "full": self._full,
            "other": self._other,
        }[what](name)

    def _hangs(self, name: str) -> File:
        time.sleep(3_600)
        raise AssertionError("unreachable")

    def _drips(self, name: str) -> File:
        return _Dripping(self.path(name))

    def _missing(self, name: str) -> File:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _forbidden(self, name: str) -> File:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)

    def _full(self, name: str) -> File:
        # As a storage does that caches what it fetches.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _other(self, name: str) -> File:
        return ContentFile(b"<Error><Code>SlowDown</Code></Error>", name)


class _Dripping(File):
    """A byte a second."""

    def __init__(self, path: str) -> None:
        super().__init__(open(path, "rb"), path)  # noqa: SIM115

    def read(self, size: int = -1) -> bytes:
        time.sleep(1)
        return self.file.read(1)


def order(folder: Path, **wrong: str) -> None:
    """Have the storage of `folder` misbehave from now on: order(folder, **{"products/1.png": "hangs"})."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{ORDERS}.new"
    new.write_text(json.dumps(wrong))
    new.replace(folder / ORDERS)


def _orders(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / ORDERS).read_text())
    except FileNotFoundError:
        return {}
