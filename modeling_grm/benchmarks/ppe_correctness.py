"""PPE Correctness (arXiv 2410.14872): 32 answers a problem, checked; pairs of a right and a wrong one are judged.

    {"question_id": "41..", "prompt": "...", "response_1": "...", ..., "response_32": "...", "scores": [true, ...],
     "sampled_conflict_pairs": [[0, 7], [12, 3], ...], "model_name": "gemma-2-9b-it", ...}        pairs count from 0

Follows `utils/scorers.py` (`ConflictScorer`, the only official figure for a judge), as read in a copy of the repository
(github.com/lmarena/PPE itself was not at hand):

- a judge's accuracy is the mean over all pairs of a data set; its ties and what cannot be read leave the mean;
- for a scalar model it is the mean over rows of the rows' means, and a tie is right exactly where the second response
  is: the sections "... as a scalar model".

The headline is the mean of the five data sets, as papers have it (not verified: `score.py` prints no mean). A pair that
a row names twice counts twice, as there. Best of 32 and its AUC are another benchmark (`ppe_best_of_32`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..types_grm import InvalidInput, Request
from .base import Benchmark, Item, Judged, Record, Source
from .making import kept
from .metrics import by_subset, cell, cells, groups, mean, report, strict, values
from .ppe_preference import scalar, verdict

SETS = {
    "mmlu-pro": "PPE-MMLU-Pro-Best-of-K",
    "math": "PPE-MATH-Best-of-K",
    "gpqa": "PPE-GPQA-Best-of-K",
    "ifeval": "PPE-IFEval-Best-of-K",
    "mbpp-plus": "PPE-MBPP-Plus-Best-of-K",
}
RESPONSES = 32


def items(record: Record, source: Source) -> Iterable[Item]:
    """One pair an item, in the row's own order; the row is their unit."""
    subset, scores = source.name, record["scores"]
    unit = f"{subset}/{record['question_id']}"
    for at, (i, j) in enumerate(record["sampled_conflict_pairs"]):
        labels = [float(scores[i]), float(scores[j])]
        if labels[0] == labels[1]:
            raise InvalidInput(f"sampled_conflict_pairs: {i} and {j} are both right or both wrong; that is no conflict")
        request = Request(record["prompt"], [record[f"response_{i + 1}"], record[f"response_{j + 1}"]])
        yield kept(f"{unit}/{at}", request, labels, subset, unit=unit, generator=record.get("model_name"))


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the five data sets' accuracies."""
    grouped = by_subset(judged)
    subsets = cells(grouped, verdict)
    missing = [name for name in SETS if name not in subsets]
    return report(
        judged,
        "mean of five data sets",
        mean(values(subsets).values()),
        strict=mean(values(cells(grouped, strict)).values()),
        sections={f"{name} as a scalar model": _as_scalar(group) for name, group in grouped.items()},
        subsets=subsets,
        notes=([f"without {', '.join(missing)}"] if missing else [])
        + ["the judge's ties and unreadable verdicts leave the mean, as in the official code for judges"],
    )


def _as_scalar(group: Sequence[Judged]) -> dict[str, Any]:
    rows = groups(group, lambda one: one.item.unit)
    return cell(mean(mean(map(scalar, pairs)) for pairs in rows.values()), len(rows))


PPE_CORRECTNESS = Benchmark(
    name="ppe-correctness",
    hub_id=tuple(f"lmarena-ai/{hub}" for hub in SETS.values()),
    rows=4 * 512 + 507,
    metric="mean of five data sets' accuracies on pairs of a right and a wrong answer",
    source="https://arxiv.org/abs/2410.14872, https://github.com/lmarena/PPE",
    licence="those of MMLU-Pro, MATH, GPQA, IFEval and MBPP+ (the cards' own are not verified)",
    gated=False,
    sources=tuple(
        Source(
            f"lmarena-ai/{hub}",
            "train",
            (f"{hub}/data/train", hub, f"ppe-{name}"),
            (
                *("question_id", "prompt", "scores", "sampled_conflict_pairs"),
                *(f"response_{number}" for number in range(1, RESPONSES + 1)),
            ),
            name=name,
        )
        for name, hub in SETS.items()
    ),
    items=items,
    official=official,
    subsets=tuple(SETS),
)
