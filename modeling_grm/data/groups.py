"""Preference items become the prompts of reinforcement learning: one row a rollout group, its responses shuffled.

    {"prompt": [{"role": "user", ...}], "order": [1, 0], "best": 0, "label": None, "n": 2, "score_range": [1, 10],
     "item": "9f..", "source": "made up"}

The columns beside `prompt` are what `modeling_grm.rewards.spct_reward` compares with. Each pass over the items shows
every item in the next order of its design (`voting_grm.orders`), so that no slot tells the best response.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from ..prompts_grm import render
from ..scoring_grm import score_range
from ..voting_grm import orders
from .preference import Preference


def rollout_groups(
    items: Sequence[Preference], passes: int, *, template: str, single_template: str, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """`passes` rows of each item, pass after pass, each pass in an order of its own.

    Args:
        items: with their truths.
        passes: how often each is seen.
        template: of items with two or more responses.
        single_template: of items with one.
        seed: of the orders.

    Raises:
        InvalidInput: an unknown template, or one that asks for no scores.
    """
    ranges = {name: list(score_range(name)) for name in (template, single_template)}
    designs = [orders(item.request, item.request.n, passes, seed) for item in items]
    for number in range(passes):
        turn = list(range(len(items)))
        Random(f"pass {seed} {number}").shuffle(turn)
        for at in turn:
            name = single_template if items[at].request.n == 1 else template
            yield _group(items[at], designs[at][number][0], name) | {"score_range": ranges[name]}


def _group(item: Preference, order: Sequence[int], template: str) -> dict[str, Any]:
    return {
        "prompt": list(render(item.request, order, template)),
        "order": list(order),
        "best": item.best,
        "label": item.label,
        "n": item.request.n,
        "item": item.item,
        "source": item.source,
    }
