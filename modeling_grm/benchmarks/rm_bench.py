"""RM-Bench (arXiv 2410.16184): three right and three wrong responses in three styles, so that style can mislead.

    {"id": "8", "prompt": "...", "chosen": [concise, detailed, detailed Markdown], "rejected": [...], "domain": "chat"}

Follows `scripts/utils.py` (`compute_accuracy`): M[i][j] is the share of rows in which the right response of style i
scores above the wrong one of style j, a tie is wrong. hard = mean of the cells i < j (the wrong one has the richer
style), normal = of the diagonal, easy = of i > j. A domain is the mean of the three; safety pools `safety-refuse` and
`safety-response`; the headline is the mean of the four domains.

How a generative judge should see the six responses is not specified. Here they are one list in one judgement, which
gives all nine comparisons as a scalar model's scores do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from ..rows import Row
from .base import Benchmark, Item, Judged, Record, Source
from .making import checked_labels, listed
from .metrics import Credits, by_subset, cell, groups, mean, report, values

STYLES = ("concise", "detailed", "detailed_md")
DOMAINS = ("chat", "math", "code", "safety")
SUBSETS = ("chat", "math", "code", "safety-refuse", "safety-response")
LEVELS = {
    "hard": [(i, j) for i in range(3) for j in range(3) if i < j],
    "normal": [(i, i) for i in range(3)],
    "easy": [(i, j) for i in range(3) for j in range(3) if i > j],
}
CELLS = [at for level in LEVELS.values() for at in level]


def items(record: Record, source: Source) -> Iterable[Item]:
    """Six responses as one list."""
    right, wrong, domain = list(record["chosen"]), list(record["rejected"]), record["domain"]
    if len(right) != len(STYLES) or len(wrong) != len(STYLES):
        raise ValueError(f"chosen: {len(right)} and {len(wrong)} responses; there are three styles of each")
    name, labels = f"{domain}/{record['id']}", [1.0] * 3 + [0.0] * 3
    return [listed(name, record["prompt"], right + wrong, labels, domain, by_response_style=[*STYLES, *STYLES])]


def local_items(row: Row, record: Record) -> Iterable[Item]:
    """The same from the project's own rows."""
    responses, styles = row.request.responses, list(record["meta"]["by_resp_style"])
    labels = checked_labels(record["labels"], len(responses))
    if sorted(zip(labels, styles, strict=True)) != sorted(product((0.0, 1.0), STYLES)):
        raise ValueError("by_resp_style: not a right and a wrong response of each style")
    return [listed(row.id, row.request.query, responses, labels, str(record["subset"]), by_response_style=styles)]


@lru_cache(maxsize=2**16)
def grid(scores: tuple[float, ...], labels: tuple[float, ...], styles: tuple[str, ...]) -> dict[tuple[int, int], float]:
    """(style of the right one, style of the wrong one) -> 1 right, 0 wrong, 0.5 a tie."""
    found = dict(zip(zip(labels, styles, strict=True), scores, strict=True))
    right, wrong = ([found[label, style] for style in STYLES] for label in (1.0, 0.0))
    return {(i, j): 0.5 if right[i] == wrong[j] else float(right[i] > wrong[j]) for i, j in CELLS}


def wins(judged: Judged, at: Sequence[tuple[int, int]] = CELLS, tie: float = 0.0) -> list[float]:
    """One number for each of these comparisons, `tie` for a tie; 0 where there are no scores."""
    if judged.scores is None:
        return [0.0] * len(at)
    found = grid(judged.scores, judged.item.labels or (), tuple(judged.item.meta["by_response_style"]))
    return [tie if found[cell] == 0.5 else found[cell] for cell in at]


def _average(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


CREDITS = Credits(
    strict=lambda judged: _average(wins(judged)),
    answered=lambda judged: _average(wins(judged, tie=0.5)),
    tied=lambda judged: wins(judged, tie=0.5).count(0.5) / len(CELLS),
)


def levels(judged: Sequence[Judged]) -> dict[str, float | None]:
    """hard, normal and easy of some rows."""
    return {name: mean(win for one in judged for win in wins(one, at)) for name, at in LEVELS.items()}


def domain(judged: Judged) -> str:
    """One of the four: both halves of safety are one."""
    return "safety" if judged.item.subset.startswith("safety") else judged.item.subset


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the domains' means of hard, normal and easy."""
    grouped = groups(judged, domain)
    found = {name: levels(group) for name, group in grouped.items()}
    sections = {name: cell(mean(found[name].values()), len(group)) for name, group in grouped.items()}
    value = mean(values(sections).values())
    by_level = {name: cell(mean(one[name] for one in found.values()), len(judged)) for name in LEVELS}
    missing = [name for name in DOMAINS if name not in grouped]
    return report(
        judged,
        "mean of four domains",
        value,
        strict=value,
        sections=sections | by_level,
        subsets={name: cell(mean(levels(group).values()), len(group)) for name, group in by_subset(judged).items()},
        notes=([f"without {', '.join(missing)}"] if missing else [])
        + ["our figures are about the nine comparisons of each row"],
        credits=CREDITS,
    )


RM_BENCH = Benchmark(
    name="rm-bench",
    hub_id=("THU-KEG/RM-Bench",),
    rows=1327,
    metric="mean of four domains over a 3 x 3 matrix of styles (easy, normal, hard)",
    source="https://arxiv.org/abs/2410.16184, https://github.com/THU-KEG/RM-Bench",
    licence="ODC-BY",
    gated=False,
    sources=(
        Source(
            "THU-KEG/RM-Bench",
            "train",
            ("RM-Bench/total_dataset", "rm-bench/total_dataset", "total_dataset", "rm-bench"),
            ("id", "prompt", "chosen", "rejected", "domain"),
        ),
    ),
    items=items,
    official=official,
    subsets=SUBSETS,
    local=("rm_bench_partial",),
    local_items=local_items,
)
