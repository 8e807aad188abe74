"""baselines/: each gives its scores in the item's own order, keeps them in a file, and names what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benched import Counting, verdict
from tiny_judge import byte_tokenizer, save_tiny, tiny_judge
from transformers import LlamaConfig, LlamaForSequenceClassification, pipeline

from modeling_grm.backends.fake import Fake
from modeling_grm.baselines import BASELINES, Answer, Baseline, answers_of, judge, make
from modeling_grm.baselines.scalar import Scalar
from modeling_grm.baselines.token_prob import TokenProb
from modeling_grm.baselines.verdict import Verdict
from modeling_grm.benchmarks.base import Item, Loaded, swapped
from modeling_grm.benchmarks.judgebench import decision
from modeling_grm.first_reading_grm import FirstReading
from modeling_grm.generation_grm import encode
from modeling_grm.meta_rm_grm import MetaRM
from modeling_grm.prompts_grm import render
from modeling_grm.reports import Ballot, benchmark_report
from modeling_grm.types_grm import InvalidInput, Prompt, Request


def pair(at: int) -> Item:
    texts = [f"a zebra answer {at}", f"some walrus answer {at}"]
    return Item(f"i{at}", Request(f"Question {at}?", texts), "s", 0, (1.0, 0.0))


PAIRS = [pair(at) for at in range(12)]
SINGLE = Item("one", Request("Question?", ["a zebra"]), "s", None, (1.0,))


def pipe_of(model: Any) -> Any:
    task: Any = "reward-scoring"
    return pipeline(task, model=model)


def tiny_pipe() -> Any:
    model, tokenizer = tiny_judge(context=8192)
    task: Any = "reward-scoring"
    return pipeline(task, model=model, tokenizer=tokenizer)


def tiny_reward_model(context: int = 512) -> MetaRM:
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=context,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config).eval()
    return MetaRM(model, tokenizer, batch_size=5)


def test_heuristics_look_at_lengths_and_places() -> None:
    item = Item("i", Request("q", ["long text", "short", "middling"]), "s", 1)
    wins = {}
    for name in ("shortest", "longest", "first"):
        ((_, answer),) = judge([item], make(name))
        assert answer.scores is not None
        wins[name] = answer.scores.index(max(answer.scores))
    assert wins == {"shortest": 1, "longest": 0, "first": 0}


def test_scalar_scores_are_the_classifiers_own() -> None:
    """Against one forward pass a response, without padding, through transformers' own head."""
    rated = tiny_reward_model()
    answers = [answer for _, answer in judge(PAIRS, Scalar(rated))]
    model = LlamaForSequenceClassification(rated.backbone.config)
    model.model, model.score = rated.backbone, rated.head
    for item, answer in zip(PAIRS, answers, strict=True):
        for response, score in zip(item.request.responses, answer.scores or (), strict=True):
            turns = [*item.request.query, {"role": "assistant", "content": response}]
            ids = rated.tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)["input_ids"]
            with torch.inference_mode():
                assert model(input_ids=ids).logits[0, 0].item() == pytest.approx(score, abs=1e-4)


def test_scalar_scores_of_a_model_in_bfloat16_are_no_coarser() -> None:
    rated = tiny_reward_model()
    rated.backbone.bfloat16()
    rated.head.bfloat16()
    scores = [score for answer in Scalar(rated)(PAIRS) for score in answer.scores or ()]
    assert len(scores) == 2 * len(PAIRS)
    assert sum(score != float(torch.tensor(score).bfloat16()) for score in scores) > len(PAIRS)


def test_scalar_does_not_see_the_other_responses() -> None:
    baseline = Scalar(tiny_reward_model())
    (_, answer), (_, turned) = judge([PAIRS[0], swapped(PAIRS[0])], baseline)
    assert answer.scores is not None
    assert turned.scores == pytest.approx(answer.scores[::-1], abs=1e-5)


def test_scalar_leaves_out_what_does_not_fit() -> None:
    long = replace(PAIRS[1], request=Request("q", ["a", "b" * 900]))
    found = list(judge([PAIRS[0], long, PAIRS[2]], Scalar(tiny_reward_model())))
    assert [answer.scores is None for _, answer in found] == [False, True, False]
    assert "> context 512" in (found[1][1].reason or "")
    answers = answers_of(found, Ballot(0))
    assert answers.refused == {"N tokens > context N": 1}
    assert answers.samples == []


def test_a_verdict_is_mapped_back() -> None:
    engine = Counting(verdict)
    baseline = Verdict(pipe_of(Fake(engine)), {"k": 8, "seed": 3})
    found = list(judge(PAIRS, baseline))
    assert engine.asked == 8 * len(PAIRS)
    for _, answer in found:
        assert answer.scores is not None
        assert sum(answer.scores) == pytest.approx(1)
        ok = [sample for sample in answer.samples if sample["outcome"] == "ok"]
        assert all(sorted(sample["scores"]) == [0, 1] for sample in ok)
    right = sum(answer.scores[0] > 0.5 for _, answer in found if answer.scores)
    assert right > len(PAIRS) * 0.7
    assert baseline.about["settings"]["template"] == "llm-as-a-judge"


def test_a_verdict_without_a_number_is_a_failure() -> None:
    baseline = Verdict(pipe_of(Fake(["Scores: \\boxed{3}", "none"])), {"k": 2})
    ((_, answer),) = judge([PAIRS[0]], baseline)
    assert answer.scores is None
    assert [sample["outcome"] for sample in answer.samples] == ["out_of_range", "no_scores"]
    ((_, single),) = judge([SINGLE], baseline)
    assert "one response leaves nothing to choose from" in (single.reason or "")


def test_a_verdict_gets_no_scores_line_though_its_judge_asks_for_one() -> None:
    """A line of two scores behind the index would make each verdict one of the wrong count."""
    model, tokenizer = tiny_judge(context=8192)
    found = []
    for grm in ({}, {"constrain": "scores"}):
        model.config.grm = grm
        task: Any = "reward-scoring"
        pipe = pipeline(task, model=model, tokenizer=tokenizer)
        assert pipe.configuration().constrain == grm.get("constrain")
        ((_, answer),) = judge([PAIRS[0]], Verdict(pipe, {"k": 4, "max_new_tokens": 48}))
        found.append(answer.samples)
    assert len(found[0]) == 4
    assert found[0] == found[1]


def test_verdicts_make_samples_for_the_report() -> None:
    baseline = Verdict(pipe_of(Fake(verdict)), {"k": 4})
    answers = answers_of(list(judge([*PAIRS, SINGLE], baseline)), Ballot(4))
    assert len(answers.samples) == 4 * 13
    assert {row["item"] for row in answers.samples} == {item.id for item in [*PAIRS, SINGLE]}
    assert {row["outcome"] for row in answers.samples[-4:]} == {"refused"}


def says(first: str, second: str) -> Verdict:
    """Four verdicts a pair: `first` holds what it says when the zebra stands first, `second` when it stands second."""
    told = {True: iter(first * len(PAIRS)), False: iter(second * len(PAIRS))}

    def engine(prompt: Prompt) -> str:
        text = prompt.messages[-1]["content"]
        return f"Scores: \\boxed{{{next(told[text.index('zebra') < text.index('walrus')])}}}"

    return Verdict(pipe_of(Fake(engine)), {"k": 4})


@pytest.mark.parametrize(
    ("first", "second", "decisions", "right", "vote"),
    [
        ("11", "22", (1, 1), 1, 1),  # the zebra in both orders
        ("11", "11", (1, -1), 0, 0.5),  # whatever stands first: both decisions cancel out
        ("11", "1?", (1, -1), 0, 2 / 3),  # 2 of 3 verdicts name the zebra, and the orders still cancel out
        ("12", "22", (0, 1), 1, 0.75),  # a tie in one order and the zebra in the other
        ("??", "22", (0, 1), 1, 1),  # nothing to read in one order
        ("12", "11", (0, -1), 0, 0.25),
    ],
)
def test_judgebench_puts_both_orders_together(
    first: str, second: str, decisions: tuple[int, int], right: int, vote: float
) -> None:
    """JudgeBench's own count: +1 or -1 for the decision of each order, 0 for a tie or none, right above 0."""
    item = replace(PAIRS[0], subset="gpt/mmlu-pro", meta={"split": "gpt"})
    answers = answers_of(list(judge([item], says(first, second))), Ballot(4), both_orders=True)
    assert [one.item.request.responses for one in answers.apart] == [
        item.request.responses, item.request.responses[::-1]
    ]  # fmt: skip
    assert tuple(map(decision, answers.apart)) == decisions
    found = benchmark_report("judgebench", Loaded([item], True, "here"), answers, Ballot(4))
    assert found["headline"]["value"] == right
    assert found["rows"]["items"] == found["sections"]["gpt"]["rows"] == 1
    assert found["notes"][-1].startswith("both orders of each pair were judged")
    (whole,) = answers.judged
    assert whole.scores is not None
    assert whole.scores[0] == pytest.approx(vote)


def test_one_vote_stands_for_both_orders_where_a_judge_sees_none() -> None:
    item = replace(PAIRS[0], subset="gpt/mmlu-pro", meta={"split": "gpt"})
    answers = answers_of(list(judge([item], make("shortest"))), Ballot(0), both_orders=True)
    assert answers.apart == []
    found = benchmark_report("judgebench", Loaded([item], True, "here"), answers, None)
    assert found["headline"]["value"] == 1
    assert found["notes"][-1].endswith("one vote an item stands for both")


def test_a_refused_pair_abstains_in_both_orders() -> None:
    found = [*judge(PAIRS[:1], says("11", "22")), (PAIRS[1], Answer(None, reason="too long"))]
    apart = answers_of(found, Ballot(4), both_orders=True).apart
    assert [one.item.id for one in apart] == ["i0", "i0/swapped", "i1", "i1/swapped"]
    assert [one.scores for one in apart] == [(1.0, 0.0), (0.0, 1.0), None, None]


def test_each_order_of_token_probabilities_decides_alone() -> None:
    found = list(judge(PAIRS, TokenProb(tiny_pipe())))
    answers = answers_of(found, Ballot(0), both_orders=True)
    assert answers.samples == []
    assert len(answers.apart) == 2 * len(PAIRS)
    for (_, answer), own, other in zip(found, answers.apart[::2], answers.apart[1::2], strict=True):
        ((first, _), (_, second)) = own.scores or (), other.scores or ()
        assert answer.scores == pytest.approx(((first + second) / 2, 1 - (first + second) / 2))
    assert answers_of(found, Ballot(0)).apart == []


def test_token_probabilities_do_not_depend_on_the_order() -> None:
    baseline = TokenProb(tiny_pipe())
    (_, answer), (_, turned) = judge([PAIRS[0], swapped(PAIRS[0])], baseline)
    assert answer.scores is not None
    assert sum(answer.scores) == pytest.approx(1)
    assert turned.scores == pytest.approx(answer.scores[::-1], abs=1e-5)
    three = Item("t", Request("q", ["a", "b", "c"]), "s", 0)
    ((_, found),) = judge([three], baseline)
    assert sum(found.scores or ()) == pytest.approx(1)
    assert "from 2 to 9" in (next(judge([SINGLE], baseline))[1].reason or "")


def test_token_probabilities_need_a_model_in_this_process() -> None:
    with pytest.raises(InvalidInput, match="use --backend transformers"):
        make("token-prob", pipe=lambda: pipe_of(Fake(verdict)))


def test_first_scores_do_not_depend_on_the_order() -> None:
    pipe = tiny_pipe()
    baseline = make("first-reading", pipe=lambda: pipe, settings={"template": "compact-closed"})
    (_, answer), (_, turned) = judge([PAIRS[0], swapped(PAIRS[0])], baseline)
    assert answer.scores is not None
    assert turned.scores == pytest.approx(answer.scores[::-1], abs=1e-5)
    assert all(1 <= score <= 9 for score in answer.scores)
    assert len(answer.samples) == 2
    ids = encode(pipe.tokenizer, render(PAIRS[0].request, answer.samples[0]["order"], "compact-closed"))
    first, _ = FirstReading(pipe.model, pipe.tokenizer, "compact-closed").chances(ids, 2)
    shown = answer.samples[0]["scores"][answer.samples[0]["order"][0]]
    assert shown == pytest.approx(sum(score * chance for score, chance in enumerate(first, 1)))
    assert len(next(judge([SINGLE], baseline))[1].scores or ()) == 1
    baseline.reading.context = 40  # type: ignore[attr-defined]
    assert "tokens > context 40" in (next(judge(PAIRS, baseline))[1].reason or "")


def test_first_scores_need_a_model_that_closes_its_responses() -> None:
    with pytest.raises(InvalidInput, match="use --backend transformers"):
        make("first-reading", pipe=lambda: pipe_of(Fake(verdict)), settings={})
    with pytest.raises(InvalidInput, match="compact does not close a response"):
        make("first-reading", pipe=tiny_pipe, settings={"template": "compact"})


def test_answers_are_kept_and_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    engine = Counting(verdict)

    def baseline() -> Baseline:
        return Verdict(pipe_of(Fake(engine)), {"k": 2})

    first = list(judge(PAIRS[:5], baseline(), path))
    assert engine.asked == 10
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "cut o')
    again = list(judge(PAIRS, baseline(), path))
    assert engine.asked == 24
    assert again[:5] == first
    assert list(judge(PAIRS, baseline(), path)) == again
    assert engine.asked == 24
    text = path.read_text(encoding="utf-8")
    assert "zebra" not in text
    assert len(text.splitlines()) == 13
    assert json.loads(text.splitlines()[0])["judge"]["kind"] == "verdict"


def test_another_judges_answers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    list(judge(PAIRS, make("longest"), path))
    with pytest.raises(InvalidInput, match="holds the answers of"):
        list(judge(PAIRS, make("first"), path))


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"baseline: 'best' is unknown; known are shortest"):
        make("best")
    with pytest.raises(InvalidInput, match="model: a scalar baseline needs one"):
        make("scalar", model=None)
    with pytest.raises(InvalidInput, match=r"^model: .*no sequence classifier"):
        make("scalar", model=str(save_tiny(tmp_path / "causal")))
    with pytest.raises(InvalidInput, match="k: 'auto' is not usable"):
        Verdict(pipe_of(Fake(verdict)), {"k": "auto"})
    assert list(BASELINES) == ["shortest", "longest", "first", "scalar", "verdict", "token-prob", "first-reading"]
