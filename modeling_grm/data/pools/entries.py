"""A row of the whole dataset: a preference item, and which pool, defect and strength it is of.

    entry.to_dict() -> the schema of `data.preference`, and the columns of `NOTES`

An entry's part goes by its last prompt, without what a source or the contrast set added to it, so that no prompt is in
two parts. Knows nothing about where entries come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..contrast.grown import PARTS, part_of
from ..contrast.instructions import INSTRUCTIONS
from ..preference import Preference, Report, features, from_row
from .targets import Draft

POOLS = ("contrast", "whole", "verifiable", "human")
NOTES: dict[str, str] = {
    "pool": "contrast: defects made by rule; whole: the same in responses of any kind; verifiable: solutions right or "
    "wrong; human: preferences",
    "subset": "the main defect or kind of error; of the human pool the source's own subset",
    "strength": "of the main defect: plain, clear or subtle; null where there is none",
    "defects": "a response each: what is wrong with it, null where nothing is; null for the human pool",
    "strengths": "a response each: the strength of its defect",
    "programmatic": "a rule of this project made the wrong responses, and the label follows from it",
    "target": "a whole judgement that says so, written by rule; null where no rule can write one",
}
SHARED = "an earlier turn is in another part"
_PASSAGES = re.compile(r"\n\s*Passages:\n.*", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One row; `NOTES` says what its fields hold."""

    item: Preference
    pool: str
    subset: str
    defects: tuple[str | None, ...] | None = None
    strengths: tuple[str | None, ...] | None = None
    strength: str | None = None
    programmatic: bool = False
    target: Draft | str | None = None

    @property
    def part(self) -> str:
        """train, meta or test."""
        return part_of(asked(self.item.request.query))

    @property
    def turns(self) -> set[str]:
        """What the user says, the last turn as a part goes by it."""
        *earlier, _ = self.item.request.query
        said = [turn["content"] for turn in earlier if turn["role"] == "user"]
        return {text.strip().lower() for text in (*said, asked(self.item.request.query))}

    @property
    def n(self) -> int:
        """Responses."""
        return self.item.request.n

    @property
    def label(self) -> str:
        """Pool and source, to count by."""
        return f"{self.pool}: {self.item.source}"

    def moved(self, place: int) -> Entry:
        """The same with the best response at that place; it and the one that stood there change places."""
        order, best = list(range(self.n)), self.item.best
        if best is None or best == place:
            return self
        order[best], order[place] = place, best
        request = self.item.request
        item = replace(
            self.item,
            request=replace(request, responses=_ordered(request.responses, order)),
            best=place,
            labels=_ordered(self.item.labels, order),
        )
        return replace(
            self,
            item=item,
            defects=_ordered(self.defects, order),
            strengths=_ordered(self.strengths, order),
            target=self.target.ordered(order) if isinstance(self.target, Draft) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        own = {name: getattr(self, name) for name in NOTES}
        own["target"] = None if self.target is None else str(self.target)
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        return self.item.to_dict() | lists


def _ordered(values: Any, order: Sequence[int]) -> Any:
    return None if values is None else tuple(values[at] for at in order)


def asked(turns: Sequence[Mapping[str, str]]) -> str:
    """The last prompt without a contrast instruction and without QA-Feedback's passages."""
    text = _PASSAGES.sub("", turns[-1]["content"]).strip()
    for instruction in INSTRUCTIONS:
        text = text.removesuffix(f" {instruction.ask}")
    return text.strip()


def apart(entries: Iterable[Entry], report: Report) -> list[Entry]:
    """The entries of which no user's turn is in two parts: test keeps all of its own, meta what test does not have."""
    by_part: dict[str, list[Entry]] = {part: [] for part in PARTS}
    for entry in entries:
        by_part[entry.part].append(entry)
    kept: list[Entry] = []
    for rows in reversed(by_part.values()):
        taken = {turn for entry in kept for turn in entry.turns}
        for entry in rows:
            if entry.turns & taken:
                report.lose(entry.label, SHARED, entry.item.id)
            else:
                kept.append(entry)
    return kept


def of_contrast(row: Mapping[str, Any]) -> Entry:
    """A row of `contrast.grown.grow`."""
    meta = row["meta"]
    return Entry(
        item=from_row(row),
        pool="contrast",
        subset=row["subset"],
        defects=tuple(meta["defects"]),
        strengths=tuple(meta["strengths"]),
        strength=meta["strength"],
        programmatic=True,
        target=meta["target"],
    )


def columns() -> Any:
    """`datasets.Features` of an entry.

    Raises:
        ImportError: without datasets.
    """
    found = features()
    from datasets import Features, List, Value

    text = Value("string")
    kinds = {"defects": List(text), "strengths": List(text), "programmatic": Value("bool")}
    return Features({**found, **{name: kinds.get(name, text) for name in NOTES}})
