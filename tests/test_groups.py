"""Rollout groups: every item once a pass, each pass in the next order of its design, with what the reward needs."""

from __future__ import annotations

import pytest

from modeling_grm.data.groups import rollout_groups
from modeling_grm.data.preference import Preference
from modeling_grm.prompts_grm import render
from modeling_grm.rewards import spct_reward
from modeling_grm.types_grm import InvalidInput, Request

TEMPLATES = {"template": "compact", "single_template": "deepseek-grm-single"}


def pair(at: int, n: int = 2) -> Preference:
    request = Request(f"Question {at}?", [f"answer {at} {i}" for i in range(n)])
    labels = (1.0,) if n == 1 else tuple(float(i == 0) for i in range(n))
    return Preference(request, None if n == 1 else 0, labels, "made up", "mit", f"row-{at}")


def test_every_item_is_there_once_a_pass_and_its_orders_take_turns():
    items = [pair(0), pair(1, 3), pair(2, 1)]
    rows = list(rollout_groups(items, 6, **TEMPLATES))
    for number in range(6):
        assert {row["item"] for row in rows[3 * number : 3 * number + 3]} == {item.item for item in items}
    for item in items:
        shown = [tuple(row["order"]) for row in rows if row["item"] == item.item]
        firsts = [order[0] for order in shown]
        assert sorted(firsts) == sorted(list(range(item.request.n)) * (6 // item.request.n))


def test_the_prompt_shows_the_responses_in_the_rows_order():
    (row,) = rollout_groups([pair(5, 4)], 1, **TEMPLATES)
    assert row["prompt"] == list(render(pair(5, 4).request, row["order"], "compact"))


def test_the_sequence_of_items_depends_on_the_pass_and_the_seed_only():
    items = [pair(at) for at in range(12)]
    first, again = (list(rollout_groups(items, 2, seed=3, **TEMPLATES)) for _ in range(2))
    assert first == again
    turns = [[row["item"] for row in first[start : start + 12]] for start in (0, 12)]
    assert turns[0] != turns[1]


def test_the_reward_takes_the_rows_as_they_are():
    rows = list(rollout_groups([pair(0), pair(1, 1)], 1, **TEMPLATES))
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
    right = [
        "Scores: \\boxed{1}" if row["n"] == 1 else f"Scores: \\boxed{{{', '.join('93'[at] for at in row['order'])}}}"
        for row in rows
    ]
    assert spct_reward([row["prompt"] for row in rows], right, **columns) == [1.0, 1.0]


def test_a_template_without_scores_is_refused():
    with pytest.raises(InvalidInput, match="asks for no scores"):
        list(rollout_groups([pair(0)], 1, template="llm-as-a-judge", single_template="compact"))
