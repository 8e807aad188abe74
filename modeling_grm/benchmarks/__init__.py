"""Reward benchmarks: their rows as items to judge, and their official metrics.

    loaded = load_items("rewardbench", data=Path("folder"), limit=200)
    official("rewardbench", [Judged(item, scores) for item, scores in ...])["headline"]
    -> {"name": "mean of four sections", "value": 0.81, "strict": 0.79}

Knows nothing about models: who judges the items is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .base import Benchmark, Item, Judged, Loaded, both_orders
from .evalbiasbench import EVALBIASBENCH
from .judgebench import JUDGEBENCH
from .llmbar import LLMBAR
from .loading import load
from .local import LOCAL
from .ppe_best_of_32 import PPE_BEST_OF_32
from .ppe_correctness import PPE_CORRECTNESS
from .ppe_preference import PPE_PREFERENCE
from .realmistake import REALMISTAKE
from .rewardbench import PRIOR_SETS, REWARDBENCH
from .rewardbench2 import REWARDBENCH2
from .rm_bench import RM_BENCH
from .rmb import RMB
from .table import markdown, table

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        REWARDBENCH,
        PRIOR_SETS,
        REWARDBENCH2,
        PPE_PREFERENCE,
        PPE_CORRECTNESS,
        PPE_BEST_OF_32,
        RMB,
        REALMISTAKE,
        RM_BENCH,
        JUDGEBENCH,
        LLMBAR,
        EVALBIASBENCH,
        *LOCAL,
    )
}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in BENCHMARKS:
        raise InvalidInput(f"benchmark: {name!r} is not known; known are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def load_items(
    name: str,
    *,
    data: Path | None = None,
    subsets: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Loaded:
    """The items of a benchmark; see `loading.load`.

    Raises:
        InvalidInput: an unknown name or subset, rows that cannot be reached or used.
        ImportError: a package that the rows need.
    """
    return load(find_benchmark(name), data, subsets, limit, seed)


def official(name: str, judged: Sequence[Judged]) -> dict[str, Any]:
    """What the authors' code would say of these judgements, and our own figures beside it (`metrics.report`).

    `sections` and `subsets` are name -> {"value", "rows"}; shares are in 0..1; None stands where nothing can be said.

    Raises:
        InvalidInput: an unknown name.
    """
    return find_benchmark(name).official(judged)


def benchmarks_table() -> str:
    """All of them as a Markdown table."""
    return table(BENCHMARKS.values())


__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Item",
    "Judged",
    "Loaded",
    "benchmarks_table",
    "both_orders",
    "find_benchmark",
    "load_items",
    "markdown",
    "official",
]
