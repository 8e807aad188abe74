"""The arithmetic that the benchmarks share: what a judgement is worth, means, rank statistics and the report.

    expected(judged)   0.5      two responses share the highest score, and one of them is right
    strict(judged)     0.0      a tie with a wrong one is wrong, and so is no answer

Labels are 1 and 0 or ratings; worth is always the label of the response that the scores choose. Knows nothing about any
one benchmark or about files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from .base import Judged

Credit = Callable[[Judged], "float | None"]
"""What a judgement is worth; None leaves it out of a mean."""


def expected(judged: Judged, unread: float | None = None) -> float | None:
    """The chosen response's label, under a random choice among those that tie; `unread` where there are no scores."""
    return sum(judged.worth) / len(judged.worth) if judged.worth else unread


def strict(judged: Judged) -> float:
    """The chosen response's label, the lowest of those that tie; 0 where there are no scores."""
    return min(judged.worth, default=0.0)


def tied(judged: Judged) -> float:
    """1 where several share the highest score."""
    return float(len(judged.chosen) > 1)


@dataclass(frozen=True)
class Credits:
    """How a benchmark's judgement is worth something in our own figures."""

    strict: Callable[[Judged], float] = strict
    answered: Credit = expected
    tied: Callable[[Judged], float] = tied


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is there; None of nothing."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def weighted(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The mean of what is there, by weight; None of nothing."""
    there = {name: value for name in weights if (value := values.get(name)) is not None}
    total = sum(weights[name] for name in there)
    return sum(value * weights[name] for name, value in there.items()) / total if there else None


def groups(judged: Iterable[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    """By key, sorted."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(key(one), []).append(one)
    return dict(sorted(found.items()))


def by_subset(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    """By subset, sorted."""
    return groups(judged, lambda one: one.item.subset)


def cell(value: float | None, rows: int) -> dict[str, Any]:
    """How a section or a subset stands in a report."""
    return {"value": value, "rows": rows}


def cells(grouped: Mapping[str, Sequence[Judged]], credit: Credit) -> dict[str, dict[str, Any]]:
    """Each group's mean credit."""
    return {name: cell(mean(map(credit, group)), len(group)) for name, group in grouped.items()}


def values(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The values alone."""
    return {name: one["value"] for name, one in found.items()}


def ours(judged: Sequence[Judged], credits: Credits = Credits()) -> dict[str, float | None]:
    """Our own figures, the same for every benchmark; only `coverage` speaks of items with one response.

    `strict` counts an abstention, and a tie with a wrong response, as wrong; `answered` is the mean over the items with
    scores, with a random tie-break in expectation; `tie_rate` the share of those that tie for the highest.
    """
    several = [one for one in judged if one.item.request.n > 1]
    answered = [one for one in several if one.scores is not None]
    return {
        "strict": mean(map(credits.strict, several)),
        "answered": mean(map(credits.answered, answered)),
        "coverage": mean(float(one.scores is not None) for one in judged),
        "tie_rate": mean(map(credits.tied, answered)),
    }


def report(
    judged: Sequence[Judged],
    name: str,
    value: float | None,
    *,
    strict: float | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    subsets: Mapping[str, Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
    credits: Credits = Credits(),
) -> dict[str, Any]:
    """What `official` returns, as plain JSON.

    Args:
        judged: all of it.
        name, value: the headline, in the official credit for ties and for what could not be read.
        strict: the same figure where ties and abstentions are wrong; None where nothing would be another figure.
        sections, subsets: name -> `cell`.
        notes: what a reader must know beside.
        credits: what a judgement is worth in `ours`.
    """
    return {
        "headline": {"name": name, "value": value, "strict": strict},
        "sections": dict(sections or {}),
        "subsets": dict(subsets or {}),
        "ours": ours(judged, credits),
        "notes": list(notes),
    }


def ranks(numbers: Sequence[float]) -> list[float]:
    """Ranks from 1; equal numbers share the mean of theirs."""
    places = sorted(range(len(numbers)), key=lambda at: numbers[at])
    found = [0.0] * len(numbers)
    start = 0
    while start < len(places):
        end = start
        while end < len(places) and numbers[places[end]] == numbers[places[start]]:
            end += 1
        for at in places[start:end]:
            found[at] = (start + 1 + end) / 2
        start = end
    return found


def roc_auc(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """The chance that a positive scores above a negative, a tie counts half (Mann and Whitney 1947).

    None without both kinds.
    """
    above = sum(positive)
    below = len(positive) - above
    if not above or not below:
        return None
    summed = sum(rank for rank, yes in zip(ranks(scores), positive, strict=True) if yes)
    return (summed - above * (above + 1) / 2) / (above * below)


def pearson(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Correlation; None where one of them does not vary."""
    if not left:
        return None
    a, b = ([number - sum(numbers) / len(numbers) for number in numbers] for numbers in (left, right))
    scale = sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / scale if scale else None


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, equal numbers share a rank; None where one of them does not vary."""
    return pearson(ranks(left), ranks(right))


@dataclass(frozen=True)
class Singles:
    """Items with one response each: what they scored and what they are."""

    scores: list[float]
    labels: list[float]
    unread: int

    @classmethod
    def of(cls, judged: Iterable[Judged]) -> Singles:
        """Of all that have scores; the others are counted."""
        given = [(one.scores, one.item.labels or (0.0,)) for one in judged]
        read = [(scores[0], labels[0]) for scores, labels in given if scores is not None]
        return cls([score for score, _ in read], [label for _, label in read], len(given) - len(read))

    @property
    def auc(self) -> float | None:
        """ROC-AUC of those that could be read; label 1 is the positive."""
        return roc_auc(self.scores, [label == 1 for label in self.labels])
