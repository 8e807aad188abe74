"""PPE Correctness, best of 32 (arXiv 2410.14872): how good the answer is that scores highest among K of 32.

The rows are those of `ppe_correctness`; every response is rated alone, as scalar models do there, so that each is an
item with one response. Follows `utils/scorers.py`, as read in a copy of the repository (github.com/lmarena/PPE itself
was not at hand), for each data set:

- the responses come in a random order, and the highest score among the first K picks one; averaged over rows, its label
  for K = 1..32 is a curve. The subset is the curve's end, K = 32 (`mean_end_score`);
- "loss": the mean over K of the squared difference between that curve and the best possible one;
- "AUC": ROC-AUC over all responses of the data set, scores scaled to 0..1 in each row. A row whose scores are all equal
  divides by 0 there and is left out here.

The official code draws 100 orders without a seed; here stands the mean over all orders, which is exact. What cannot be
read is picked last, and for the AUC it has the lowest score of the data set. The headline, the mean of the five data
sets, is ours: `score.py` prints none.

Left out: `mean_max_score`, the mean over orders of the curve's highest point (whether all rows share an order is not
known, and it depends on that), and the figures by generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import comb, inf
from typing import Any, NamedTuple

from ..types_grm import Request
from .base import Item, Judged, Record, Source
from .making import kept
from .metrics import by_subset, cell, groups, mean, report, roc_auc, values
from .ppe_correctness import PPE_CORRECTNESS, RESPONSES, SETS

Numbers = tuple[float, ...]


def items(record: Record, source: Source) -> Iterable[Item]:
    """One response an item; the row is their unit."""
    unit = f"{source.name}/{record['question_id']}"
    for at in range(RESPONSES):
        request = Request(record["prompt"], [record[f"response_{at + 1}"]])
        yield kept(f"{unit}/{at}", request, [float(record["scores"][at])], source.name, unit=unit)


class Rated(NamedTuple):
    """A row's responses: their scores (-inf for what could not be read) and their labels."""

    scores: Numbers
    labels: Numbers


def rated(judged: Sequence[Judged]) -> list[Rated]:
    """The rows."""
    rows = groups(judged, lambda one: one.item.unit).values()
    return [Rated(tuple(map(_score, row)), tuple((one.item.labels or (0.0,))[0] for one in row)) for row in rows]


def _score(one: Judged) -> float:
    return -inf if one.scores is None else one.scores[0]


@lru_cache(maxsize=2**13)
def picked(scores: Numbers, labels: Numbers) -> Numbers:
    """The expected label of the highest score among K of n drawn at random, for K = 1..n; equal scores by lot."""
    n, above = len(scores), 0
    curve = [0.0] * n
    for score in sorted(set(scores), reverse=True):
        level = [label for one, label in zip(scores, labels, strict=True) if one == score]
        left, worth = n - above, sum(level) / len(level)
        for k in range(1, n + 1):
            curve[k - 1] += worth * (comb(left, k) - comb(left - len(level), k)) / comb(n, k)
        above += len(level)
    return tuple(curve)


def end(rows: Sequence[Rated]) -> float | None:
    """The mean label of what scores highest."""
    return mean(picked(*row)[-1] for row in rows)


def strict_end(rows: Sequence[Rated]) -> float | None:
    """The same where a tie picks the worst of those that tie, and a row without a score nothing right."""
    return mean(map(_surely, rows))


def _surely(row: Rated) -> float:
    highest = max(row.scores)
    return min(label for score, label in zip(*row, strict=True) if score == highest) if highest > -inf else 0.0


def loss(rows: Sequence[Rated]) -> float | None:
    """The mean over K of the squared distance between the mean curve and the best possible one."""
    curves = ([picked(*row) for row in rows], [picked(row.labels, row.labels) for row in rows])
    means = [[sum(column) / len(column) for column in zip(*curve, strict=True)] for curve in curves]
    return mean((found - best) ** 2 for found, best in zip(*means, strict=True))


def auc(rows: Sequence[Rated]) -> float | None:
    """ROC-AUC of all responses by scores that are scaled to 0..1 in each row."""
    lowest = min((score for row in rows for score in row.scores if score > -inf), default=0.0)
    scaled = [(_scaled([max(score, lowest) for score in row.scores]), row.labels) for row in rows]
    known = [(score, label) for scores, labels in scaled if scores for score, label in zip(scores, labels, strict=True)]
    return roc_auc([score for score, _ in known], [label == 1 for _, label in known])


def _scaled(scores: Sequence[float]) -> list[float]:
    """Nothing where all are equal."""
    low, width = min(scores), max(scores) - min(scores)
    return [(score - low) / width for score in scores] if width else []


BESIDE = {"loss": loss, "AUC": auc}


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the five data sets' curves at K = 32."""
    found = {name: rated(group) for name, group in by_subset(judged).items()}
    subsets = {name: cell(end(rows), len(rows)) for name, rows in found.items()}
    missing = [name for name in SETS if name not in subsets]
    return report(
        judged,
        "mean of five data sets' best of 32",
        mean(values(subsets).values()),
        strict=mean(map(strict_end, found.values())),
        sections={
            f"{name} {what}": cell(figure(rows), len(rows))
            for name, rows in found.items()
            for what, figure in BESIDE.items()
        },
        subsets=subsets,
        notes=([f"without {', '.join(missing)}"] if missing else [])
        + ["means over all orders of the 32 responses, in the place of 100 orders drawn without a seed"],
    )


PPE_BEST_OF_32 = replace(
    PPE_CORRECTNESS,
    name="ppe-best-of-32",
    metric="mean of five data sets' labels of the response that scores highest among 32",
    items=items,
    official=official,
)
