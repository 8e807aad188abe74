"""`streaming.stream`: each step is the vote so far, the last one the pipeline's own, and it ends when it is told to."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from transformers import pipeline

import modeling_grm
from modeling_grm import Fake, InvalidInput, Prompt
from modeling_grm.pipeline_grm import RewardScoringPipeline
from modeling_grm.streaming import stream

QUERY, RESPONSES = "What is 2+2?", ["4", "I like trains"]
SAID = ["Scores: \\boxed{9, 2}", "no scores", "Scores: \\boxed{3, 8}", RuntimeError("out of memory")]


def judge(said: Any = SAID, **settings: Any) -> RewardScoringPipeline:
    task: Any = "reward-scoring"
    return pipeline(task, model=Fake(said), **settings)  # type: ignore[no-any-return]


def test_it_yields_after_each_sample_and_ends_with_the_pipelines_own_result() -> None:
    *steps, last = stream(judge(), QUERY, RESPONSES, k=4)
    assert [step["latest"] for step in steps] == [0, 1, 2, 3]
    assert [step["k"] for step in steps] == [1, 2, 3, 4]
    assert [step["n_valid"] for step in steps] == [1, 1, 2, 2]
    assert not any(step["done"] for step in steps)
    own = judge()(QUERY, RESPONSES, k=4, return_samples=True)
    assert (last.pop("latest"), last.pop("done")) == (None, True)
    assert [sample.pop("sample") for sample in last["samples"]] == [0, 1, 2, 3]
    assert last == own


def test_the_last_partial_vote_is_the_vote() -> None:
    *_, partial, last = stream(judge(), QUERY, RESPONSES, k=4)
    same = ("scores", "totals", "best", "n_valid", "outcomes", "voters", "confidence", "samples")
    assert {name: partial[name] for name in same} == {name: last[name] for name in same}


def test_samples_may_end_in_any_order() -> None:
    class Backwards(Fake):
        def engine(self, *args: Any, **settings: Any) -> Any:
            forwards = super().engine(*args, **settings)
            return lambda prompts: reversed(list(forwards(prompts)))

    task: Any = "reward-scoring"
    *steps, last = stream(pipeline(task, model=Backwards(SAID)), QUERY, RESPONSES, k=4)
    assert [step["latest"] for step in steps] == [3, 2, 1, 0]
    assert [[sample["sample"] for sample in step["samples"]] for step in steps] == [
        [3],
        [2, 3],
        [1, 2, 3],
        [0, 1, 2, 3],
    ]
    assert last["scores"] == judge()(QUERY, RESPONSES, k=4)["scores"]


def test_auto_stops_by_itself_and_says_why() -> None:
    *steps, last = stream(judge(["Scores: \\boxed{7, 7}"]), QUERY, RESPONSES, k="auto", k_max=6)
    assert len(steps) == last["k"] == 6
    assert last["stopped"] == "k_max"


def test_a_meta_rm_rates_in_the_end() -> None:
    def rate(judged: Any) -> list[float]:
        return [float(critique.scores is not None and max(critique.scores) == 9) for _, critique in judged]

    *steps, last = stream(judge(["Scores: \\boxed{9, 2}", "Scores: \\boxed{3, 8}"]), QUERY, RESPONSES, k=4, rate=rate)
    assert all(sample["meta_score"] is None for sample in steps[-1]["samples"])
    assert len(steps[-1]["voters"]) == 4
    assert len(last["voters"]) == 2


def test_rows_and_conversations_are_taken_too() -> None:
    row = {"conversation": [{"role": "user", "content": QUERY}], "responses": RESPONSES}
    assert [*stream(judge(), row, k=1)][-1]["scores"] == [*stream(judge(), QUERY, RESPONSES, k=1)][-1]["scores"]
    request = modeling_grm.Request(QUERY, RESPONSES)
    assert [*stream(judge(), request, k=1)][-1]["scores"]


def test_bad_input_is_refused_before_anything_is_sampled() -> None:
    with pytest.raises(InvalidInput, match=r"^responses"):
        stream(judge(), QUERY, [])
    with pytest.raises(InvalidInput, match=r"^k:"):
        stream(judge(), QUERY, RESPONSES, k=0)


def test_what_fails_inside_comes_out() -> None:
    def broken(engine: Any) -> Any:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        list(stream(judge(), QUERY, RESPONSES, k=2, record=broken))


def test_closing_ends_the_judging() -> None:
    asked: list[int] = []

    def said(prompt: Prompt) -> str:
        asked.append(prompt.sample)
        return "Scores: \\boxed{9, 2}"

    task: Any = "reward-scoring"
    steps = stream(pipeline(task, model=Fake(said, delay=0.01)), QUERY, RESPONSES, k=1000)
    next(steps)
    before = threading.active_count()
    steps.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before - 1
    assert len(asked) < 1000


def test_what_was_recorded_still_is() -> None:
    seen: list[int] = []

    def record(engine: Any) -> Any:
        def generate(prompts: Any) -> Any:
            for index, completion in engine(prompts):
                seen.append(index)
                yield index, completion

        return generate

    list(stream(judge(), QUERY, RESPONSES, k=3, record=record))
    assert seen == [0, 1, 2]
