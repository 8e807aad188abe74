"""What a benchmark is made of: items to judge, judged items, and what is known of the benchmark itself.

    item = Item("easy-1", Request("What is 2+2?", ["4", "22"]), subset="easy", best=0, labels=(1.0, 0.0))
    BENCHMARKS["llmbar"].official([Judged(item, scores=(8.0, 3.0))])["headline"]
    -> {"name": "mean of five subsets", "value": 1.0}

Knows nothing about any one benchmark, about files or about models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..rows import Row
from ..types_grm import InvalidInput, Request

Record = Mapping[str, Any]
"""One row as its file has it: column -> value."""


class LeftOut(Exception):
    """A row that does not belong to the metric, by its authors' own rule; the message is the reason, for counting."""


@dataclass(frozen=True)
class Item:
    """One thing to judge.

    Attributes:
        id: unique in the benchmark.
        request: what the judge sees.
        subset: the official subset.
        best: the index of the single right response; None where several or none are right, or there is only one.
        labels: one number a response: 1 right and 0 wrong, or a rating; for a single response its label.
        meta: what the official metric needs beside. `unit` names what only counts as a whole where several items come
            from one source row (or from two that belong together); `swapped` says that this is the other order.
    """

    id: str
    request: Request
    subset: str
    best: int | None = None
    labels: tuple[float, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != self.request.n:
            raise InvalidInput(f"labels: {len(self.labels)} for {self.request.n} responses; give one a response")
        if self.best is not None and not 0 <= self.best < self.request.n:
            raise InvalidInput(f"best: {self.best!r} is none of {self.request.n} responses, counted from 0")

    @property
    def unit(self) -> str:
        """What is drawn or left out as a whole."""
        return str(self.meta.get("unit", self.id))


def swapped(item: Item) -> Item:
    """The same item with its responses in the reverse order, as another item."""
    request = replace(item.request, responses=item.request.responses[::-1])
    labels = None if item.labels is None else item.labels[::-1]
    best = None if item.best is None else item.request.n - 1 - item.best
    meta = {name: value[::-1] if name.startswith("by_response") else value for name, value in item.meta.items()}
    return Item(f"{item.id}/swapped", request, item.subset, best, labels, meta | {"unit": item.unit, "swapped": True})


def both_orders(items: Iterable[Item]) -> list[Item]:
    """Every item, and behind it the same one in the other order."""
    return [shown for item in items for shown in (item, swapped(item))]


@dataclass(frozen=True)
class Judged:
    """An item and what the judge said.

    `scores` stand in the order of the item's responses; None where the judge abstained or could not be read. Give mean
    votes, not sums: some metrics compare scores of different items, and sums grow with the number of readable samples.
    """

    item: Item
    scores: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.scores is not None and len(self.scores) != self.item.request.n:
            raise InvalidInput(
                f"scores: {len(self.scores)} for the {self.item.request.n} responses of {self.item.id}; "
                "give one a response, or None"
            )

    @cached_property
    def chosen(self) -> tuple[int, ...]:
        """The places that share the highest score; none where there are no scores."""
        scores = self.scores or ()
        highest = max(scores, default=0.0)
        return tuple(at for at, score in enumerate(scores) if score == highest)

    @cached_property
    def worth(self) -> tuple[float, ...]:
        """The labels of those."""
        return tuple((self.item.labels or ())[at] for at in self.chosen)


@dataclass(frozen=True)
class Source:
    """Where rows of a benchmark lie.

    Attributes:
        hub: dataset id on the Hub; None where there is none.
        split: its split.
        files: how the same rows may be called in a local folder, without the file's ending; `*` and `/` as in glob.
        columns: the columns that must be there.
        config: its configuration, None for the default one.
        name: what `items` tells sources apart by.
        url: a JSON file, at a fixed commit, where the Hub has no readable copy.
    """

    hub: str | None
    split: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    config: str | None = None
    name: str = ""
    url: str | None = None

    @property
    def label(self) -> str:
        """Such as `allenai/reward-bench (filtered)`."""
        inner = ", ".join(part for part in (self.config, self.split) if part)
        return f"{self.hub} ({inner})" if self.hub else self.url or self.name


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: where its rows are, how they become items, and how its authors' code scores them.

    Attributes:
        name: as `grm bench` takes it.
        hub_id: dataset ids on the Hub; empty where it is not there.
        rows: the official number of rows.
        metric: what the headline is, in one line.
        source: paper or code.
        licence: of the rows.
        gated: the Hub asks for a login and for the terms to be accepted.
        sources: the same rows, part by part.
        items: one row with the Hub's own columns -> its items. Raises LeftOut; InvalidInput, KeyError, TypeError or
            ValueError for a row that cannot be used.
        official: judged items -> the report (`metrics.report`).
        subsets: the official subsets; empty where they are not a closed list.
        local: files of the project's own row schema that hold (some of) the same rows, without the ending.
        local_items: the same as `items`, for a row of those; None where each is one item with labels in 0..1.
        both_orders: the official protocol shows each pair in both orders. A judge whose vote does not depend on the
            order needs one; of any other, give `official` the judgements of both orders (`both_orders(items)`).
        where: how to get rows that no Hub id or URL gives.
    """

    name: str
    hub_id: tuple[str, ...]
    rows: int
    metric: str
    source: str
    licence: str
    gated: bool
    sources: tuple[Source, ...]
    items: Callable[[Record, Source], Iterable[Item]]
    official: Callable[[Sequence[Judged]], dict[str, Any]]
    subsets: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    local_items: Callable[[Row, Record], Iterable[Item]] | None = None
    both_orders: bool = False
    where: str = ""


@dataclass(frozen=True)
class Loaded:
    """A benchmark's items, ready to be judged.

    Attributes:
        items: in the order of their ids' lots, the same whatever the order of the rows.
        partial: they are less than the official set.
        where: the Hub ids or the folder that they come from.
        dropped: why rows were left out -> how many.
        empty: how many responses are empty texts; they are judged like any other.
    """

    items: list[Item]
    partial: bool
    where: str
    dropped: dict[str, int] = field(default_factory=dict)
    empty: int = 0
