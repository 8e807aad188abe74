"""Early stopping keeps its promises: few wrong stops, settled votes cannot turn, and bad settings are named."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from benchmarks.stopping_simulation import JUDGES, Judge, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_grm.stopping_grm import (
    BETS,
    Sample,
    Stopping,
    Thresholds,
    best_of,
    certain,
    decide,
    evidence,
    leader_of,
    margin_of,
    required,
    settled,
    totals_of,
)
from modeling_grm.types_grm import Critique, InvalidInput, Outcome
from modeling_grm.voting_grm import vote

CALM = settings(deadline=None)
FITTED = Thresholds(k_max=8, delta=0.05, levels={2: 4.0, 3: None}, items={2: 400, 3: 5})


def samples_of(n: int, most: int = 12) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | st.tuples(*[st.integers(1, 10)] * n), max_size=most)


grown = st.integers(2, 4).flatmap(lambda n: st.tuples(st.just(n), samples_of(n)))


def critiques(samples: list[Any], n: int) -> list[Critique]:
    order = tuple(range(n))
    return [Critique("", Outcome.OK if s else Outcome.NO_SCORES, order, 0, scores=s) for s in samples]


# --------------------------------------------------------------------------- the vote so far


@given(grown, st.floats(0.01, 1))
@CALM
def test_best_is_that_of_the_vote(item: tuple[int, list[Any]], quorum: float) -> None:
    n, samples = item
    if samples:
        assert best_of(samples, n, quorum) == vote(critiques(samples, n), n, quorum=quorum).best


def test_margin_is_in_points_a_drawn_sample() -> None:
    assert margin_of([(9, 4), (8, 3), None, (9, 9)], 2) == 10 / 4
    assert margin_of([(9, 4), (4, 9)], 2) == margin_of([], 2) == margin_of([(9,)], 1) == 0


# --------------------------------------------------------------------------- certain


def exact_growth(laws: list[list[tuple[float, Sample]]], bet: float) -> float:
    """What one block multiplies a stake on "0 above 1" by, on average: all its outcomes enumerated."""
    total = 0.0
    for block in itertools.product(*laws):
        factors = [p * (1 + bet * (0 if s is None else (s[0] - s[1]) / 9)) for p, s in block]
        total += math.prod(factors)
    return total


@st.composite
def laws(draw: st.DrawFn) -> list[list[tuple[float, Sample]]]:
    """Two or three orders, each with up to three outcomes of a pair."""
    found = []
    for _ in range(draw(st.integers(2, 3))):
        outcomes = draw(st.lists(st.none() | st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=1, max_size=3))
        weights = draw(st.lists(st.floats(0.01, 1), min_size=len(outcomes), max_size=len(outcomes)))
        found.append([(weight / sum(weights), outcome) for weight, outcome in zip(weights, outcomes, strict=True)])
    return found


@given(laws(), st.sampled_from([bet for bet, _ in BETS]))
@CALM
def test_bets_on_a_response_that_is_not_better_do_not_grow(found: Any, bet: float) -> None:
    """The supermartingale itself, with slot effects and failures: what the promise of `certain` rests on."""
    mean = sum(p * (s[0] - s[1]) for law in found for p, s in law if s is not None)
    if mean <= 0:
        assert exact_growth(found, bet) <= 1 + 1e-9


def test_bets_are_fair() -> None:
    assert sum(weight for _, weight in BETS) == pytest.approx(1)
    assert all(0 < bet <= 1 for bet, _ in BETS)


@pytest.mark.parametrize("judge", [judge for judge in JUDGES if judge.truth() is None or "behind" in judge.name])
def test_wrong_stops_are_below_delta(judge: Judge) -> None:
    for stops in simulate([judge], runs=40, k=32):
        allowed = stops.items * stops.delta
        assert stops.errors <= allowed + 4 * math.sqrt(allowed)


@pytest.mark.slow
@pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
def test_wrong_stops_are_below_delta_in_many_runs(judge: Judge) -> None:
    assert not any(stops.broken for stops in simulate([judge], runs=400))


def test_a_judge_without_variance_is_believed_in_time() -> None:
    assert not certain([(9, 1)] * 2, 2, 0.05)
    assert certain([(9, 1)] * 8, 2, 0.05)
    assert not certain([(7, 7)] * 64, 2, 0.1), "it has no winner"
    assert certain([(3, 9, 1, 2)] * 12, 4, 0.05)


def test_the_leader_needs_n_over_delta_against_each() -> None:
    """Not 1 / delta: in an exact tie either of two may win by chance, and both would be wrong."""
    assert (required(2, 0.05), required(4, 0.1)) == (40, 40)
    sure = [(9, 1)] * 8
    assert 40 <= evidence(sure, 2) < 200
    assert certain(sure, 2, 0.05)
    assert not certain(sure, 2, 0.01)


def test_wealth_is_read_at_the_ends_of_blocks() -> None:
    """Inside a block a slot effect looks like a lead."""
    assert evidence([(10, 1), (1, 9)], 2) == pytest.approx(0.5 * 2 / 9 + 0.3 * 1.5 * 5 / 9 + 0.2 * 1.25 * 7 / 9)


def test_a_slot_effect_is_no_evidence() -> None:
    assert not certain([(10, 1), (1, 10)] * 100, 2, 0.1)


def test_a_started_block_is_left_out() -> None:
    assert evidence([(10, 1)], 2) == 0
    assert evidence([(10, 1)] * 5, 2) == evidence([(10, 1)] * 4, 2)


def test_no_samples_one_response_and_failures_say_nothing() -> None:
    assert evidence([], 2) == evidence([(9,)] * 8, 1) == evidence([None] * 8, 2) == 0


@given(grown)
@CALM
def test_evidence_does_not_depend_on_names(item: tuple[int, list[Any]]) -> None:
    n, samples = item
    turned = [None if s is None else s[::-1] for s in samples]
    assert evidence(turned, n) == pytest.approx(evidence(samples, n))


@given(grown, st.integers(0, 12))
@CALM
def test_failures_add_no_evidence(item: tuple[int, list[Any]], failed: int) -> None:
    n, samples = item
    whole = samples[: len(samples) // n * n]
    assert evidence([*whole, *[None] * (failed * n)], n) == pytest.approx(evidence(whole, n))


def test_very_long_runs_stay_numbers() -> None:
    assert math.isfinite(evidence([(10, 1)] * 3000 + [(1, 10)] * 2, 2))


# --------------------------------------------------------------------------- settled


@given(grown, st.integers(0, 3), st.sampled_from([0.01, 0.5, 0.75, 1.0]), st.randoms(use_true_random=False))
@CALM
def test_settled_votes_cannot_turn(item: tuple[int, list[Any]], rest: int, quorum: float, random: Random) -> None:
    """Settled: no future changes best, now or at the end. Not settled: some extreme future does."""
    n, samples = item
    if not samples:
        return
    ok = sum(s is not None for s in samples)
    done = settled(totals_of(samples, n), rest, 1, 10, valid=ok, drawn=len(samples), quorum=quorum)
    extremes = [None, *[tuple(10 if a == b else 1 for b in range(n)) for a in range(n)]]
    bests = {best_of([*samples, *future], n, quorum) for future in itertools.product(extremes, repeat=rest)}
    if not done:
        assert len(bests) > 1
        return
    assert bests == {best_of(samples, n, quorum)}
    some = [random.choice([None, tuple(random.randint(1, 10) for _ in range(n))]) for _ in range(rest)]
    assert best_of([*samples, *some], n, quorum) in bests


def test_a_lead_that_can_just_be_evened_is_open() -> None:
    assert not settled([27, 18], 1, valid=3, drawn=3)
    assert settled([28, 18], 1, valid=3, drawn=3)
    assert not settled([28, 18], 2, valid=3, drawn=3)


def test_a_score_alone_is_never_settled_before_its_end() -> None:
    assert not settled([80], 1, valid=8, drawn=8)
    assert settled([80], 0, valid=8, drawn=8)


# --------------------------------------------------------------------------- calibrated


def test_thresholds_fall_to_zero_at_k_max() -> None:
    found = [FITTED.at(2, drawn) for drawn in (2, 4, 6, 8)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(4 * math.sqrt(1 / 2 - 1 / 8))
    assert found[-1] == 0


def test_a_number_of_responses_without_a_level_never_stops() -> None:
    assert not FITTED.reached(9, 3, 6)
    assert not FITTED.reached(9, 4, 4)


def test_thresholds_survive_json() -> None:
    assert Thresholds.from_dict(json.loads(json.dumps(FITTED.to_dict()))) == FITTED


@pytest.mark.parametrize("stored", [{}, {"k_max": 8, "delta": 0.1}, {**FITTED.to_dict(), "lambda": 1}, None])
def test_unreadable_thresholds_are_refused(stored: Any) -> None:
    with pytest.raises(InvalidInput, match=r"thresholds: .*grm calibrate"):
        Thresholds.from_dict(stored)


# --------------------------------------------------------------------------- the decision

CERTAIN = Stopping("certain", k_max=32, delta=0.05)
CALIBRATED = Stopping("calibrated", k_max=8, delta=0.05, thresholds=FITTED)


@pytest.mark.parametrize(
    ("samples", "n", "rule", "reason"),
    [
        ([], 2, CERTAIN, None),
        ([(9, 1)] * 2, 2, CERTAIN, None),
        ([(9, 1)] * 8, 2, CERTAIN, "certain"),
        ([(9, 1)] * 9, 2, CERTAIN, None),  # inside a block
        ([(9, 1), None] * 12, 2, CERTAIN, "certain"),
        ([(9, 1), None, None] * 8, 2, CERTAIN, None),  # below the quorum
        ([(9, 8)] * 32, 2, CERTAIN, "k_max"),
        ([None] * 18, 2, CERTAIN, "settled"),  # the quorum is out of reach
        ([(9,)] * 31, 1, CERTAIN, None),
        ([(9,)] * 32, 1, CERTAIN, "k_max"),
        ([(9, 1)] * 2, 2, CALIBRATED, "calibrated"),
        ([(6, 5)] * 2, 2, CALIBRATED, None),
        ([(7, 7)] * 6, 2, CALIBRATED, None),
        ([(9, 1)] * 6, 2, CALIBRATED, "settled"),
        ([(9, 1, 1)] * 3, 3, CALIBRATED, None),  # no level
        ([(9, 1)] * 7, 2, replace(CERTAIN, k_max=7), "k_max"),
    ],
)
def test_decisions(samples: list[Any], n: int, rule: Stopping, reason: str | None) -> None:
    assert decide(samples, n, rule) == reason


@given(grown, st.sampled_from([CERTAIN, CALIBRATED]))
@CALM
def test_an_early_stop_has_a_winner_or_is_settled(item: tuple[int, list[Any]], rule: Stopping) -> None:
    n, samples = item
    if decide(samples, n, rule) in ("certain", "calibrated"):
        assert leader_of(totals_of(samples, n)) is not None
        assert best_of(samples, n, rule.quorum) is not None


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"rule": "lucky"}, "rule"),
        ({"k_max": 0}, "k_max"),
        ({"k_max": True}, "k_max"),
        ({"delta": 0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"low": 10, "high": 10}, "low, high"),
        ({"rule": "calibrated"}, "thresholds"),
        ({"rule": "calibrated", "thresholds": FITTED}, "k_max"),
        ({"rule": "calibrated", "thresholds": FITTED, "k_max": 8, "delta": 0.1}, "delta"),
        ({"rule": "calibrated", "thresholds": FITTED, "k_max": 8, "quorum": 0.9}, "quorum"),
    ],
)
def test_unusable_settings_are_named(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        Stopping(**bad)
