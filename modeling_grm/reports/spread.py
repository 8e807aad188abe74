"""Intervals of an official metric, whatever it is made of: units are drawn anew and the metric is computed again.

    spread(official, judged)["headline"]  -> {"name": "...", "value": 0.81, "low": 0.77, "high": 0.85}

What is drawn is a unit (`Item.unit`): items that only count together stay together. A subset keeps its number of units,
as weights of sections are the benchmark's and no chance; subsets of a few units are drawn from together, since drawing
two from two would hide most of what chance does. All figures come from the same draws. Knows nothing about any one
metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..benchmarks.base import Judged
from ..bootstrap import tails, wilson

Official = Callable[[Sequence[Judged]], dict[str, Any]]
Path = tuple[str, ...]
RESAMPLES, FEWEST = 500, 200
WORK = 2_000_000  # judged items that are looked at in all, where that leaves `FEWEST` resamples
PARTS = ("headline", "sections", "subsets", "ours")
COUNTS = ("rows",)
FEW = 10  # units; subsets with fewer are drawn from together
NAMES = ("prompt",)  # what in `Item.meta` tells units apart beside `unit`


def enough(items: int) -> int:
    """How many resamples a report takes: fewer where items are many, and intervals narrow."""
    return min(RESAMPLES, max(FEWEST, WORK // items))


def spread(official: Official, judged: Sequence[Judged], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """The official report with a 95% interval beside each figure (percentiles, Efron and Tibshirani 1993, ch. 13).

    Where all drawn sets say the same share, the bootstrap would be a point and Wilson's score interval over the rows
    (of the whole: the units) stands in its place. Figures that are not there in the report (no such rows) have none.

    Args:
        official: judged items -> the report.
        judged: at least one.
        resamples, seed: of the bootstrap.
    """
    report = official(judged)
    drawn: dict[Path, list[float]] = {path: [] for path, _ in _numbers(report)}
    for some in _draws(judged, resamples, np.random.default_rng(seed)):
        for path, value in _numbers(official(some)):
            drawn.get(path, []).append(value)
    units = len({one.item.unit for one in judged})
    return {name: _with_ends(part, (name,), drawn, units) for name, part in report.items()}


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[Path, float]]:
    """Every figure of the parts that are figures, by its path."""
    for part in PARTS:
        yield from _inside(report.get(part), (part,))


def _inside(found: Any, path: Path) -> Iterator[tuple[Path, float]]:
    if isinstance(found, Mapping):
        for name, value in found.items():
            yield from _inside(value, (*path, str(name)))
    elif isinstance(found, (int, float)) and not isinstance(found, bool) and path[-1] not in COUNTS:
        yield path, float(found)


def _with_ends(found: Any, path: Path, drawn: Mapping[Path, list[float]], rows: int) -> Any:
    """The same with `{"value", "low", "high"}` for each figure."""
    if not isinstance(found, Mapping):
        return _figure(float(found), drawn[path], rows) if path in drawn else found
    rows = int(found.get("rows", rows))
    told: dict[str, Any] = {}
    for name, value in found.items():
        part = _with_ends(value, (*path, str(name)), drawn, rows)
        told |= part if name == "value" and isinstance(part, Mapping) else {name: part}
    return told


def _figure(value: float, drawn: Sequence[float], rows: int) -> dict[str, float | None]:
    low, high = tails(np.array(drawn, dtype=np.float64))
    if low == high and 0 <= value <= 1:
        low, high = wilson(value, rows)
    ends = {"value": value, "low": low, "high": high}
    return {name: None if np.isnan(number) else number for name, number in ends.items()}


def _draws(judged: Sequence[Judged], resamples: int, rng: np.random.Generator) -> Iterator[list[Judged]]:
    """Judged items with whole units drawn anew, with replacement, within each subset."""
    units: dict[str, list[Judged]] = {}
    for one in judged:
        units.setdefault(one.item.unit, []).append(one)
    strata = _strata(units)
    copies: dict[tuple[str, int], list[Judged]] = {}
    for _ in range(resamples):
        some: list[Judged] = []
        for names in strata:
            for at, times in enumerate(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))):
                for copy in range(times):
                    some += _copied(names[at], copy, units, copies)
        yield some


def _strata(units: Mapping[str, list[Judged]]) -> list[list[str]]:
    """The units of each subset, those of small subsets as one."""
    subsets: dict[str, list[str]] = {}
    for name, members in sorted(units.items()):
        subsets.setdefault(members[0].item.subset, []).append(name)
    large = [names for names in subsets.values() if len(names) >= FEW]
    small = [name for names in subsets.values() if len(names) < FEW for name in names]
    return large + [small] * bool(small)


def _copied(
    unit: str, copy: int, units: Mapping[str, list[Judged]], copies: dict[tuple[str, int], list[Judged]]
) -> list[Judged]:
    """A unit that is drawn again is another one, under other names."""
    if copy == 0:
        return units[unit]
    if (unit, copy) not in copies:
        copies[unit, copy] = [_renamed(one, f"{unit}~{copy}", copy) for one in units[unit]]
    return copies[unit, copy]


def _renamed(one: Judged, unit: str, copy: int) -> Judged:
    named = {name: f"{value}~{copy}" for name, value in one.item.meta.items() if name in NAMES}
    item = replace(one.item, id=f"{one.item.id}~{copy}", meta={**one.item.meta, **named, "unit": unit})
    return replace(one, item=item)
