"""Samples on their way into a shard: a line of JSON each, on the disk's side before the next is asked for.

A process that is killed loses at most the line it was writing, and that line is then seen to be torn: it has no end.
Knows lines and bytes; nothing about what a row means.
"""

from __future__ import annotations

import json
import os
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any


def journal_path(folder: Path, number: int) -> Path:
    """The journal of the shard with that number."""
    return folder / f"journal-{number:06d}.jsonl"


def journals(folder: Path) -> list[Path]:
    """The journals of a store, earlier ones first: one at most, but for what a kill has left."""
    return sorted(folder.glob("journal-*.jsonl"))


class Journal:
    """Appends rows to a new file; a row is in it whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row.

        Raises:
            OSError: the disk is full; the rows before are whole, and this one left nothing behind.
        """
        line = json.dumps(row, default=datetime.isoformat).encode("ascii") + b"\n"
        try:
            self._write(line)
        except OSError:
            os.ftruncate(self._handle, self.bytes)
            os.lseek(self._handle, self.bytes, os.SEEK_SET)
            raise
        self.bytes += len(line)

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def close(self) -> None:
        """Let go of the file; it stays."""
        os.close(self._handle)


def replay(path: Path) -> list[dict[str, Any]]:
    """The rows of a journal; of those with one key the last, and no line that was torn.

    A line with an end that cannot be read (no kill can do that, a power cut can) is passed over with a warning: its
    sample is then made again.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:  # a writer has just made it a shard
        return []
    rows = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rows[row["key"]] = row | {"created": datetime.fromisoformat(row["created"])}
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path}:{number}: a damaged line is passed over: {error}", UserWarning, stacklevel=3)
    return list(rows.values())
