"""Stored samples as compact arrays, one group for all items with the same number of responses and of samples.

    runs = load_runs([{"item": "9f..", "n": 2, "sample": 0, "order": [1, 0], "seed": 7, "outcome": "ok",
                       "scores": [3, 8], "completion_tokens": 210, "best": 1}, ...])
    runs.groups[0].scores          int64 [items, K, n], caller's order, 0 where the sample is not OK

Reads rows (or Arrow record batches) one at a time, and of each only `COLUMNS`. Knows nothing about files, rules or
texts.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .types_grm import InvalidInput, Outcome

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEEDED = ("item", "n", "sample", "order", "outcome", "scores")
OPTIONAL = ("expected", "meta_score", "seed", "completion_tokens", "labels", "best")
COLUMNS = NEEDED + OPTIONAL
UNKNOWN = -1


@dataclass(frozen=True)
class Group:
    """Items with n responses and K samples each; K runs over the samples in their own order.

    Attributes:
        items: the items' hashes, sorted.
        sample: [I, K] each sample's own number j.
        ok: [I, K] the sample may vote.
        scores: [I, K, n] in the caller's order; 0 where the sample is not OK.
        expected: [I, K, n] expected scores; NaN where the engine gave none.
        meta: [I, K] the meta RM's logit; NaN where it said nothing, or nothing finite.
        tokens: [I, K] tokens written; 0 where the engine does not count them.
        seed: [I, K] the sample's own seed.
        order: [I, K, n] `order[.., shown]` = caller's index.
        best: [I] the labelled best response; -1 where nobody said.
    """

    items: tuple[str, ...]
    sample: Ints
    ok: Bools
    scores: Ints
    expected: Floats
    meta: Floats
    tokens: Ints
    seed: Ints
    order: Ints
    best: Ints

    @property
    def n(self) -> int:
        """Responses an item."""
        return self.scores.shape[2]

    @property
    def k(self) -> int:
        """Samples an item."""
        return self.scores.shape[1]

    def pick(self, keep: Bools | slice) -> Group:
        """The same with some of the items only."""
        arrays = {name: getattr(self, name)[keep] for name in self.__dataclass_fields__ if name != "items"}
        return Group(tuple(np.array(self.items, dtype=object)[keep]), **arrays)


@dataclass(frozen=True)
class Runs:
    """All groups of a store, by number of responses, then of samples."""

    groups: tuple[Group, ...]

    @property
    def counts(self) -> dict[int, int]:
        """K -> how many items hold that many samples."""
        counts: Counter[int] = Counter()
        for group in self.groups:
            counts[group.k] += len(group.items)
        return dict(sorted(counts.items()))

    @property
    def labelled(self) -> tuple[Group, ...]:
        """The items whose accuracy can be told: more than one response, and a labelled best."""
        known = (group.pick(group.best != UNKNOWN) for group in self.groups if group.n > 1)
        return tuple(group for group in known if group.items)

    @property
    def excluded(self) -> dict[str, int]:
        """Why items do not count for accuracy -> how many."""
        single = sum(len(group.items) for group in self.groups if group.n == 1)
        unknown = sum(int((group.best == UNKNOWN).sum()) for group in self.groups if group.n > 1)
        return {"one response": single, "no labelled best": unknown}


def load_runs(stored: Iterable[Any]) -> Runs:
    """Pack stored samples, in whatever order they come.

    Args:
        stored: rows (mappings with `COLUMNS`; only `NEEDED` must be there), or Arrow record batches of them.
            An item's labelled best is its `best`, else the single highest of its `labels`.

    Raises:
        InvalidInput: nothing stored, a column that is missing, a sample that is there twice, scores that do not fit n,
            or rows that disagree about their item.
    """
    packs: dict[int, _Pack] = {}
    items: dict[str, _Item] = {}
    for row in _rows(stored):
        item = items.get(row.item)
        if item is None:
            item = items[row.item] = _Item(len(items), row.n)
        item.learn(row)
        packs.setdefault(row.n, _Pack(row.n)).add(item.at, row)
    if not items:
        raise InvalidInput("stored: no samples are stored; score something with a store first")
    names = np.array(list(items), dtype=object)
    best = np.array([item.best for item in items.values()], dtype=np.int64)
    groups = [group for n in sorted(packs) for group in packs[n].groups(names, best)]
    return Runs(tuple(groups))


class _Row(NamedTuple):
    item: str
    n: int
    sample: int
    order: Sequence[int]
    outcome: str
    scores: Sequence[int] | None
    expected: Sequence[float] | None
    meta_score: float | None
    seed: int | None
    completion_tokens: int | None
    labels: Sequence[float] | None
    best: int | None


def _rows(stored: Iterable[Any]) -> Iterator[_Row]:
    for part in stored:
        if isinstance(part, Mapping):
            _check_columns(part)
            yield _Row._make(part.get(name) for name in COLUMNS)
        else:
            yield from map(_Row, *_columns(part))


def _columns(batch: Any) -> Iterator[Any]:
    """The columns of an Arrow batch or table as Python values; an optional one that it lacks is None all along."""
    there = set(batch.schema.names)
    _check_columns(there)
    for name in COLUMNS:
        yield batch.column(name).to_pylist() if name in there else repeat(None, batch.num_rows)


def _check_columns(there: Iterable[str]) -> None:
    missing = sorted(set(NEEDED) - set(there))
    if missing:
        raise InvalidInput(f"stored: the rows have no {', '.join(missing)}; give the rows of a trajectory store")


@dataclass
class _Item:
    """What the rows of one item must agree on."""

    at: int
    n: int
    best: int = UNKNOWN

    def learn(self, row: _Row) -> None:
        if row.n != self.n:
            raise InvalidInput(f"n: item {row.item} has {self.n} responses in one row and {row.n} in another")
        best = _best(row)
        if UNKNOWN not in (best, self.best) and best != self.best:
            raise InvalidInput(
                f"best: item {row.item} has {self.best} in one row and {best} in another; "
                "its responses may stand in two orders: keep the rows of one of them"
            )
        self.best = max(self.best, best)


def _best(row: _Row) -> int:
    best, labels = row.best, row.labels
    if best is None and labels and len(labels) == row.n and labels.count(max(labels)) == 1:
        best = labels.index(max(labels))
    if best is not None and not 0 <= best < row.n:
        raise InvalidInput(f"best: {best} of item {row.item} is none of its {row.n} responses, counted from 0")
    return UNKNOWN if best is None else best


@dataclass
class _Pack:
    """The samples of all items with n responses, one flat array a column."""

    n: int
    whole: dict[str, array[int]] = field(default_factory=dict)
    real: dict[str, array[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.whole = {name: array("q") for name in ("item", "sample", "seed", "tokens")}
        self.whole |= {name: array("i") for name in ("scores", "order")} | {"ok": array("b")}
        self.real = {name: array("d") for name in ("meta", "expected")}

    def add(self, item: int, row: _Row) -> None:
        n, ok, whole, real = self.n, row.outcome == Outcome.OK.value, self.whole, self.real
        if len(row.order) != n or (ok and (row.scores is None or len(row.scores) != n)):
            raise InvalidInput(f"scores: sample {row.sample} of item {row.item} does not fit its {n} responses")
        whole["item"].append(item)
        whole["sample"].append(row.sample)
        whole["seed"].append(row.seed or 0)
        whole["tokens"].append(row.completion_tokens or 0)
        whole["ok"].append(ok)
        whole["order"].extend(row.order)
        whole["scores"].extend(row.scores if ok and row.scores else [0] * n)
        real["meta"].append(row.meta_score if row.meta_score is not None and isfinite(row.meta_score) else nan)
        real["expected"].extend(row.expected if row.expected and len(row.expected) == n else [nan] * n)

    def groups(self, names: NDArray[np.object_], best: Ints) -> Iterator[Group]:
        """The samples by item and sample, cut where the number of samples an item changes."""
        flat = {name: np.asarray(column) for name, column in {**self.whole, **self.real}.items()}
        for name in ("scores", "order", "expected"):
            flat[name] = flat[name].reshape(-1, self.n)
        by_name = np.argsort(np.argsort(names))[flat["item"]]
        turn = np.lexsort((flat["sample"], by_name))
        flat = {name: column[turn] for name, column in flat.items()}
        self._refuse_doubles(flat, names)
        held = np.bincount(flat["item"], minlength=len(names))
        for k in np.unique(held[held > 0]):
            yield self._group(int(k), {name: part[held[flat["item"]] == k] for name, part in flat.items()}, names, best)

    def _refuse_doubles(self, flat: dict[str, Any], names: NDArray[np.object_]) -> None:
        item, sample = flat["item"], flat["sample"]
        twice = np.flatnonzero((item[1:] == item[:-1]) & (sample[1:] == sample[:-1]))
        if twice.size:
            raise InvalidInput(
                f"stored: {twice.size} samples are there twice, first sample {sample[twice[0]]} of item "
                f"{names[item[twice[0]]]}; keep the rows of one model and one setting"
            )

    def _group(self, k: int, flat: dict[str, Any], names: NDArray[np.object_], best: Ints) -> Group:
        item = flat.pop("item")[::k]
        cubes = {name: part.reshape(len(item), k, *part.shape[1:]) for name, part in flat.items()}
        cubes |= {name: cubes[name].astype(np.int64) for name in ("scores", "order")} | {"ok": cubes["ok"].astype(bool)}
        return Group(tuple(names[item]), best=best[item], **cubes)
