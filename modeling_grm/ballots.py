"""The voting rules of `rules_grm` over whole arrays of samples.

    ballots(group, "majority") -> Ballots(votes [items, K, n], weight [items, K], able [items, K], rank None)

One numpy line for each part of a rule, which says for all samples what the pure function says for one; a test holds the
two together. Knows nothing about subsets, labels or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .rules_grm import EXPECTED_STEPS, WHOLE_CHOICE, find_rule, lot, trust
from .runs import Bools, Floats, Group, Ints


@dataclass(frozen=True)
class Ballots:
    """What each sample puts into the box.

    Attributes:
        votes: [I, K, n] weighted ballots in the rule's whole unit; 0 from a sample that cannot vote.
        weight: [I, K] how much its ballot counts; 0 of a sample that cannot vote.
    able: [I, K] the sample is OK and can vote under the rule.
        rank: [I, K] where only the highest vote; -inf for a sample that cannot.
    """

    votes: Ints
    weight: Ints
    able: Bools
    rank: Floats | None


def ballots(group: Group, name: str) -> Ballots:
    """All votes of a group under one rule.

    Raises:
        InvalidInput: there is no such rule.
    """
    find_rule(name)
    parts = _PARTS[name]
    votes, weight = parts.ballot(group), parts.weight(group)
    rank = parts.rank(group) if parts.rank else None
    able = group.ok & ~np.isnan(votes).any(axis=-1) & (weight > 0)
    if rank is not None:
        able &= ~np.isnan(rank)
        rank = np.where(able, rank, -np.inf)
    weight = np.where(able, weight, 0)
    weighted = np.where(able[..., None], votes, 0).astype(np.int64) * weight[..., None]
    return Ballots(weighted, weight, able, rank)


class _Parts(NamedTuple):
    """As in `rules_grm.Rule`; where that says None, a ballot and a rank are NaN here, and a weight is 0."""

    ballot: Callable[[Group], Floats]
    weight: Callable[[Group], Ints]
    rank: Callable[[Group], Floats] | None = None


def _scores(group: Group) -> Floats:
    return group.scores.astype(np.float64)


def _choice(group: Group) -> Floats:
    if group.n == 1:
        return _scores(group) * WHOLE_CHOICE
    tied = group.scores == group.scores.max(axis=-1, keepdims=True)
    return np.where(tied, WHOLE_CHOICE // tied.sum(axis=-1, keepdims=True), 0).astype(np.float64)


def _expected(group: Group) -> Floats:
    return np.rint(np.where(np.isfinite(group.expected), group.expected, np.nan) * EXPECTED_STEPS)


def _one(group: Group) -> Ints:
    return np.ones(group.ok.shape, dtype=np.int64)


def _trust(group: Group) -> Ints:
    weights = (0 if logit != logit else trust(logit) for logit in group.meta.ravel().tolist())
    return np.fromiter(weights, np.int64, group.meta.size).reshape(group.meta.shape)


def _meta(group: Group) -> Floats:
    return group.meta


def _lot(group: Group) -> Floats:
    return np.fromiter(map(lot, group.seed.ravel().tolist()), np.float64, group.seed.size).reshape(group.seed.shape)


def _length(group: Group) -> Floats:
    return np.where(group.tokens > 0, group.tokens, np.nan)


_PARTS = {
    "sum": _Parts(_scores, _one),
    "majority": _Parts(_choice, _one),
    "expected": _Parts(_expected, _one),
    "meta_topk": _Parts(_scores, _one, _meta),
    "meta_soft": _Parts(_scores, _trust),
    "random_topk": _Parts(_scores, _one, _lot),
    "length_topk": _Parts(_scores, _one, _length),
}
