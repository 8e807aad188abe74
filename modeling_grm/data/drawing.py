"""Rows drawn by the hash of their id, so that a smaller draw is a part of a larger one, and written as .jsonl.gz."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def draw(name: str, id: object) -> str:
    """By which the rows of a draw of that name are sorted, of a row's id."""
    return hashlib.sha256(f"{name} {id}".encode()).hexdigest()


def words(row: Row) -> int:
    """Of all texts of a row together."""
    texts = [*(turn["content"] for turn in row["conversation"]), *row["responses"]]
    return sum(len(text.split()) for text in texts)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A row a line, without a time in the file, so that the same rows give the same bytes; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))
