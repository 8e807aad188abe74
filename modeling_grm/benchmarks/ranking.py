"""Models ranked by pairs of their answers, and how well two rankings agree.

    ranking([("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 0.5)]) -> {"a": 0.756, "b": 0.0, "c": -0.756}

Knows nothing about any one benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .metrics import spearman

Game = tuple[str, str, float]
"""Two models, and the first one's share of the win: 1, 0, or 0.5 for a tie."""

ROUNDS = 10_000
EQUAL = 1e-9  # log strengths that change less than that have settled


def ranking(games: Iterable[Game]) -> dict[str, float] | None:
    """The Bradley-Terry model's log strengths, by model; a tie is half a win for each.

    An Elo scale (base 10, 400 points, some anchor) would not change their order. None where there is no best fit: some
    models never lost to the others, or none of them met (Ford 1957).
    """
    games = list(games)
    places = {name: at for at, name in enumerate(sorted({name for game in games for name in game[:2]}))}
    wins = np.zeros((len(places), len(places)))
    for first, second, share in games:
        wins[places[first], places[second]] += share
        wins[places[second], places[first]] += 1 - share
    strengths = bradley_terry(wins)
    return None if strengths is None else dict(zip(places, strengths.tolist(), strict=True))


def bradley_terry(wins: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """[n] log strengths with mean 0 from [n, n] wins of the row over the column, by Hunter's (2004) MM iteration."""
    np.fill_diagonal(wins, 0)  # an answer against another of the same model says nothing
    if len(wins) < 2 or not _connected(wins):
        return None
    met, won = wins + wins.T, wins.sum(axis=1)
    logs = np.zeros(len(wins))
    for _ in range(ROUNDS):
        strengths = np.exp(logs)
        fresh = np.log(won / (met / (strengths[:, None] + strengths)).sum(axis=1))
        fresh -= fresh.mean()
        settled = float(np.abs(fresh - logs).max()) < EQUAL
        logs = fresh
        if settled:
            break
    return logs


def _connected(wins: NDArray[np.float64]) -> bool:
    """Whether a chain of wins leads from each to each."""
    reached = (wins > 0) | np.eye(len(wins), dtype=bool)
    for _ in range(len(wins).bit_length()):
        reached = reached @ reached
    return bool(reached.all())


def agreement(one: Mapping[str, float] | None, other: Mapping[str, float] | None) -> dict[str, float | None]:
    """Spearman's and Kendall's rank correlation of two rankings of the same models; None without one of them."""
    if one is None or other is None:
        return {"Spearman": None, "Kendall": None}
    left, right = zip(*((one[name], other[name]) for name in one), strict=True)
    return {"Spearman": spearman(left, right), "Kendall": kendall(left, right)}


def kendall(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Kendall's tau-b; None where one of them does not vary."""
    pairs = list(combinations(zip(left, right, strict=True), 2))
    signs = [(_sign(a[0] - b[0]), _sign(a[1] - b[1])) for a, b in pairs]
    scale = sqrt(sum(x * x for x, _ in signs) * sum(y * y for _, y in signs))
    return sum(x * y for x, y in signs) / scale if scale else None


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
