"""What one result says about how sure it is: margin, its error, agreement, slot effect, and a probability.

    confidence(critiques, n=2, voters=(0, 1, 2, 3), best=0, mapping=None)
    -> {"margin": 4.25, "margin_se": 0.75, "agreement": 1.0, "slot_effects": [0.5, -0.5], "raw": 0.985,
        "probability": None}

Arithmetic over critiques; knows nothing of labels. `calibration` learns from labelled items the map that turns `raw`
into a probability; without one there is no probability, only `raw`. What cannot be said is None, never a number.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .types_grm import Critique, InvalidInput

# A difference of two responses' scores varies by this much from sample to sample before any is seen, with the weight of
# so many samples: a quarter of the 9 points of the scale. Four equal samples are no proof that the fifth is equal.
PRIOR_SPREAD = 2.25
PRIOR_WEIGHT = 2
EDGE = 1e-6  # no probability is nearer to 0 or 1

Votes = Sequence[Sequence[float]]
"""Scores in the caller's order, one row a voter."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    """Unbiased; needs two values."""
    middle = _mean(values)
    return sum((value - middle) ** 2 for value in values) / (len(values) - 1)


def clipped(probability: float) -> float:
    """Kept off 0 and 1, so that its logit is a number."""
    return min(1 - EDGE, max(EDGE, probability))


def ranked(votes: Votes) -> list[int]:
    """Responses by summed score, highest first; in a tie the caller's order."""
    totals = [sum(column) for column in zip(*votes, strict=True)]
    return sorted(range(len(totals)), key=lambda at: (-totals[at], at))


def differences(votes: Votes, leader: int, rival: int) -> list[float]:
    """How many points each voter puts between two responses."""
    return [vote[leader] - vote[rival] for vote in votes]


def whole_blocks(critiques: Sequence[Critique], n: int, voters: Sequence[int]) -> list[list[int]] | None:
    """The voters as blocks of n in which each response meets each slot once; None where they are not such blocks.

    Blocks are the runs of n critiques from the first on; all voters must be in whole ones, and all of a block vote.
    """
    voting = set(voters)
    blocks = [list(range(start, start + n)) for start in range(0, len(critiques), n)]
    blocks = [block for block in blocks if voting.intersection(block)]
    for block in blocks:
        if block[-1] >= len(critiques) or not voting.issuperset(block):
            return None
        if any(len({critiques[at].order[slot] for at in block}) < n for slot in range(n)):
            return None
    return blocks


def standard_error(values: Sequence[float], blocks: Sequence[Sequence[int]] | None) -> float | None:
    """Standard error of the mean of one value a voter; None where a single observation is all there is.

    Between blocks where there are two or more (a block holds every slot once, so the slot effect is no error of its
    mean), else between samples.

    Args:
        values: by voter.
        blocks: places in `values` that make a block.
    """
    if blocks is not None and len(blocks) >= 2:
        values = [_mean([values[at] for at in block]) for block in blocks]
    return math.sqrt(_variance(values) / len(values)) if len(values) >= 2 else None


def agreement(votes: Votes, best: int | None) -> float | None:
    """Share of the voters that put `best` alone at the top, as the vote does; None without a best."""
    if best is None or not votes:
        return None
    return sum(vote[best] > max(s for at, s in enumerate(vote) if at != best) for vote in votes) / len(votes)


def slot_effects(votes: Votes, orders: Sequence[Sequence[int]]) -> list[float] | None:
    """Points that a slot gives: for each slot, the mean of (score shown there - that response's mean score).

    Says nothing (None) for one response and where some response was not shown in every slot. Over whole blocks it is
    the slot's mean score less the mean of all scores, and the effects sum to 0.

    Args:
        votes: scores by voter, in the caller's order.
        orders: `orders[voter][slot] = caller's index`.
    """
    n = len(votes[0]) if votes else 0
    if n < 2 or any(len({order[slot] for order in orders}) < n for slot in range(n)):
        return None
    means = [_mean(column) for column in zip(*votes, strict=True)]
    shown = list(zip(votes, orders, strict=True))
    return [_mean([vote[order[slot]] - means[order[slot]] for vote, order in shown]) for slot in range(n)]


def student_tail(t: float, df: int) -> float:
    """P(T > t) for Student's t with a whole number of degrees of freedom, t >= 0.

    The finite sums of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(df))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = df % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for j in range(odd, df, 2):
        total += term
        term *= square * (j + 1) / (j + 2)
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, (1 - within) / 2)


def doubt(values: Sequence[float]) -> float:
    """Posterior probability that a mean difference, positive so far, is not positive.

    Student's t with a flat prior on the mean and a scaled inverse chi-square one on the variance (Gelman et al.,
    Bayesian Data Analysis, section 3.2, with `PRIOR_SPREAD` as the prior's scale): equal differences leave a doubt.
    """
    count, middle = len(values), _mean(values)
    squares = sum((value - middle) ** 2 for value in values)
    df = PRIOR_WEIGHT + count - 1
    spread = math.sqrt((PRIOR_WEIGHT * PRIOR_SPREAD**2 + squares) / df)
    return student_tail(max(0.0, middle) / (spread / math.sqrt(count)), df)


def raw_confidence(votes: Votes, best: int | None) -> float | None:
    """How sure the samples are of `best`, in (0, 1), uncalibrated; None without a best.

    1 less the summed doubts about every rival (Boole's inequality), and at least what a guess has, 1/n. It is about the
    judge's own noise: a judge that is wrong in every sample is as sure as one that is right.
    """
    if best is None or not votes:
        return None
    n = len(votes[0])
    doubts = sum(doubt(differences(votes, best, rival)) for rival in range(n) if rival != best)
    return clipped(max(1 / n, 1 - doubts))


def _interpolated(x: Sequence[float], y: Sequence[float], at: float) -> float:
    right = bisect.bisect_right(x, at)
    if right in (0, len(x)):
        return y[0] if right == 0 else y[-1]
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return y[right - 1] + share * (y[right] - y[right - 1])


def _platt(mapping: Mapping[str, Any], raw: float) -> float:
    logit = math.log(clipped(raw) / (1 - clipped(raw)))
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, mapping["a"] * logit + mapping["b"]))))


def _isotonic(mapping: Mapping[str, Any], raw: float) -> float:
    return _interpolated(mapping["x"], mapping["y"], raw)


_MAPS = {"platt": _platt, "isotonic": _isotonic}


def calibrated(raw: float, mapping: Mapping[str, Any]) -> float:
    """The probability that `best` is right, by a map that `calibration.fit_map` learned; in (0, 1), rising with `raw`.

    Args:
        raw: from `raw_confidence`.
        mapping: `{"kind": "platt", "a", "b"}` (on the logit) or `{"kind": "isotonic", "x", "y"}` (knots, with straight
            lines between them).

    Raises:
        InvalidInput: a map of another kind, or without its numbers.
    """
    try:
        return clipped(_MAPS[mapping["kind"]](mapping, raw))
    except (KeyError, TypeError, IndexError) as error:
        raise InvalidInput(f"confidence map: {mapping!r} is not usable; write one with `grm calibrate`") from error


def confidence(
    critiques: Sequence[Critique],
    n: int,
    voters: Sequence[int],
    best: int | None,
    mapping: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a result says about how sure it is, in plain JSON types.

    Args:
        critiques: all samples of the item, in the order drawn.
        n: how many responses they judge.
        voters: indices of those that voted; empty where the item abstained.
        best: the winner of the vote, None on a tie, for one response or without a vote.
        mapping: the calibration from `config.json["grm"]`.

    Returns:
        `margin`: mean score of the leader less the runner-up's, in score points, 0 on a tie;
        `margin_se`: its standard error (`standard_error`; 0 where the samples do not differ: it is an estimate);
        `agreement`, `slot_effects`, `raw`: see the functions of these names;
        `probability`: that `best` is right, by `mapping`; None without one.
        None stands for what cannot be said: all of it for one response or without a vote.
    """
    votes = [critiques[at].scores or () for at in voters]
    said: dict[str, Any] = dict.fromkeys(("margin", "margin_se", "agreement", "slot_effects", "raw", "probability"))
    if n < 2 or not votes:
        return said
    leader, rival = ranked(votes)[:2]
    gaps = differences(votes, leader, rival)
    place = {at: row for row, at in enumerate(voters)}
    blocks = whole_blocks(critiques, n, voters)
    said["margin"] = _mean(gaps)
    said["margin_se"] = standard_error(gaps, blocks and [[place[at] for at in block] for block in blocks])
    said["agreement"] = agreement(votes, best)
    said["slot_effects"] = slot_effects(votes, [critiques[at].order for at in voters])
    said["raw"] = raw_confidence(votes, best)
    if mapping is not None and said["raw"] is not None:
        said["probability"] = calibrated(said["raw"], mapping)
    return said
