"""bias.py: a bonus that was put in is found, and none where there is none."""

from __future__ import annotations

import json
import random
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from stored import stored_item

from modeling_grm.bias import position_bias, slot_effects
from modeling_grm.runs import load_runs
from modeling_grm.types_grm import InvalidInput

Rows = list[dict[str, Any]]


def judged(items: int, n: int, k: int, bonus: int, *, noise: int = 0, failing: float = 0.0) -> Rows:
    """A judge who knows each response's worth and adds a bonus to the one shown first."""
    rng, rows = random.Random(n + k), []
    for at in range(items):
        worth = rng.sample(range(1, 2 * n + 1), n)
        for row in stored_item(f"item {at}", n, k, rng, failing=failing):
            scores = [worth[i] + bonus * (row["order"][0] == i) + rng.randint(-noise, noise) for i in range(n)]
            rows.append({**row, "scores": scores if row["outcome"] == "ok" else None})
    return rows


def report(rows: Rows, n: int = 2) -> dict[str, Any]:
    found = position_bias(load_runs(rows))
    assert json.loads(json.dumps(found)) == found
    part: dict[str, Any] = found["n"][str(n)]
    return part


@pytest.mark.parametrize(("n", "k"), [(2, 8), (3, 9), (4, 8)])
def test_the_bonus_is_the_first_slots_effect(n: int, k: int) -> None:
    found = report(judged(40, n, k, bonus=3), n)
    effects = [effect["effect"] for effect in found["slot_effect"]]
    assert effects == pytest.approx([3 - 3 / n] + [-3 / n] * (n - 1))
    assert sum(effects) == pytest.approx(0)
    assert [effect["slot"] for effect in found["slot_effect"]] == list(range(1, n + 1))
    assert found["items"] == found["items_balanced"] == 40


def test_an_even_judge_shows_nothing() -> None:
    found = report(judged(300, 2, 16, bonus=0, noise=3))
    for part in (*found["slot_effect"], found["sample_flips"]["excess"]):
        assert part["low"] < 0 < part["high"]
    assert all(wins["low"] < 0.5 < wins["high"] for wins in found["slot_wins"])
    assert found["sample_flips"]["within"]["rate"] > 0.1, "noise flips, too"


def test_a_blind_first_slot_judge_flips_always() -> None:
    found = report(judged(30, 2, 4, bonus=9))
    assert (found["flip_rate"]["rate"], found["flip_rate"]["high"], found["flip_rate"]["pairs"]) == (1.0, 1.0, 30)
    assert found["flip_rate"]["low"] == pytest.approx(0.886, abs=0.001), "30 items are no certainty"
    assert [wins["rate"] for wins in found["slot_wins"]] == [1.0, 0.0]
    flips = found["sample_flips"]
    assert (flips["across"]["rate"], flips["within"]["rate"], flips["excess"]["rate"]) == (1.0, 0.0, 1.0)


def test_a_judge_who_sees_only_worth_never_flips() -> None:
    found = report(judged(30, 3, 6, bonus=0), 3)
    assert (found["flip_rate"]["rate"], found["sample_flips"]["across"]["rate"]) == (0.0, 0.0)
    assert [effect["effect"] for effect in found["slot_effect"]] == [0.0] * 3


def test_flips_are_counted_as_by_hand() -> None:
    rows = judged(25, 3, 7, bonus=2, noise=2, failing=0.2)
    across, within, pairs = 0, 0, [0, 0]
    for item in {row["item"] for row in rows}:
        winners = [
            (row["order"][0], row["scores"].index(max(row["scores"])))
            for row in rows
            if row["item"] == item and row["scores"] and row["scores"].count(max(row["scores"])) == 1
        ]
        for (order, winner), (other_order, other_winner) in combinations(winners, 2):
            pairs[order == other_order] += 1
            across += order != other_order and winner != other_winner
            within += order == other_order and winner != other_winner
    flips = report(rows, 3)["sample_flips"]
    assert flips["across"]["rate"] == pytest.approx(across / pairs[0])
    assert flips["within"]["rate"] == pytest.approx(within / pairs[1])
    assert flips["excess"]["rate"] == pytest.approx(across / pairs[0] - within / pairs[1])


def test_items_that_miss_a_slot_are_left_out() -> None:
    rows = judged(10, 4, 8, bonus=2) + [{**row, "item": "short " + row["item"]} for row in judged(5, 4, 3, bonus=2)]
    found = report(rows, 4)
    assert (found["items"], found["items_balanced"]) == (15, 10)
    few = report(judged(5, 4, 3, bonus=2), 4)
    assert few["items_balanced"] == 0
    assert few["slot_effect"][0] == {"slot": 1, "effect": None, "low": None, "high": None}
    assert few["sample_flips"]["within"]["rate"] is None, "no order was shown twice"


def test_failures_do_not_count() -> None:
    rows = judged(40, 2, 16, bonus=3, failing=0.3)
    (group,) = load_runs(rows).groups
    np.testing.assert_allclose(slot_effects(group), np.tile([1.5, -1.5], (40, 1)))


def test_each_number_of_responses_has_its_own_report() -> None:
    rows = [{**row, "item": f"{row['item']} of {row['n']}"} for n in (1, 2, 3) for row in judged(4, n, 6, bonus=1)]
    found = position_bias(load_runs(rows))
    assert (list(found["n"]), found["skipped"]) == (["2", "3"], 4)
    with pytest.raises(InvalidInput, match="one response"):
        position_bias(load_runs(judged(4, 1, 6, bonus=1)))
