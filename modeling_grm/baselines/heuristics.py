"""Baselines without a model: the shortest, the longest, or the first response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..benchmarks.base import Item
from ..reports.figures import HEURISTICS
from .base import Answer


class Heuristic:
    """One of `reports.HEURISTICS` as a baseline."""

    k = 0

    def __init__(self, name: str) -> None:
        self.about: dict[str, Any] = {"kind": "heuristic", "model": name}
        self.scores = HEURISTICS[name]

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """No item is refused."""
        return (Answer(self.scores(item.request.responses)) for item in items)
