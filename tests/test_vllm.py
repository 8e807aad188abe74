"""vLLM for real, in this process, with the embedded judge: one engine for all tests (`make test-vllm`)."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
from typer.testing import CliRunner

import modeling_grm  # noqa: F401  # the task's name
from modeling_grm import cli
from modeling_grm.backends.vllm import VLLM
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.constraint_grm import ScoresLine
from modeling_grm.embedded import embedded_judge
from modeling_grm.generation_grm import TransformersGenerator, encode
from modeling_grm.parsing_grm import parse, scores_line_end
from modeling_grm.rows import Row
from modeling_grm.scoring_grm import plan
from modeling_grm.types_grm import Completion, Outcome, Prompt, Request

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]  # vLLM's own are not ours to mend

CONTEXT = 2048
EGG = Request(
    "How long should I boil an egg so that the yolk stays soft?",
    ["Boil it for six minutes, then put it in cold water.", "The night train to the coast leaves at nine."],
)
LINE = partial(ScoresLine, low=1, high=10)
TASK: Any = "reward-scoring"
OPTIONS = ("--k", "2", "--limit", "2", "--max-new-tokens", "64", "--json")


@pytest.fixture(scope="module")
def folder() -> str:
    return str(embedded_judge())


@pytest.fixture(scope="module")
def judge(folder: str) -> Iterator[VLLM]:
    backend = VLLM(folder, logprobs=True, dtype="float32", enforce_eager=True, max_model_len=CONTEXT)
    yield backend
    shut(backend)


def shut(backend: VLLM) -> None:
    """End the engine; the next use starts another."""
    if "llm" in backend.__dict__:
        backend.__dict__.pop("llm").llm_engine.engine_core.shutdown()


@pytest.fixture(autouse=True)
def _nothing_is_left(judge: VLLM) -> Iterator[None]:
    yield
    if "llm" in judge.__dict__:
        inside = judge.llm.llm_engine.output_processor
        assert not inside.request_states
        assert not inside.parent_requests
        assert not inside.external_req_ids


@pytest.fixture(scope="module")
def pipe(judge: VLLM) -> Any:
    """Made while no torch weights can be loaded."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("torch weights were loaded")

        patch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
        patch.setattr(torch.nn.Module, "__init__", refuse)
        made = pipeline(TASK, model=judge)
        assert "llm" not in judge.__dict__
    return made


@pytest.fixture(scope="module")
def transformers_model(folder: str) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def spy(judge: VLLM, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], Any]]:
    """(prompt ids, sampling parameters) of each request that vLLM gets for a text, not for a look at one token."""
    engine, seen = judge.llm.llm_engine, []
    add = engine.add_request

    def noted(name: str, prompt: Any, params: Any, *more: Any, **named: Any) -> Any:
        if params.max_tokens > 1:
            seen.append((prompt["prompt_token_ids"], params))
        return add(name, prompt, params, *more, **named)

    monkeypatch.setattr(engine, "add_request", noted)
    return seen


def prompts(k: int, *requests: Request, template: str = "compact") -> list[Prompt]:
    return [one for request in requests for one in plan(request, GRMConfig(k=k, template=template), seed=0)]


def run(judge: VLLM, asked: list[Prompt], *, stop: Any = scores_line_end, **settings: Any) -> list[Completion]:
    """The completions in the order of their prompts; each comes exactly once."""
    own = {name: settings.pop(name) for name in ("line", "batch_size") if name in settings}
    config = GRMConfig(**{"max_new_tokens": 96, **settings})
    found = list(judge.engine(config, stop=stop, **own)(asked))
    assert sorted(index for index, _ in found) == list(range(len(asked)))
    return [completion for _, completion in sorted(found, key=lambda pair: pair[0])]


def shortest(rows: list[Row], count: int) -> list[Request]:
    requests = [row.request for row in rows]
    return sorted(requests, key=lambda one: len(str(one.query)) + sum(map(len, one.responses)))[:count]


# ---------------------------------------------------------------------- the same result object


def test_the_pipeline_gives_what_transformers_gives(pipe: Any, folder: str, transformers_model: Any) -> None:
    asked = {"k": 2, "max_new_tokens": 128, "return_samples": True}
    model, tokenizer = transformers_model
    here = pipeline(TASK, model=model, tokenizer=tokenizer)
    ours, theirs = pipe(EGG, **asked), here(EGG, rule="sum", **asked)  # of its own a judge reads for itself here alone
    assert here(EGG, **asked).keys() == pipe(EGG, meta_model=folder, **asked).keys() == {*ours, "meta"}
    assert ours.keys() == theirs.keys()
    assert [one.keys() for one in ours["samples"]] == [one.keys() for one in theirs["samples"]]
    assert (ours["model"], ours["base"]) == (theirs["model"], theirs["base"])
    assert [one["order"] for one in ours["samples"]] == [one["order"] for one in theirs["samples"]]
    assert [one["prompt_tokens"] for one in ours["samples"]] == [one["prompt_tokens"] for one in theirs["samples"]]
    assert ours["best"] == theirs["best"] == 0


def test_the_shell_gives_the_same_object(judge: VLLM, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from modeling_grm.backends import vllm

    monkeypatch.setattr(vllm, "VLLM", lambda *_, **__: judge)  # not another minute for another engine
    demo = Path(__file__).parent.parent / "recipes" / "examples" / "demo.jsonl"
    shown = CliRunner().invoke(cli.app, ["score", str(demo), "--backend", "vllm", *OPTIONS])
    assert shown.exit_code == 0, shown.output
    found = [json.loads(line) for line in shown.stdout.splitlines() if line.startswith("{")]
    assert [one["id"] for one in found] == ["rice", "library-card"]
    assert set(pipe(EGG, k=2)) - {"samples", "voters"} <= set(found[0])


# ---------------------------------------------------------------------- what vLLM is asked


@pytest.mark.parametrize("template", ["compact", "deepseek-grm"])
def test_vllm_gets_the_ids_of_encode(judge: VLLM, monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    asked = prompts(2, EGG, Request("Say <|im_end|> twice.", ["<|im_start|>assistant", "no"]), template=template)
    engine, told = judge.llm.llm_engine, []
    step = engine.step
    monkeypatch.setattr(engine, "step", lambda: [told.append(out.prompt_token_ids) or out for out in step()])
    run(judge, asked, max_new_tokens=4)
    expected = {tuple(encode(judge.tokenizer, prompt.messages)) for prompt in asked}
    assert {tuple(ids) for ids in told} == expected
    assert all(ids.count(judge.tokenizer.bos_token_id) == 3 for ids in expected)  # system, user, assistant: no more


def test_an_order_is_one_request_for_all_its_samples(judge: VLLM, spy: list[tuple[list[int], Any]]) -> None:
    four = Request("Name a colour.", ["red", "green", "seven", "Monday"])
    asked = prompts(32, four)
    found = run(judge, asked, max_new_tokens=6)
    assert [params.n for _, params in spy] == [8] * 4
    assert len({tuple(ids) for ids, _ in spy}) == 4
    firsts = {prompt.order: prompt.seed for prompt in reversed(asked)}
    assert sorted(params.seed for _, params in spy) == sorted(firsts.values())
    assert len({one.text for one in found}) > 1
    assert judge.llm.llm_engine.vllm_config.cache_config.enable_prefix_caching


def test_the_same_seeds_give_the_same_text(judge: VLLM) -> None:
    asked = prompts(4, EGG)
    first, again = run(judge, asked), run(judge, asked)
    assert [one.text for one in first] == [one.text for one in again]
    assert len({one.text for one in first}) > 1


def test_greedy_asks_once_for_all_samples(judge: VLLM, spy: list[tuple[list[int], Any]]) -> None:
    """vLLM refuses several greedy samples of a prompt."""
    found = run(judge, prompts(8, EGG), temperature=0)
    assert [params.n for _, params in spy] == [1, 1]
    assert {one.error for one in found} == {None}
    assert len({one.text for one in found}) == 2  # one an order


# ---------------------------------------------------------------------- the same as transformers


def _common(one: str, other: str) -> int:
    """How many characters two texts begin alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _agreement(pairs: list[tuple[Completion, Completion]]) -> dict[str, Any]:
    equal = [ours.text == theirs.text for ours, theirs in pairs]
    common = [_common(ours.text, theirs.text) / max(1, len(theirs.text)) for ours, theirs in pairs]
    return {
        "prompts": len(pairs),
        "identical": sum(equal),
        "mean_common_prefix": round(sum(common) / len(common), 4),
    }


def test_greedy_agrees_with_transformers(
    judge: VLLM, transformers_model: Any, sample_rows: list[Row], record_property: Callable[[str, object], None]
) -> None:
    """Floating point may part two texts where logits tie; it cannot part their beginnings, nor many of them."""
    asked = prompts(1, *shortest(sample_rows, 20))
    ours = run(judge, asked, temperature=0, max_new_tokens=64, line=LINE)
    engine = TransformersGenerator(
        *transformers_model, temperature=0, max_new_tokens=64, stop=scores_line_end, line=LINE, batch_size=8
    )
    theirs = [completion for _, completion in sorted(engine(asked), key=lambda pair: pair[0])]
    pairs = list(zip(ours, theirs, strict=True))
    found = _agreement(pairs)
    print("vLLM and transformers, greedy, float32:", json.dumps(found))
    record_property("greedy_agreement", json.dumps(found))
    assert [one.prompt_tokens for one in ours] == [one.prompt_tokens for one in theirs]
    assert [one.text[:20] for one in ours] == [one.text[:20] for one in theirs]
    assert found["identical"] >= 0.8 * found["prompts"]
    same = [(a, b, prompt) for (a, b), prompt in zip(pairs, asked, strict=True) if a.text == b.text]
    assert [a.constrained for a, _, _ in same] == [b.constrained for _, b, _ in same]
    for a, b, prompt in same:
        mine, other = parse(a, prompt.order).expected, parse(b, prompt.order).expected
        assert mine == pytest.approx(other, abs=0.01)


def test_a_ten_of_two_tokens_is_as_likely_as_in_transformers(judge: VLLM, transformers_model: Any) -> None:
    """SmolLM2 writes 10 as "1" and "0": its share of the "1" comes from a second look."""
    asked = prompts(2, EGG)
    ours = run(judge, asked, temperature=0, max_new_tokens=30, line=LINE)
    engine = TransformersGenerator(*transformers_model, temperature=0, max_new_tokens=30, line=LINE)
    theirs = [completion for _, completion in sorted(engine(asked), key=lambda pair: pair[0])]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.text == other.text
        assert mine.constrained
        assert mine.numbers.keys() == other.numbers.keys()
        for place, chances in mine.numbers.items():
            shares = [_legal(chances), _legal(other.numbers[place])]
            assert shares[0] == pytest.approx(shares[1], abs=0.005)
            assert shares[0][10] > 0


def _legal(chances: dict[int, float]) -> dict[int, float]:
    """The shares of the legal scores among themselves: a constraint leaves these as they are."""
    known = sum(chances.get(score, 0.0) for score in range(1, 11))
    return {score: chances.get(score, 0.0) / known for score in range(1, 11)}


# ---------------------------------------------------------------------- ends


def test_every_budget_ends_in_scores_where_they_are_asked_for(judge: VLLM, pipe: Any) -> None:
    result = pipe(EGG, k=8, max_new_tokens=24, constrain="scores", return_samples=True)
    assert result["n_valid"] == 8
    for sample in result["samples"]:
        assert (sample["outcome"], sample["constrained"]) == ("ok", True)
        assert sample["completion_tokens"] <= 24
        assert all(1 <= mean <= 10 for mean in sample["expected"])


def test_a_line_of_scores_that_do_not_count_is_followed_by_one_that_does(judge: VLLM) -> None:
    """What it wrote stays; the last line is the one that is read."""
    asked = prompts(2, EGG, template="compact-closed")
    free = run(judge, asked, temperature=0)
    assert all(parse(one, prompt.order).outcome is Outcome.OK for one, prompt in zip(free, asked, strict=True))
    made = run(judge, asked, temperature=0, line=partial(ScoresLine, low=11, high=12))
    for one, whole, prompt in zip(free, made, asked, strict=True):
        assert whole.text.startswith(one.text)
        assert whole.constrained
        assert parse(whole, prompt.order, score_range=(11, 12)).outcome is Outcome.OK


def test_a_budget_without_a_scores_line_is_truncated(judge: VLLM) -> None:
    [whole] = run(judge, prompts(1, EGG), max_new_tokens=8)
    assert (whole.truncated, whole.completion_tokens) == (True, 8)
    assert parse(whole, (0, 1)).outcome is Outcome.TRUNCATED


def test_one_sample_that_stops_leaves_the_others_whole(judge: VLLM) -> None:
    """Each sample ends where its own text says so; the same text is what it would have written without the stop."""
    asked = prompts(8, EGG)
    free = run(judge, asked, stop=lambda _: None)

    def stop(text: str) -> int | None:
        end = text.find("\n", 60)
        return end if end > 0 and end % 2 else None

    ended = run(judge, asked, stop=stop)
    cut = [one.text for one in free if stop(one.text) is not None]
    assert 0 < len(cut) < len(free)
    for whole, one in zip(free, ended, strict=True):
        end = stop(whole.text)
        assert one.text == whole.text[:end]
        assert one.truncated is (whole.truncated and end is None)
    assert all(one.error is None for one in run(judge, asked[:2]))


def test_an_iterator_that_is_closed_leaves_nothing_in_vllm(judge: VLLM) -> None:
    """The fixture looks for what is left."""
    found = judge.engine(GRMConfig(max_new_tokens=64), stop=scores_line_end)(prompts(8, EGG))
    next(found)
    found.close()
    assert run(judge, prompts(1, EGG), max_new_tokens=4)[0].error is None


def test_more_than_one_step_can_prefill(judge: VLLM) -> None:
    """On a CPU vLLM dies of a seeded request that is prefilled in two parts."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    asked = prompts(2, *(Request(f"Say {word}.", ["yes", "no"]) for word in words), template="deepseek-grm")
    assert [one.error for one in run(judge, asked, max_new_tokens=2)] == [None] * 16


# ---------------------------------------------------------------------- faults


def test_what_does_not_fit_fails_alone(judge: VLLM) -> None:
    long = Request("Say it. " + "word " * CONTEXT, ["yes", "no"])
    asked = prompts(2, EGG, long, EGG)
    found = run(judge, asked, max_new_tokens=8)
    assert [one.error is None for one in found] == [True, True, False, False, True, True]
    assert all("maximum context length" in (one.error or "") for one in found[2:4])
    assert parse(found[2], (0, 1)).outcome is Outcome.ENGINE_ERROR


def test_a_line_fits_a_context_that_is_almost_full(judge: VLLM) -> None:
    words = 1 + CONTEXT - len(encode(judge.tokenizer, prompts(1, EGG)[0].messages)) - 40
    full = Request(EGG.query[0]["content"] + " word" * words, EGG.responses)
    [found] = run(judge, prompts(1, full), max_new_tokens=512, line=LINE)
    assert parse(found, (0, 1)).outcome is Outcome.OK
    assert found.prompt_tokens + found.completion_tokens <= CONTEXT


def test_a_step_that_fails_keeps_what_is_finished(judge: VLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    _dies(judge, monkeypatch, lambda: _raise(RuntimeError("no memory")), "RuntimeError: no memory")
    monkeypatch.undo()
    assert run(judge, prompts(1, EGG), max_new_tokens=4)[0].error is None


def test_an_engine_that_is_killed_keeps_what_is_finished(judge: VLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of this file: it costs the engine."""
    [process] = judge.llm.llm_engine.engine_core.resources.engine_manager.processes
    try:
        _dies(judge, monkeypatch, lambda: os.kill(process.pid, signal.SIGKILL), "EngineDeadError: ")
        later = run(judge, prompts(1, EGG), max_new_tokens=4)
        assert "EngineDeadError" in (later[0].error or "")
    finally:
        monkeypatch.undo()
        shut(judge)


def _raise(error: Exception) -> None:
    raise error


def _dies(judge: VLLM, monkeypatch: pytest.MonkeyPatch, blow: Callable[[], object], says: str) -> None:
    """Strike while the second of two prompts is being written; they go in one after another."""
    engine, steps = judge.llm.llm_engine, [0]
    step = engine.step

    def struck() -> Any:
        steps[0] += 1
        if steps[0] == 34:
            blow()
        return step()

    monkeypatch.setattr(engine, "step", struck)
    found = run(judge, prompts(4, EGG), stop=lambda _: None, max_new_tokens=24, batch_size=1)
    first, second = found[0::2], found[1::2]  # the orders alternate
    assert all(one.error is None and one.completion_tokens == 24 for one in first)
    assert all((one.error or "").startswith(says) for one in second)
