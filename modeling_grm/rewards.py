r"""SPCT's rule as a reward function: +1 for a correct judgement, -1 for any other (arXiv 2504.02495, Eq 11).

    spct_reward(prompts, ["Scores: \\boxed{8, 3}"], order=[[1, 0]], best=[1])         [1.0]

The signature is TRL's, so `GRPOTrainer(reward_funcs=[spct_reward], ...)` takes it as it is; other trainers call it with
lists too. There is no format reward: what cannot be read is simply not correct. Knows nothing about trainers or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .data.spct import correct
from .parsing_grm import parse
from .types_grm import Completion, Critique, InvalidInput, Outcome

SCORE_RANGE = (1, 10)


def spct_reward(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    completion_ids: Sequence[Sequence[int]] | None = None,
    *,
    log_metric: Callable[[str, float], None] | None = None,
    **columns: Any,
) -> list[float | None]:
    """+1 or -1 for each completion, None where its row has no truth to compare with.

    Correct is Eq 10: of two or more responses the best one's score is strictly above every other (ties are wrong); a
    single response's score equals its label. A trainer does not say which completions were cut by the token budget, so
    such a one counts by what it says; a list of scores that is not whole cannot be read.

    Args:
        prompts: not looked at.
        completions: texts, or chat messages whose last is the judgement.
        completion_ids: not looked at.
        log_metric: takes (name, value): the shares `parse_rate`, `correct_rate`, `tie_rate` (readable, but the best
            has an equal beside it), `first_wins_rate` (readable, and the response shown first is alone at the top; by
            chance 1/n), and each failure as `outcome/<name>`.
        columns: one value a row: `order` (`order[shown]` = caller's index) is needed; `best` (the caller's index of
            the best response) or `label` (the right score of a single one) where there is one; `n`, and the template's
            `score_range` as [lowest, highest] (1..10 if left out). Others are passed over.

    Returns:
        As many rewards as completions.

    Raises:
        InvalidInput: a column that is missing, of another length, or whose value does not fit the row (by name).
    """
    rows = [_row(columns, at, len(completions)) for at in range(len(completions))]
    critiques = [_judged(completion, row) for completion, row in zip(completions, rows, strict=True)]
    rewards = [_reward(critique, row) for critique, row in zip(critiques, rows, strict=True)]
    if log_metric is not None and critiques:
        for name, value in _metrics(critiques, rewards, rows).items():
            log_metric(name, value)
    return rewards


_COLUMNS = ("order", "best", "label", "n", "score_range")


def _row(columns: Mapping[str, Any], at: int, count: int) -> dict[str, Any]:
    if columns.get("order") is None:
        raise InvalidInput(f"order: the rows have no such column, only {sorted(columns)}; it maps scores to responses")
    row: dict[str, Any] = {}
    for name in _COLUMNS:
        values = columns.get(name)
        if values is not None and len(values) != count:
            raise InvalidInput(f"{name}: {len(values)} values for {count} completions; give one for each")
        row[name] = None if values is None else values[at]
    order = row["order"]
    if not order or sorted(order) != list(range(len(order))) or row["n"] not in (None, len(order)):
        raise InvalidInput(f"order: {order!r:.60} with n = {row['n']!r}; give each of the indices 0..n-1 once")
    if row["best"] is not None and not 0 <= row["best"] < len(order):
        raise InvalidInput(f"best: {row['best']!r} is none of {len(order)} responses, counted from 0")
    return row


def _judged(completion: Any, row: Mapping[str, Any]) -> Critique:
    text = completion if isinstance(completion, str) else completion[-1]["content"]
    low, high = row["score_range"] or SCORE_RANGE
    return parse(Completion(text or ""), row["order"], score_range=(int(low), int(high)))


def _reward(critique: Critique, row: Mapping[str, Any]) -> float | None:
    known = row["label"] if len(row["order"]) == 1 else row["best"]
    if known is None:
        return None
    return 1.0 if correct(critique.scores, row["best"], row["label"]) else -1.0


def _tied(critique: Critique, row: Mapping[str, Any]) -> bool:
    scores, best = critique.scores, row["best"]
    return scores is not None and best is not None and len(scores) > 1 and scores.count(scores[best]) > 1


def _first_wins(critique: Critique) -> bool:
    scores, first = critique.scores, critique.order[0]
    return scores is not None and len(scores) > 1 and scores[first] == max(scores) and scores.count(scores[first]) == 1


def _metrics(
    critiques: Sequence[Critique], rewards: Sequence[float | None], rows: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    outcomes = Counter(critique.outcome for critique in critiques)
    known = [reward for reward in rewards if reward is not None]
    several = [critique for critique in critiques if critique.scores is not None and len(critique.scores) > 1]
    tied = sum(_tied(critique, row) for critique, row in zip(critiques, rows, strict=True))
    shares = {
        "parse_rate": (outcomes[Outcome.OK], len(critiques)),
        "correct_rate": (known.count(1.0), len(known)),
        "tie_rate": (tied, len(several)),
        "first_wins_rate": (sum(map(_first_wins, several)), len(several)),
        **{
            f"outcome/{outcome.value}": (count, len(critiques))
            for outcome, count in outcomes.items()
            if outcome is not Outcome.OK
        },
    }
    return {name: count / total for name, (count, total) in shares.items() if total}
