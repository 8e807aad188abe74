"""Items from rows: named, labelled, and with no label told by a place.

    pair("easy-1", "What is 2+2?", "4", "22", subset="easy")
    -> Item("easy-1", Request("What is 2+2?", ["22", "4"]), "easy", best=1, labels=(0.0, 1.0))

Knows nothing about any one benchmark or about files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..data.preference import unique_best
from ..rows import Row
from ..types_grm import InvalidInput, Request
from .base import Item, LeftOut, Record


def lot(*key: object) -> int:
    """A number in 0..2^256-1 that belongs to this key: chance that is the same everywhere."""
    return int(hashlib.sha256(json.dumps(key, separators=(",", ":")).encode("ascii")).hexdigest(), 16)


def kept(id: str, request: Request, labels: Sequence[float], subset: str, **meta: Any) -> Item:
    """Labelled responses as an item, in the order in which they stand."""
    return Item(id, request, subset, single_best(labels), tuple(float(label) for label in labels), meta)


def single_best(labels: Sequence[float]) -> int | None:
    """The place of the single highest label; None where several share it, or there is only one."""
    return unique_best(labels) if len(labels) > 1 else None


def from_row(row: Row, record: Record, low: float = 0, high: float = 1) -> Item:
    """A row of the project's own schema as an item, without its reference answer and in an order drawn by the id.

    Args:
        row: the row, as `rows.row_from` reads it.
        record: the same with all its columns; `subset` and `labels` must be there.
        low, high: between these are the labels.

    Raises:
        InvalidInput: labels that are missing, do not fit the responses, or are out of range.
        LeftOut: several responses with one label: there is nothing to tell apart.
    """
    labels = checked_labels(record["labels"], row.request.n, low, high)
    if len(set(labels)) == 1 < len(labels):
        raise LeftOut("the responses have one label")
    return listed(row.id, row.request.query, row.request.responses, labels, str(record["subset"]))


def checked_labels(labels: Any, n: int, low: float = 0, high: float = 1) -> list[float]:
    """One number between `low` and `high` for each of n responses.

    Raises:
        InvalidInput: they are not.
    """
    if not isinstance(labels, Sequence) or isinstance(labels, str) or len(labels) != n:
        raise InvalidInput(f"labels: {labels!r} are not usable; give one number for each of the {n} responses")
    if not all(isinstance(label, (int, float)) and low <= label <= high for label in labels):
        raise InvalidInput(f"labels: {labels!r} are out of range; give numbers between {low} and {high}")
    return [float(label) for label in labels]


def row_items(row: Row, record: Record) -> list[Item]:
    """The same, for rows of which each is one item with labels in 0..1."""
    return [from_row(row, record)]


def pair(id: str, query: Any, chosen: str, rejected: str, subset: str, **meta: Any) -> Item:
    """A right and a wrong response as an item; which stands first is drawn by the id."""
    return listed(id, query, [chosen, rejected], [1.0, 0.0], subset, **meta)


def listed(id: str, query: Any, responses: Sequence[str], labels: Sequence[float], subset: str, **meta: Any) -> Item:
    """Labelled responses as an item, in an order drawn by the id, so that no place tells a label.

    Names in `meta` that begin with `by_response` are lists aligned with the responses, and move with them.
    """
    places = sorted(range(len(responses)), key=lambda at: lot(id, at))
    moved = {
        name: [value[at] for at in places] if name.startswith("by_response") else value for name, value in meta.items()
    }
    request = Request(query, [responses[at] for at in places])
    return kept(id, request, [labels[at] for at in places], subset, **moved)


def content_id(*texts: str) -> str:
    """A name for a row that has none: 12 hex digits of what it says."""
    return f"{lot(*texts):064x}"[:12]
