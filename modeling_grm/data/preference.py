"""One schema for preference data: what a judge is trained on, whatever dataset it comes from.

    {"id": "tea-1", "conversation": [{"role": "user", "content": "How long does green tea steep?"}],
     "responses": ["Two to three minutes.", "I like trains."], "best": 0, "labels": [1.0, 0.0],
     "reference": None, "source": "made up", "licence": "apache-2.0"}

Every item has a truth to compare a judgement with: two or more responses have one `best`, alone at the top of the
labels; a single response has its label. What has none is no item. Knows nothing about where rows come from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..types_grm import InvalidInput, Request
from ..voting_grm import item_hash

UNSTATED = "none stated"


class NoTruth(InvalidInput):
    """An item that cannot tell a right judgement from a wrong one: no single best response, or no label."""


@dataclass(frozen=True)
class Preference:
    """One item with its truth.

    Attributes:
        request: what is judged.
        best: index of the single best response; None exactly where there is one response.
        labels: one number a response, larger is better; where there is one response, the score that is right.
        source: which dataset it comes from.
        licence: its licence, as its source states it.
        id: unique in its source.

    Raises:
        NoTruth: best and labels do not name one best response (or one response has no label), or the best text is
            there twice.
        InvalidInput: labels that are no numbers, one a response.
    """

    request: Request
    best: int | None
    labels: tuple[float, ...] | None
    source: str
    licence: str
    id: str

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.request.n)
        if self.request.n == 1:
            _check_single(self.best, self.labels)
        else:
            _check_best(self.best, self.labels, self.request.responses)

    @property
    def item(self) -> str:
        """`item_hash` of the request: the same in every order of its responses."""
        return item_hash(self.request)

    @property
    def label(self) -> float | None:
        """The right score of a single response; None for several."""
        return self.labels[0] if self.labels and self.request.n == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """A row of the schema, plain JSON types."""
        return {
            "id": self.id,
            "conversation": list(self.request.query),
            "responses": list(self.request.responses),
            "best": self.best,
            "labels": None if self.labels is None else list(self.labels),
            "reference": self.request.reference,
            "source": self.source,
            "licence": self.licence,
        }


def _check_labels(labels: Sequence[float] | None, n: int) -> None:
    if labels is None:
        return
    if len(labels) != n or not all(isinstance(label, float) and math.isfinite(label) for label in labels):
        raise InvalidInput(f"labels: {list(labels)!r:.60} is not usable; give one number for each of {n} responses")


def _check_single(best: int | None, labels: Sequence[float] | None) -> None:
    if labels is None:
        raise NoTruth("labels: a single response without a label; nothing says which score is right")
    if best is not None:
        raise InvalidInput(f"best: {best!r} of a single response; leave it out")


def _check_best(best: int | None, labels: Sequence[float] | None, responses: Sequence[str]) -> None:
    if best is None:
        raise NoTruth("best: no single best response")
    if isinstance(best, bool) or not isinstance(best, int) or not 0 <= best < len(responses):
        raise InvalidInput(f"best: {best!r} is none of {len(responses)} responses, counted from 0")
    if labels is not None and unique_best(labels) != best:
        raise NoTruth("best: the labels do not put the best response alone at the top")
    if responses.count(responses[best]) > 1:
        raise NoTruth("best: the text of the best response is there twice")


def unique_best(labels: Sequence[float]) -> int | None:
    """Index of the single highest label; None on a tie."""
    top = max(labels)
    return list(labels).index(top) if list(labels).count(top) == 1 else None


@dataclass
class Report:
    """What became of the rows: how many were kept, why the others were dropped, and one example of each reason."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def keep(self, source: str) -> None:
        """Count a row that goes on."""
        self.kept[source] += 1

    def drop(self, source: str, reason: str, example: str) -> None:
        """Count a row that ends here, and keep the first of its kind by name."""
        self.dropped[source, reason] += 1
        self.examples.setdefault((source, reason), example)

    def lose(self, source: str, reason: str, example: str) -> None:
        """Count a row that was kept so far and ends here after all."""
        self.kept[source] -= 1
        self.drop(source, reason, example)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "kept": dict(self.kept),
            "dropped": [
                {"source": source, "reason": reason, "rows": rows, "example": self.examples[source, reason]}
                for (source, reason), rows in self.dropped.most_common()
            ],
        }

    def check(self) -> None:
        """Refuse to go on with nothing.

        Raises:
            InvalidInput: no row was kept; the message has the counts.
        """
        if not self.kept.total():
            lost = "; ".join(f"{rows} of {source}: {reason}" for (source, reason), rows in self.dropped.most_common())
            raise InvalidInput(f"rows: none left of {self.dropped.total()} ({lost or 'there were none'})")


def unique(items: Iterable[Preference], report: Report) -> Iterator[Preference]:
    """Each item once: the first of those that ask the same, whatever the order of their responses."""
    seen: set[str] = set()
    for item in items:
        name = item.item
        if name in seen:
            report.lose(item.source, "the same item again", item.id)
            continue
        seen.add(name)
        yield item


def features() -> Any:
    """`datasets.Features` of the schema.

    Raises:
        ImportError: without datasets.
    """
    try:
        from datasets import Features, List, Value
    except ImportError as error:
        raise ImportError("preference datasets need datasets: pip install 'modeling-grm[train]'") from error
    text = Value("string")
    return Features(
        {
            "id": text,
            "conversation": List({"role": text, "content": text}),
            "responses": List(text),
            "best": Value("int32"),
            "labels": List(Value("float64")),
            "reference": text,
            "source": text,
            "licence": text,
        }
    )


def to_dataset(items: Iterable[Any], columns: Any = None) -> Any:
    """The items as a `datasets.Dataset`.

    Args:
        items: preferences, or anything else whose `to_dict` has the columns.
        columns: their features; those of the schema if None.

    Raises:
        ImportError: without datasets.
    """
    columns = columns or features()
    from datasets import Dataset

    rows = [item.to_dict() for item in items]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in columns}, features=columns)


def from_row(row: Mapping[str, Any]) -> Preference:
    """A row of the schema as an item, all of it checked.

    Raises:
        InvalidInput: a field that is missing or unusable, by name.
    """
    missing = [name for name in ("conversation", "responses") if row.get(name) is None]
    if missing:
        raise InvalidInput(f"row: has no {', '.join(missing)}; it has {sorted(row)}")
    labels, n = row.get("labels"), len(row["responses"])
    best = row.get("best")
    if best is None and labels and n > 1:
        best = unique_best(labels)
    return Preference(
        request=Request(row["conversation"], row["responses"], row.get("reference")),
        best=best,
        labels=None if labels is None else tuple(map(float, labels)),
        source=row.get("source") or UNSTATED,
        licence=row.get("licence") or row.get("license") or UNSTATED,
        id=str(row.get("id", "")),
    )
