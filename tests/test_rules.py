"""rules_grm.py: what each rule's vote is, on samples that can be counted by hand, and what it does with gaps."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import as_critique, stored_item

from modeling_grm.ballots import ballots
from modeling_grm.rules_grm import RULES, WHOLE_CHOICE, choice, default_k_meta, lot, trust
from modeling_grm.runs import load_runs
from modeling_grm.types_grm import Critique, InvalidInput, Outcome
from modeling_grm.voting_grm import vote

RULE = st.sampled_from(sorted(RULES))
NEEDS_MORE = ("expected", "meta_topk", "meta_soft", "length_topk")


def ok(*scores: int, meta: float | None = None, tokens: int = 0, seed: int = 0) -> Critique:
    order = tuple(range(len(scores)))
    return Critique("", Outcome.OK, order, seed, scores=scores, meta_score=meta, completion_tokens=tokens)


PAPER = [ok(1, 5, meta=0.9), ok(5, 6, meta=-3.0), ok(4, 8, meta=1.2), ok(7, 6, meta=-15.8)]


def test_the_papers_example() -> None:
    assert vote(PAPER, 2, rule="sum").totals == (17, 25)
    guided = vote(PAPER, 2, rule="meta_topk")
    assert (guided.totals, guided.voters) == ((5, 13), (0, 2)), "half of the samples, unless told otherwise"
    assert vote(PAPER, 2, rule="meta_topk", k_meta=1).totals == (4, 8)
    assert vote(PAPER, 2, k_meta=2) == guided, "k_meta alone means meta_topk"
    assert vote(PAPER, 2, rule="sum", k_meta=2) == vote(PAPER, 2), "a rule that does not rank lets all vote"


def test_the_majority_counts_favourites() -> None:
    result = vote(PAPER, 2, rule="majority")
    assert (result.scores, result.totals, result.best) == ((0.25, 0.75), None, 1)
    lopsided = [ok(10, 1), ok(5, 6), ok(5, 6)]
    assert (vote(lopsided, 2).best, vote(lopsided, 2, rule="majority").best) == (0, 1)


def test_a_sample_without_a_favourite_shares_its_vote() -> None:
    result = vote([ok(8, 8, 1), ok(9, 9, 9), ok(1, 5, 5)], 3, rule="majority")
    thirds = (Fraction(1, 2) + Fraction(1, 3), Fraction(1) + Fraction(1, 3), Fraction(1, 2) + Fraction(1, 3))
    assert result.scores == pytest.approx([float(share / 3) for share in thirds])
    assert result.best == 1
    assert vote([ok(8, 8)] * 3, 2, rule="majority").best is None, "a tie, no abstention"
    assert vote([ok(8, 8)] * 3, 2, rule="majority").scores == (0.5, 0.5)
    assert all(sum(choice(ok(*[7] * n)) or ()) == WHOLE_CHOICE for n in range(2, 17))


def test_one_response_has_no_rival() -> None:
    assert vote([ok(7), ok(4)], 1, rule="majority").scores == (5.5,) == vote([ok(7), ok(4)], 1).scores


def test_expected_scores_vote_where_there_are_any() -> None:
    samples = [replace(ok(8, 8), expected=(7.6, 8.1)), ok(9, 1), replace(ok(5, 5), expected=(math.nan, 5.0))]
    result = vote(samples, 2, rule="expected")
    assert (result.scores, result.best, result.voters) == ((7.6, 8.1), 1, (0,))
    tenths = [replace(ok(1, 1), expected=scores) for scores in ((0.1, 0.3), (0.2, 0.2), (0.3, 0.1))]
    assert vote(tenths, 2, rule="expected").best is None, "0.1 + 0.2 + 0.3 is 0.3 + 0.2 + 0.1"


def test_the_soft_vote_weighs_by_the_probability_of_being_right() -> None:
    samples = [ok(10, 1, meta=0.0), ok(1, 4, meta=math.log(3))]
    assert vote(samples, 2, rule="meta_soft").scores == pytest.approx(((0.5 * 10 + 0.75) / 1.25, (0.5 + 3) / 1.25))
    alike = vote([ok(3, 8, meta=-900.0), ok(4, 5, meta=-900.0)], 2, rule="meta_soft")
    assert alike.scores == (3.5, 6.5), "weights that are all too small are equal weights"


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_trust_is_the_sigmoid(one: float, other: float) -> None:
    assert trust(one) / 2**40 == pytest.approx(1 / (1 + math.exp(-one)), rel=1e-3)
    assert (trust(one) <= trust(other)) or one > other


def test_the_lot_is_drawn_evenly_and_stays() -> None:
    samples = [ok(at, 9, seed=at) for at in range(1, 9)]
    voters = vote(samples, 2, rule="random_topk", k_meta=3).voters
    assert voters == vote(samples, 2, rule="random_topk", k_meta=3).voters
    assert set(voters) < set(vote(samples, 2, rule="random_topk", k_meta=4).voters)
    first = [lot(2 * at) > lot(2 * at + 1) for at in range(2000)]
    assert abs(sum(first) - 1000) < 4 * math.sqrt(500)
    assert lot(7) == 2304656859043340, "pinned, so that a control can be repeated"


def test_the_longest_samples_vote() -> None:
    samples = [ok(1, 2, tokens=100), ok(3, 4, tokens=300), ok(5, 6), ok(7, 8, tokens=300)]
    assert vote(samples, 2, rule="length_topk").voters == (1, 3)
    assert vote(samples, 2, rule="length_topk", k_meta=1).voters == (1,), "the earlier one in a tie"
    assert vote(samples, 2, rule="length_topk", k_meta=4).voters == (0, 1, 3), "an uncounted one has no length"


@pytest.mark.parametrize("rule", NEEDS_MORE)
def test_without_what_the_rule_needs_the_item_abstains(rule: str) -> None:
    result = vote([ok(1, 2), ok(3, 4)], 2, rule=rule)
    assert (result.scores, result.totals, result.best, result.voters, result.n_valid) == (None, None, None, (), 2)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_failures_do_not_vote_and_the_quorum_is_over_k(rule: str) -> None:
    full = replace(ok(8, 3, meta=1.0, tokens=9), expected=(8.0, 3.0))
    failed = Critique("", Outcome.NO_SCORES, (0, 1), 0, meta_score=9.0, completion_tokens=999)
    assert vote([failed, full, failed, full], 2, rule=rule).best == 0
    assert vote([failed, full, failed, full], 2, rule=rule, k_meta=4).voters == (1, 3)
    below = vote([failed, full, failed, full, failed], 2, rule=rule)
    assert (below.scores, below.best, below.voters) == (None, None, ())
    assert vote([], 2, rule=rule).scores is None


def test_unknown_rules_and_misfits_are_named() -> None:
    with pytest.raises(InvalidInput, match="rule: 'median' is not known; known are sum, majority"):
        vote(PAPER, 2, rule="median")
    with pytest.raises(ValueError, match="3 responses"):
        vote(PAPER, 3)
    assert [default_k_meta(k) for k in (1, 2, 3, 32)] == [1, 1, 1, 16]


@given(RULE, st.integers(1, 4), st.integers(0, 10), st.integers(0, 2**32), st.data())
def test_permuting_the_responses_permutes_the_result(rule: str, n: int, k: int, seed: int, data: st.DataObject) -> None:
    samples = [as_critique(row) for row in stored_item("an item", n, k, random.Random(seed))]
    order = data.draw(st.permutations(range(n)))

    def moved(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return None if values is None else tuple(values[at] for at in order)

    turned = [replace(s, scores=moved(s.scores), expected=moved(s.expected)) for s in samples]
    here, there = vote(samples, n, rule=rule), vote(turned, n, rule=rule)
    assert (there.scores, there.totals, there.voters) == (moved(here.scores), moved(here.totals), here.voters)
    assert there.best == (None if here.best is None else order.index(here.best))


@given(st.sampled_from(["sum", "majority", "expected", "meta_soft"]), st.integers(0, 2**32), st.data())
def test_the_samples_order_does_not_matter(rule: str, seed: int, data: st.DataObject) -> None:
    samples = [as_critique(row) for row in stored_item("an item", 3, 9, random.Random(seed))]
    turned = data.draw(st.permutations(samples))
    assert vote(samples, 3, rule=rule).scores == vote(turned, 3, rule=rule).scores


@given(RULE, st.integers(1, 5), st.integers(1, 10), st.integers(0, 2**32))
def test_the_arrays_say_what_the_functions_say(name: str, n: int, k: int, seed: int) -> None:
    rows = stored_item("an item", n, k, random.Random(seed))
    (group,) = load_runs(rows).groups
    found, rule = ballots(group, name), RULES[name]
    for at, critique in enumerate(map(as_critique, rows)):
        ballot, weight = rule.ballot(critique), rule.weight(critique)
        rank = rule.rank(critique) if rule.rank else 0.0
        able = critique.outcome is Outcome.OK and None not in (ballot, weight, rank)
        assert found.able[0, at] == able
        assert found.weight[0, at] == (weight if able else 0)
        assert found.votes[0, at].tolist() == ([weight * vote for vote in ballot] if able else [0] * n)
        if found.rank is not None:
            assert found.rank[0, at] == (rank if able else -np.inf)
