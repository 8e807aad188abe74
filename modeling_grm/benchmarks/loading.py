"""From a benchmark to items: its rows are read, made into items, told apart, and drawn from.

    load(BENCHMARKS["rewardbench"], Path("folder"), limit=200) -> Loaded(items=[...], partial=True, where="folder/...")

The same rows give the same items whatever their order: chance comes from hashes of ids, and a limit takes from each
subset its due. Knows nothing about judging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

from ..rows import BadRow, row_from
from ..types_grm import InvalidInput
from ..voting_grm import item_hash
from .base import Benchmark, Item, LeftOut, Loaded, Record, Source
from .making import lot, row_items
from .reading import LOCAL_COLUMNS, Placed, files_of, hub_rows, local_rows, unreachable

UNUSABLE = "not usable"  # how the reason begins why a row was dropped that should have been an item

Make = Callable[[Record], Iterable[Item]]
"""One row -> its items."""


def load(
    benchmark: Benchmark,
    data: Path | None = None,
    subsets: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Loaded:
    """The items of a benchmark.

    Args:
        benchmark: which.
        data: a folder with its files (the Hub's columns, or the project's own rows); None reads from the Hub.
        subsets: only these; `*` as in a shell.
        limit: at most that many items, evenly from the subsets; items that only count together stay together, so one
            such group may be more. A smaller limit gives a part of what a larger one gives.
        seed: of that draw.

    Raises:
        InvalidInput: rows that cannot be read or reached, columns that are missing, an unknown subset, no row left.
        ImportError: a package that the rows need.
    """
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit: {limit!r} is not usable; give a whole number of items, at least 1")
    _check_subsets(benchmark, subsets, benchmark.subsets)
    parts, where, whole = _from_hub(benchmark) if data is None else _from_folder(benchmark, data)
    gathered = _Gathered(benchmark)
    for rows, make in parts:
        gathered.add(rows, make)
    found = _in_turn(_distinct(gathered), seed)
    _check_subsets(benchmark, subsets, sorted({item.subset for item in found}))
    wanted = [item for item in found if subsets is None or _matches(item.subset, subsets)]
    items = wanted if limit is None else _first(wanted, limit)
    if not items:
        raise InvalidInput(f"{benchmark.name}: no row of {where} can be used ({gathered.said}); check the files")
    short = gathered.rows < benchmark.rows or bool(gathered.broken) or not whole
    partial = short or len(items) < len(found)
    empty = sum(not response.strip() for item in items for response in item.request.responses)
    return Loaded(items, partial, where, dict(gathered.dropped), empty)


def _matches(subset: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(subset, pattern) for pattern in patterns)


def _check_subsets(benchmark: Benchmark, asked: Sequence[str] | None, known: Sequence[str]) -> None:
    """Nothing is said where nothing is known yet."""
    for pattern in (asked or ()) if known else ():
        if not any(fnmatchcase(subset, pattern) for subset in known):
            raise InvalidInput(f"subsets: {pattern!r} is none of {benchmark.name}'s; known are {', '.join(known)}")


def _from_hub(benchmark: Benchmark) -> tuple[list[tuple[Placed, Make]], str, bool]:
    """(rows and what makes items of them) of each source, where they come from, and whether that is all of them."""
    if not any(source.hub or source.url for source in benchmark.sources):
        raise unreachable(benchmark)
    parts = [(hub_rows(benchmark, source), _maker(benchmark, source)) for source in benchmark.sources]
    return parts, ", ".join(source.label for source in benchmark.sources), True


def _maker(benchmark: Benchmark, source: Source) -> Make:
    return lambda record: benchmark.items(record, source)


def _from_folder(benchmark: Benchmark, data: Path) -> tuple[list[tuple[Placed, Make]], str, bool]:
    """The same, from files: those with the Hub's columns, else those of our own rows."""
    if not data.is_dir():
        raise InvalidInput(f"data: {data} is no folder; name one that holds {_named(benchmark)}")
    found = {source: files_of(data, source.files) for source in benchmark.sources}
    parts = [(local_rows(paths, source.columns), _maker(benchmark, source)) for source, paths in found.items() if paths]
    paths = [path for part in found.values() for path in part]
    if parts:
        return parts, _shown(data, paths), all(found.values())
    paths = [path for name in benchmark.local for path in files_of(data, [name])]
    if not paths:
        raise InvalidInput(f"data: {data} holds no rows of {benchmark.name}; it looks for {_named(benchmark)}")
    return [(local_rows(paths, LOCAL_COLUMNS), _local_maker(benchmark))], _shown(data, paths), True


def _named(benchmark: Benchmark) -> str:
    """The files that a folder may hold."""
    names = [source.files[0] for source in benchmark.sources] + list(benchmark.local)
    return ", ".join(f"{name}.(jsonl|jsonl.gz|json|parquet)" for name in names)


def _shown(data: Path, paths: Sequence[Path]) -> str:
    names = [str(path.relative_to(data)) for path in paths]
    return f"{data}: {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _local_maker(benchmark: Benchmark) -> Make:
    items = benchmark.local_items or row_items

    def make(record: Record) -> Iterable[Item]:
        row = row_from(record, str(record["id"]))
        if isinstance(row, BadRow):
            raise InvalidInput(row.error)
        return items(row, record)

    return make


@dataclass
class _Gathered:
    """Items as they come, and what became of the rows.

    `dropped` counts rows by reason; `broken` is the first whole message about a row that could not be used.
    """

    benchmark: Benchmark
    items: list[Item] = field(default_factory=list)
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    broken: str = ""

    @property
    def said(self) -> str:
        return self.broken or ", ".join(f"{count} {reason}" for reason, count in self.dropped.items()) or "no rows"

    def add(self, rows: Placed, make: Make) -> None:
        for place, record in rows:
            self.rows += 1
            try:
                self.items += [self._official(item) for item in make(record)]
            except LeftOut as reason:
                self.dropped[str(reason)] += 1
            except (InvalidInput, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                self.broken = self.broken or f"{place}: {error!s}"
                self.dropped[f"{UNUSABLE}: {_field(error)}"] += 1

    def _official(self, item: Item) -> Item:
        if self.benchmark.subsets and item.subset not in self.benchmark.subsets:
            known = ", ".join(self.benchmark.subsets)
            raise InvalidInput(f"subset {item.subset!r}: is not one of the official ones; known are {known}")
        return item


def _field(error: Exception) -> str:
    """What an error is about, without the row's own values: the name before the colon."""
    if isinstance(error, (KeyError, TypeError, IndexError, AttributeError)):
        return "a value of the wrong type"
    return str(error).split(":", 1)[0].split("[", 1)[0][:60]


def _distinct(gathered: _Gathered) -> Iterator[Item]:
    """The items with names of their own: a row that is there twice counts once, two rows with one name get two."""
    by_id: dict[str, dict[str, Item]] = {}
    for item in gathered.items:
        alike = by_id.setdefault(item.id, {})
        gathered.dropped["there twice"] += (content := _content(item)) in alike
        alike[content] = item
    gathered.dropped += Counter()  # without zeros
    for name, alike in by_id.items():
        for content, item in alike.items():
            yield item if len(alike) == 1 else replace(item, id=f"{name}#{content}")


def _content(item: Item) -> str:
    return f"{lot(item_hash(item.request), list(item.request.responses), list(item.labels or ())):064x}"[:8]


def _in_turn(items: Iterable[Item], seed: int) -> list[Item]:
    """Unit by unit, so that every beginning holds of each subset its share, and the first of each comes first."""
    units: dict[str, dict[str, list[Item]]] = {}
    for item in items:
        units.setdefault(item.subset, {}).setdefault(item.unit, []).append(item)
    turns = []
    for subset, members in units.items():
        for place, name in enumerate(sorted(members, key=lambda name: lot(seed, name))):
            turns.append((place / len(members), lot(seed, subset), members[name]))
    turns.sort(key=lambda turn: turn[:2])
    return [item for _, _, unit in turns for item in sorted(unit, key=lambda item: item.id)]


def _first(items: Iterable[Item], limit: int) -> list[Item]:
    """Whole units from the beginning, as long as they fit."""
    kept: list[Item] = []
    for _, unit in groupby(items, key=lambda item: item.unit):
        group = list(unit)
        if kept and len(kept) + len(group) > limit:
            break
        kept += group
    return kept
