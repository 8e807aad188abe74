"""Rows drawn by the hash of their id, so that a smaller draw is a part of a larger one, and written as .jsonl.gz."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput

Row = Mapping[str, Any]
KEPT = ("id", "licence", "pool", "source", "subset", "strength", "conversation", "responses", "labels")
"""What is kept of a row of the preference dataset that is drawn to be judged."""


def draw(name: str, id: object) -> str:
    """By which the rows of a draw of that name are sorted, of a row's id."""
    return hashlib.sha256(f"{name} {id}".encode()).hexdigest()


def words(row: Row) -> int:
    """Of all texts of a row together."""
    texts = [*(turn["content"] for turn in row["conversation"]), *row["responses"]]
    return sum(len(text.split()) for text in texts)


def shared(
    rows: Iterable[Row],
    items: int,
    shares: Mapping[Hashable, int],
    kind: Callable[[Row], Hashable],
    name: str,
    most_words: int,
) -> Iterator[dict[str, Any]]:
    """Each kind's share of a draw, in the order of the draw: one that was judged halfway has all kinds.

    Args:
        rows: of the preference dataset.
        items: how many rows in all.
        shares: kind -> so many of 100; others are left out.
        kind: a row's.
        name: of the draw.
        most_words: longer rows are left out.

    Raises:
        InvalidInput: a kind has too few rows, or no row is asked for.
    """
    if items < 1:
        raise InvalidInput(f"items: {items} is not usable; give a number of rows, at least 1")
    left = {group: round(items * share / 100) for group, share in shares.items()}
    for row in sorted((row for row in rows if words(row) <= most_words), key=lambda row: draw(name, row["id"])):
        if left.get(kind(row), 0):
            left[kind(row)] -= 1
            yield {column: row[column] for column in KEPT}
    short = {group: count for group, count in left.items() if count}
    if short:
        raise InvalidInput(
            f"items: with at most {most_words} words there are too few rows for {items}; missing: {short}"
        )


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A row a line, without a time in the file, so that the same rows give the same bytes; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))
