"""How the samples of one item are made into one vote: a table of rules, each a few pure functions of one critique.

    RULES["majority"].ballot(critique with scores (3, 9, 1)) -> (0, 720720, 0)      one vote, for the second response
    tally([...], RULES["sum"], k_meta=2) -> Tally(votes=(17, 25), weight=4, voters=(0, 1, 2, 3))

A rule says what a sample puts into the ballot box, what weight it has, and, where only the k_meta best samples vote,
what ranks them. Each may answer None: this sample cannot vote under this rule. All votes are whole numbers in the
rule's own unit, so that a tie is a tie and no sum depends on the order of its parts. Knows critiques only; who is
valid, and whether they are enough, is settled before (`voting_grm`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .types_grm import Critique, InvalidInput

WHOLE_CHOICE = math.lcm(*range(1, 17))  # divides evenly among 1..16 tied responses
EXPECTED_STEPS = 10**6  # an expected score is taken to a millionth
TRUST_STEPS = 2**40  # so the least weight is 1e-12; 1,000 votes of 10 stay below 2^63


def scores_of(critique: Critique) -> Sequence[int] | None:
    """The scores themselves (arXiv 2504.02495, Eq 14)."""
    return critique.scores


def one(_: Critique) -> int:
    """Every sample's ballot counts the same."""
    return 1


@dataclass(frozen=True)
class Rule:
    """One voting rule.

    Attributes:
        meaning: one line for people.
        ballot: what the sample gives each response, caller's order, in 1/`unit`; None where it cannot vote.
        unit: how many steps of the ballot make one point of the score.
        weight: how much the ballot counts, a positive whole number; None where the sample cannot vote.
        rank: where it is given only the k_meta samples of the highest rank vote (earlier samples first in a tie);
            a sample whose rank is None cannot be among them.
    """

    meaning: str
    ballot: Callable[[Critique], Sequence[int] | None]
    unit: int = 1
    weight: Callable[[Critique], int | None] = one
    rank: Callable[[Critique], float | None] | None = None

    @property
    def sums_scores(self) -> bool:
        """Its votes are sums of whole scores."""
        return self.ballot is scores_of and self.weight is one


@dataclass(frozen=True)
class Tally:
    """A counted vote: `votes[i] / (weight * unit)` is response i's mean ballot; `voters` index the samples given."""

    votes: tuple[int, ...]
    weight: int
    voters: tuple[int, ...]


def choice(critique: Critique) -> Sequence[int] | None:
    """One vote for the highest response; m tied ones get 1/m each, so a judge without a favourite adds no margin.

    A sample of one response has nothing to choose from; its score is its vote, as under `sum`.
    """
    scores = critique.scores
    if scores is None or len(scores) == 1:
        return scores and (scores[0] * WHOLE_CHOICE,)
    top = max(scores)
    return tuple(WHOLE_CHOICE // scores.count(top) if score == top else 0 for score in scores)


def expected_of(critique: Critique) -> Sequence[int] | None:
    """Expected scores in millionths; None where the engine gave none."""
    expected = critique.expected
    if expected is None or not all(map(math.isfinite, expected)):
        return None
    return tuple(round(score * EXPECTED_STEPS) for score in expected)


def meta_of(critique: Critique) -> float | None:
    """The meta RM's logit; None where it said nothing, or nothing finite."""
    rated = critique.meta_score is not None and math.isfinite(critique.meta_score)
    return critique.meta_score if rated else None


def trust(logit: float) -> int:
    """The meta RM's probability that a judgement is correct (the sigmoid of its logit), in 2^-40 and at least that.

    The meta RM is trained by cross-entropy on "the trajectory is correct" (section 3.2), so the sigmoid is the weight
    it means; a softmax of the raw logits would come close to trusting one sample alone, which the paper finds harmful.
    """
    odds = math.exp(-abs(logit))
    return max(1, round(TRUST_STEPS * (1 if logit >= 0 else odds) / (1 + odds)))


def trust_of(critique: Critique) -> int | None:
    """`trust` of a critique's logit."""
    logit = meta_of(critique)
    return None if logit is None else trust(logit)


def lot(seed: int) -> int:
    """52 random bits that belong to a sample's seed: the same in every process, and whatever k is."""
    return int(hashlib.sha256(f"lot {seed}".encode("ascii")).hexdigest()[:13], 16)


def lot_of(critique: Critique) -> float | None:
    """`lot` of a critique's seed."""
    return lot(critique.seed)


def length_of(critique: Critique) -> float | None:
    """Tokens written; None where the engine does not count them."""
    return critique.completion_tokens or None


RULES: dict[str, Rule] = {
    "sum": Rule("the sum of the scores (Eq 14)", scores_of),
    "majority": Rule("one vote a sample for its best response, shared in a tie", choice, WHOLE_CHOICE),
    "expected": Rule("the sum of the scores expected from the score tokens", expected_of, EXPECTED_STEPS),
    "meta_topk": Rule("the sum over the k_meta samples that the meta RM trusts most", scores_of, rank=meta_of),
    "meta_soft": Rule("the sum weighted by the meta RM's probability of correctness", scores_of, weight=trust_of),
    "random_topk": Rule("control: the sum over k_meta samples drawn by lot", scores_of, rank=lot_of),
    "length_topk": Rule("control: the sum over the k_meta longest samples", scores_of, rank=length_of),
}


def find_rule(name: str) -> Rule:
    """A rule by its name.

    Raises:
        InvalidInput: there is no such rule.
    """
    if name not in RULES:
        raise InvalidInput(f"rule: {name!r} is not known; known are {', '.join(RULES)}")
    return RULES[name]


def default_k_meta(k: int) -> int:
    """Half of the samples, at least one (section 4)."""
    return max(1, k // 2)


def tally(critiques: Sequence[Critique], rule: Rule, k_meta: int) -> Tally | None:
    """Count the votes of OK critiques; None where none of them can vote under this rule.

    Args:
        critiques: OK samples of one item, earlier ones first.
        rule: one of `RULES`.
        k_meta: how many may vote where the rule ranks them; fewer do where fewer can.
    """
    able = [entry for at, critique in enumerate(critiques) if (entry := _entry(at, critique, rule))]
    if rule.rank is not None:
        able = sorted(sorted(able, key=lambda entry: (-entry.rank, entry.at))[:k_meta], key=lambda entry: entry.at)
    if not able:
        return None
    weighted = ([entry.weight * vote for vote in entry.ballot] for entry in able)
    votes = tuple(map(sum, zip(*weighted, strict=True)))
    return Tally(votes, sum(entry.weight for entry in able), tuple(entry.at for entry in able))


class _Entry(NamedTuple):
    at: int
    ballot: Sequence[int]
    weight: int
    rank: float


def _entry(at: int, critique: Critique, rule: Rule) -> _Entry | None:
    ballot, weight = rule.ballot(critique), rule.weight(critique)
    rank = rule.rank(critique) if rule.rank else 0.0
    return None if ballot is None or weight is None or rank is None else _Entry(at, ballot, weight, rank)
