"""What a result says about how sure it is: every figure by hand once, and never a number where there is none."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_grm.confidence_grm import (
    agreement,
    calibrated,
    confidence,
    doubt,
    raw_confidence,
    slot_effects,
    standard_error,
    student_tail,
    whole_blocks,
)
from modeling_grm.types_grm import Critique, InvalidInput, Outcome
from modeling_grm.voting_grm import vote

CALM = settings(deadline=None)
PLATT = {"kind": "platt", "a": 0.5, "b": -0.2}
KNOTS = {"kind": "isotonic", "x": [0.6, 0.8, 0.9], "y": [0.55, 0.7, 0.95]}


def seen(order: tuple[int, ...], scores: tuple[int, ...] | None) -> Critique:
    return Critique("", Outcome.OK if scores else Outcome.NO_SCORES, order, 0, scores=scores)


FOUR = [seen((0, 1), (9, 4)), seen((1, 0), (8, 5)), seen((1, 0), (8, 5)), seen((0, 1), (7, 6))]


def said(critiques: list[Critique], n: int, mapping: Any = None) -> dict[str, Any]:
    result = vote(critiques, n)
    return confidence(critiques, n, result.voters, result.best, mapping)


def test_by_hand() -> None:
    found = said(FOUR, 2, PLATT)
    assert found["margin"] == 3.0
    assert found["margin_se"] == pytest.approx(1.0)  # block means 4 and 2
    assert found["agreement"] == 1.0
    assert found["slot_effects"] == pytest.approx([0.0, 0.0])
    assert 0.9 < found["raw"] < 1
    assert 0.5 < found["probability"] < found["raw"]
    assert json.loads(json.dumps(found)) == found


def test_without_whole_blocks_the_error_is_between_samples() -> None:
    found = said([*FOUR[:3], seen((0, 1), None)], 2)
    assert found["margin"] == pytest.approx(11 / 3)
    assert found["margin_se"] == pytest.approx(math.sqrt(4 / 3 / 3))  # differences 5, 3, 3


def test_one_response_has_a_score_and_no_confidence() -> None:
    assert set(said([seen((0,), (9,))] * 4, 1, PLATT).values()) == {None}


def test_an_abstention_has_none() -> None:
    assert set(said([seen((0, 1), None)] * 4, 2, PLATT).values()) == {None}


def test_a_tie_has_a_margin_but_no_probability() -> None:
    found = said([seen((0, 1), (9, 4)), seen((1, 0), (4, 9))], 2, PLATT)
    assert found["margin"] == 0
    assert found["slot_effects"] == [2.5, -2.5]
    assert found["agreement"] is found["raw"] is found["probability"] is None


def test_one_sample_has_no_error_but_a_doubt() -> None:
    found = said(FOUR[:1], 2)
    assert found["margin_se"] is found["slot_effects"] is None
    assert 0.5 < found["raw"] < 0.99


def test_equal_samples_are_no_proof() -> None:
    found = [raw_confidence([(9, 8)] * k, 0) for k in (1, 2, 4, 8, 32)]
    assert all(x is not None and x < 1 for x in found)
    assert found == sorted(found)
    assert found[1] < 0.85


def test_agreement_counts_ties_against() -> None:
    assert agreement([(9, 4), (5, 5), (4, 9), (9, 1)], 0) == 0.5
    assert agreement([(9, 4)], None) is None


def test_slot_effects_of_a_block_sum_to_zero() -> None:
    orders = [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    votes = [(9, 4, 4), (3, 8, 3), (2, 2, 7)]
    found = slot_effects(votes, orders)
    assert found is not None
    assert sum(found) == pytest.approx(0)
    assert found[0] == pytest.approx(8 - sum(map(sum, votes)) / 9)
    assert slot_effects(votes[:2], orders[:2]) is None, "not every response was in every slot"


def test_blocks_are_whole_only_when_all_of_them_vote() -> None:
    assert whole_blocks(FOUR, 2, (0, 1, 2, 3)) == [[0, 1], [2, 3]]
    assert whole_blocks(FOUR, 2, (0, 1)) == [[0, 1]]
    assert whole_blocks(FOUR, 2, (0, 1, 2)) is None
    assert whole_blocks(FOUR[:3], 2, (0, 1, 2)) is None
    assert whole_blocks([FOUR[0], FOUR[3]], 2, (0, 1)) is None, "the same order twice"


def test_standard_error_needs_two_observations() -> None:
    assert standard_error([3.0], None) is None
    assert standard_error([5.0, 1.0], [[0, 1]]) == pytest.approx(2.0)
    assert standard_error([5.0, 1.0, 1.0, 5.0], [[0, 1], [2, 3]]) == 0


@pytest.mark.parametrize(
    ("t", "df", "tail"),  # tables of Student's t
    [
        (0, 3, 0.5),
        (6.314, 1, 0.05),
        (31.82, 1, 0.01),
        (2.920, 2, 0.05),
        (3.182, 3, 0.025),
        (2.571, 5, 0.025),
        (2.228, 10, 0.025),
        (2.042, 30, 0.025),
        (1.660, 100, 0.05),
    ],
)
def test_student_tail(t: float, df: int, tail: float) -> None:
    assert student_tail(t, df) == pytest.approx(tail, rel=5e-3)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=64))
@CALM
def test_doubt_is_at_most_even(values: list[int]) -> None:
    assert 0 <= doubt(values) <= 0.5


votes = st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[st.integers(1, 10)] * n), min_size=1, max_size=16))


@given(votes, st.sampled_from([None, PLATT, KNOTS]))
@CALM
def test_figures_are_in_their_ranges(scores: list[tuple[int, ...]], mapping: Any) -> None:
    n = len(scores[0])
    orders = [tuple((slot + at) % n for slot in range(n)) for at in range(len(scores))]
    found = said([seen(order, vote) for order, vote in zip(orders, scores, strict=True)], n, mapping)
    assert 0 <= found["margin"] <= 9
    assert found["margin_se"] is None or 0 <= found["margin_se"] <= 9
    assert (found["raw"] is None) == (found["margin"] == 0)
    assert found["raw"] is None or 1 / n <= found["raw"] < 1
    assert (found["probability"] is None) == (found["raw"] is None or mapping is None)
    assert found["probability"] is None or 0 < found["probability"] < 1


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([PLATT, KNOTS]))
@CALM
def test_maps_do_not_fall(a: float, b: float, mapping: Any) -> None:
    low, high = sorted((a, b))
    assert 0 < calibrated(low, mapping) <= calibrated(high, mapping) + 1e-12 < 1 + 1e-9


def test_knots_are_joined_by_lines() -> None:
    assert [calibrated(x, KNOTS) for x in (0.1, 0.6, 0.7, 0.85, 0.9, 1.0)] == pytest.approx(
        [0.55, 0.55, 0.625, 0.825, 0.95, 0.95]
    )


@pytest.mark.parametrize("mapping", [{}, {"kind": "magic"}, {"kind": "platt", "a": 1}, {"kind": "isotonic", "x": [1]}])
def test_unusable_maps_are_refused(mapping: Any) -> None:
    with pytest.raises(InvalidInput, match=r"confidence map: .*grm calibrate"):
        calibrated(0.7, mapping)
