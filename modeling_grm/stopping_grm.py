"""When enough samples of one item have been drawn: anytime-valid, calibrated and exact stopping.

    rule = Stopping(rule="certain", k_max=32, delta=0.05)
    decide([(9, 2), (8, 2), None, (9, 1)], n=2, rule=rule) -> None      (go on)
    decide([(9, 1)] * 8, n=2, rule=rule) -> "certain"

Knows the scores of one item's samples in the order they were drawn (None = failed) and nothing of texts or models. The
samples come in blocks of n: in a whole block every response meets every slot once. Sampled at a temperature, or
greedily, the samples are independent given the item, and all blocks have the same law; this is what the rules rest on.

A failed sample changes no difference between responses, in the summed vote (arXiv 2504.02495, Eq 14) and so here: it
counts as a difference of 0. The rules therefore speak of that vote over all OK samples, whether failures depend on the
slot, on the scores, or on nothing. They do not speak of a vote that a meta RM or another rule makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from .types_grm import InvalidInput

Sample = Sequence[float] | None
"""One sample's scores in the caller's order; None where it failed."""

Rule = Literal["certain", "calibrated"]
Reason = Literal["certain", "calibrated", "settled", "k_max"]
"""Why sampling stopped."""

# Shares of the scale's width to bet on a difference, with their weights. Most judges are sure of most items, so most of
# the weight is on the largest bet; the small ones win where a judge contradicts itself.
BETS = ((1.0, 0.5), (0.5, 0.3), (0.25, 0.2))
RICH = 1e300  # no stake grows further, so that none becomes infinite; giving wealth away keeps the bets fair


@dataclass(frozen=True)
class Thresholds:
    """How large a margin must be to stop early; fitted on stored runs (`calibration.fit_thresholds`).

    An item of n responses stops after a whole block when its margin exceeds `levels[n] * sqrt(1 / drawn - 1 / k_max)`:
    were the differences of one spread on all items, this would be a fixed chance that the rest turns the vote. An n
    that has no level (too few items to promise delta) never stops early.

    Attributes:
        k_max, delta, low, high, quorum: what the levels were fitted for; they hold for nothing else.
        levels: n -> score points per unit of that root; None where none can be promised.
        items: n -> how many items it was fitted on.
    """

    k_max: int
    delta: float
    levels: Mapping[int, float | None]
    items: Mapping[int, int] = field(default_factory=dict)
    low: float = 1
    high: float = 10
    quorum: float = 0.5

    def at(self, n: int, drawn: int) -> float:
        """The margin, in score points, that stops an item of n responses after `drawn` samples."""
        level = self.levels.get(n)
        return math.inf if level is None else level * math.sqrt(max(0.0, 1 / drawn - 1 / self.k_max))

    def reached(self, margin: float, n: int, drawn: int) -> bool:
        """Does this margin stop it?"""
        return margin > self.at(n, drawn)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for `config.json["grm"]`."""
        plain = asdict(self)
        plain["levels"] = {str(n): level for n, level in self.levels.items()}
        plain["items"] = {str(n): count for n, count in self.items.items()}
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Thresholds:
        """Read what `to_dict` wrote; unknown and missing keys are refused by name."""
        known = {f.name for f in fields(cls)}
        required = {"k_max", "delta", "levels"}
        if not isinstance(stored, Mapping) or set(stored) - known or required - set(stored):
            raise InvalidInput(f"thresholds: {stored!r} is not usable; give {sorted(known)}, fitted by `grm calibrate`")
        by_n = {name: {int(n): value for n, value in stored.get(name, {}).items()} for name in ("levels", "items")}
        return cls(**{**stored, **by_n})


@dataclass(frozen=True)
class Stopping:
    """Settings of adaptive voting.

    Attributes:
        rule: "certain" agrees with the vote over infinitely many samples, "calibrated" with the vote over k_max, each
            with probability >= 1 - delta; neither promises that the vote is right.
        k_max: most samples an item gets.
        delta: the accepted share of disagreement, (0, 1).
        low, high: the legal scores.
        quorum: least share of OK samples, as in `vote`; below it nothing stops early.
        thresholds: what "calibrated" needs.
    """

    rule: Rule = "certain"
    k_max: int = 32
    delta: float = 0.05
    low: float = 1
    high: float = 10
    quorum: float = 0.5
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise InvalidInput(f"rule: {self.rule!r} is not usable; give one of {', '.join(get_args(Rule))}")
        if isinstance(self.k_max, bool) or not isinstance(self.k_max, int) or self.k_max < 1:
            raise InvalidInput(f"k_max: {self.k_max!r} is not usable; give a whole number of samples, at least 1")
        if not 0 < self.delta < 1:
            raise InvalidInput(f"delta: {self.delta!r} is not usable; give a number in (0, 1)")
        if not self.low < self.high:
            raise InvalidInput(
                f"low, high: {self.low!r}, {self.high!r} are no range; give the lowest legal score first"
            )
        if self.rule == "calibrated":
            self._check_thresholds()

    def _check_thresholds(self) -> None:
        if self.thresholds is None:
            raise InvalidInput(
                'thresholds: "calibrated" stopping needs them; fit them with `grm calibrate`, or use "certain"'
            )
        for name in ("k_max", "delta", "low", "high", "quorum"):
            asked, fitted = getattr(self, name), getattr(self.thresholds, name)
            if asked != fitted:
                raise InvalidInput(
                    f"{name}: {asked!r} is not usable; the thresholds were fitted for {fitted!r}: use that or fit anew"
                )


def totals_of(samples: Sequence[Sample], n: int) -> tuple[float, ...]:
    """Summed scores of each response over the OK samples (Eq 14)."""
    voted = [sample for sample in samples if sample is not None]
    return tuple(sum(sample[at] for sample in voted) for at in range(n))


def leader_of(totals: Sequence[float]) -> int | None:
    """The single highest response; None on a tie at the top and for n = 1."""
    top = max(totals)
    return list(totals).index(top) if len(totals) > 1 and list(totals).count(top) == 1 else None


def margin_of(samples: Sequence[Sample], n: int) -> float:
    """Score points a drawn sample by which the leader is ahead of the runner-up: 0 on a tie and for n = 1."""
    ranked = sorted(totals_of(samples, n), reverse=True)
    return (ranked[0] - ranked[1]) / len(samples) if n > 1 and samples else 0.0


def _valid(samples: Sequence[Sample]) -> int:
    return sum(sample is not None for sample in samples)


def best_of(samples: Sequence[Sample], n: int, quorum: float = 0.5) -> int | None:
    """Winner of the summed vote over these samples, as `vote` gives it: None on a tie and below the quorum."""
    valid = _valid(samples)
    return leader_of(totals_of(samples, n)) if valid and valid / len(samples) >= quorum else None


def _differences(samples: Sequence[Sample], leader: int, rival: int, width: float) -> list[float]:
    """By how much each sample prefers the leader, as a share of the scale's width: -1..1, 0 where it failed."""
    return [0.0 if sample is None else (sample[leader] - sample[rival]) / width for sample in samples]


def _wealth(differences: Sequence[float], n: int) -> Iterator[float]:
    """What the bets on positive differences have made of 1, at each whole block's end."""
    stakes = [weight for _, weight in BETS]
    for at, difference in enumerate(differences, 1):
        stakes = [min(RICH, stake * (1 + bet * difference)) for (bet, _), stake in zip(BETS, stakes, strict=True)]
        if at % n == 0:
            yield sum(stakes)


def evidence(samples: Sequence[Sample], n: int, low: float = 1, high: float = 10) -> float:
    """The leader's e-value against the rival that it beats least surely; 0 on a tie, for n = 1 and without samples.

    For each ordered pair (a, b), the wealth of one who bets on "a scores above b": the mean over `BETS` of the products
    of (1 + bet * difference / (high - low)), read at the ends of whole blocks, its largest value so far. Testing by
    betting: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024), with
    fixed bets, mixed. That it exceeds 1 / alpha says that the confidence sequence of that level for the mean difference
    lies above 0; the sequence itself is not needed to stop.

    Why the samples need not have one mean inside a block: they are independent, so a block multiplies the stake on one
    bet by prod(1 + bet * m_j) on average, with m_j the mean difference under the block's j-th order. By the inequality
    of arithmetic and geometric means this is at most (1 + bet * mean(m_j)) ** n, and so at most 1 where b is as good as
    a over the slots. It holds at the ends of blocks only, and bets as often as there are samples, not blocks.
    """
    whole = samples[: len(samples) // n * n]
    totals = totals_of(whole, n)
    leader = leader_of(totals) if whole else None
    if leader is None:
        return 0.0
    rivals = (_differences(whole, leader, rival, high - low) for rival in range(n) if rival != leader)
    return min(max(_wealth(differences, n)) for differences in rivals)


def required(n: int, delta: float) -> float:
    """The e-value that the leader of n responses needs against each rival; `certain` says why n, and not its pairs."""
    return n / delta


def certain(samples: Sequence[Sample], n: int, delta: float, low: float = 1, high: float = 10) -> bool:
    """Is the leader, at 1 - delta, the winner of the vote over infinitely many samples (in these n rotations)?

    May be asked after every block, any number of times. The leader needs an e-value of n / delta against every rival.
    Why n is enough although the leader is picked by the same samples: let w be a best response of the infinite vote. To
    stop on a leader that is not alone at the top, a false claim out of these n must come true: "a beats w" for each
    a != w, and, where another response v ties with w, "w beats v". Each does so at some time with probability at most
    delta / n (Ville's inequality).

    Args:
        samples: in the order drawn; a started block at the end is left out.
        n: how many responses they judge.
        delta: accepted probability of a wrong claim, over all times of asking.
        low, high: the legal scores.
    """
    return evidence(samples, n, low, high) >= required(n, delta)


def settled(
    totals: Sequence[float],
    remaining: int,
    low: float = 1,
    high: float = 10,
    *,
    valid: int,
    drawn: int,
    quorum: float = 0.5,
) -> bool:
    """Is the winner, or that nobody can win, the same whatever the remaining samples say or fail to say?

    A remaining sample moves two responses apart by at most high - low, and by 0 where it fails. The leader must be
    ahead by more than all of them can make up, and the quorum of all samples be met already; or it must be out of
    reach. A tie with samples to come is open, and so is an item of one response: it has no winner, only a score.

    Args:
        totals: summed scores of the OK samples so far.
        remaining: samples that could still be drawn.
        low, high: the legal scores.
        valid, drawn: how many samples are OK, of how many so far.
        quorum: as in `vote`.
    """
    whole = drawn + remaining
    if remaining == 0 or (valid + remaining) / whole < quorum:
        return True
    if len(totals) == 1 or valid / whole < quorum:
        return False
    first, second = sorted(totals, reverse=True)[:2]
    return first - second > remaining * (high - low)


def _is_certain(samples: Sequence[Sample], n: int, rule: Stopping) -> bool:
    return certain(samples, n, rule.delta, rule.low, rule.high)


def _is_calibrated(samples: Sequence[Sample], n: int, rule: Stopping) -> bool:
    return rule.thresholds is not None and rule.thresholds.reached(margin_of(samples, n), n, len(samples))


_ENOUGH: dict[Rule, Callable[[Sequence[Sample], int, Stopping], bool]] = {
    "certain": _is_certain,
    "calibrated": _is_calibrated,
}


def decide(samples: Sequence[Sample], n: int, rule: Stopping) -> Reason | None:
    """Stop here, and why? To be asked after every whole block of an item, from the first on.

    "calibrated" keeps its promise only when it is asked after each block, as it was when it was fitted; the others may
    be asked at any times. Inside a block only "k_max" stops.

    Args:
        samples: all scores so far, in the order drawn; None where a sample failed.
        n: how many responses they judge.
        rule: the settings.

    Returns:
        None to go on; "k_max" when the samples are used up; "settled" when the rest cannot change the vote; else the
        rule's name when it is satisfied and the quorum of the samples so far is met.
    """
    drawn, valid, totals = len(samples), _valid(samples), totals_of(samples, n)
    if drawn >= rule.k_max:
        return "k_max"
    if drawn == 0 or drawn % n:
        return None
    if settled(totals, rule.k_max - drawn, rule.low, rule.high, valid=valid, drawn=drawn, quorum=rule.quorum):
        return "settled"
    if best_of(samples, n, rule.quorum) is None:
        return None
    return rule.rule if _ENOUGH[rule.rule](samples, n, rule) else None
