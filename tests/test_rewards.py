r"""The reward function: +1 exactly where the judgement is correct, as a trainer calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_grm.data.spct import correct
from modeling_grm.rewards import spct_reward
from modeling_grm.types_grm import InvalidInput


def box(*scores: int) -> str:
    return f"Specific Criteria: a.\nAnalysis: b.\nScores: \\boxed{{{', '.join(map(str, scores))}}}"


def reward(text: Any, order: list[int], **columns: Any) -> float | None:
    return spct_reward(["p"], [text], order=[order], **{name: [value] for name, value in columns.items()})[0]


@given(st.lists(st.integers(1, 10), min_size=2, max_size=6), st.data())
def test_the_reward_is_the_rule_in_the_callers_order(scores: list[int], data: st.DataObject) -> None:
    n = len(scores)
    order = data.draw(st.permutations(range(n)))
    best = data.draw(st.integers(0, n - 1))
    shown = [scores[at] for at in order]
    assert reward(box(*shown), order, best=best, n=n) == (1.0 if correct(scores, best, None) else -1.0)


@pytest.mark.parametrize(
    ("text", "order", "columns", "expected"),
    [
        (box(8, 3), [0, 1], {"best": 0}, 1.0),
        (box(8, 3), [1, 0], {"best": 0}, -1.0),
        (box(8, 3), [1, 0], {"best": 1}, 1.0),
        (box(8, 8), [0, 1], {"best": 0}, -1.0),
        (box(8, 8, 3), [0, 1, 2], {"best": 2}, -1.0),
        ("no scores", [0, 1], {"best": 0}, -1.0),
        ("", [0, 1], {"best": 0}, -1.0),
        (box(8, 3, 1), [0, 1], {"best": 0}, -1.0),
        (box(11, 3), [0, 1], {"best": 0}, -1.0),
        ("Scores: \\boxed{8, 3", [0, 1], {"best": 0}, -1.0),
        (box(8, 3), [0, 1], {"best": None}, None),
        (box(8, 3), [0, 1], {}, None),
        (box(8, 3), [0, 1], {"label": 8.0}, None),
        (box(7), [0], {"label": 7.0}, 1.0),
        (box(7), [0], {"label": 8.0}, -1.0),
        (box(7), [0], {"label": None}, None),
        (box(1), [0], {"label": 1.0, "score_range": [0, 1]}, 1.0),
        (box(0), [0], {"label": 0.0, "score_range": [0, 1]}, 1.0),
        (box(0), [0], {"label": 0.0}, -1.0),
        ([{"role": "assistant", "content": box(8, 3)}], [0, 1], {"best": 0}, 1.0),
        ([{"role": "assistant", "content": None}], [0, 1], {"best": 0}, -1.0),
    ],
)
def test_each_case(text: Any, order: list[int], columns: dict[str, Any], expected: float | None) -> None:
    assert reward(text, order, **columns) == expected


@given(st.text(max_size=80))
def test_no_text_raises(text: str) -> None:
    assert reward(text, [0, 1], best=0) in (1.0, -1.0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"best": [0]}, "order: the rows have no such column"),
        ({"order": [[0, 0]], "best": [0]}, "order: "),
        ({"order": [[0, 1]], "best": [0], "n": [3]}, "n = 3"),
        ({"order": [[0, 1]], "best": [2]}, "best: 2 is none of 2"),
        ({"order": [[0, 1]], "best": [0, 1]}, "best: 2 values for 1"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        spct_reward(["p"], [box(8, 3)], **columns)


def test_what_is_logged() -> None:
    seen: dict[str, float] = {}
    texts = [box(8, 3), box(8, 8), box(3, 8), "nothing", box(5)]
    rewards = spct_reward(
        ["p"] * 5, texts, [[1]] * 5,
        order=[[0, 1], [0, 1], [0, 1], [0, 1], [0]], best=[0, 0, 0, None, None], label=[None] * 4 + [5.0],
        n=[2, 2, 2, 2, 1], trainer_state=None, log_metric=seen.__setitem__,
    )  # fmt: skip
    assert rewards == [1.0, -1.0, -1.0, None, 1.0]
    assert seen == {
        "parse_rate": 0.8, "correct_rate": 0.5, "tie_rate": pytest.approx(1 / 3),
        "first_wins_rate": pytest.approx(1 / 3), "outcome/no_scores": 0.2,
    }  # fmt: skip


def test_nothing_is_nothing() -> None:
    assert spct_reward([], [], order=[], log_metric=lambda name, value: pytest.fail(name)) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_(en|dis)able` is deprecated:FutureWarning")
def test_trls_trainer_takes_it(tmp_path: Path) -> None:
    """Two steps of GRPO on the tiny judge: rewards and our shares are in its log."""
    from datasets import Dataset
    from tiny_judge import tiny_judge
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = tiny_judge()
    turn = [{"role": "user", "content": "Judge."}]
    rows = [{"prompt": turn, "order": [1, 0], "best": at % 2, "label": None, "n": 2} for at in range(4)]
    config = GRPOConfig(
        str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4, max_completion_length=24,
        logging_steps=1, report_to="none", use_cpu=True, bf16=False, save_strategy="no",
    )  # fmt: skip
    trainer = GRPOTrainer(model, spct_reward, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logged) == 2
    assert all(-1 <= entry["reward"] <= 1 and "parse_rate" in entry for entry in logged)
