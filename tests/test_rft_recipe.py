"""recipes/rft: from the rows that rejective sampling leaves to a judge that loads; offline, on a toy judge."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
import torch
from conftest import ROOT
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from made_sources import write_sources as write_made
from recipe_scripts import module_of
from test_contrast import write_sources
from tiny_judge import byte_tokenizer, save_tiny, tiny_judge
from transformers import TrainingArguments
from trl import SFTConfig, SFTTrainer

from modeling_grm.data.pools.even import FROM
from modeling_grm.data.sources import read_records
from modeling_grm.data.tuning import (
    IGNORED,
    answer_ids,
    drawn,
    read_answers,
    template_of,
    to_example,
    to_examples,
)
from modeling_grm.embedded import ADAPTER_FILES
from modeling_grm.generation_grm import encode
from modeling_grm.loading import load
from modeling_grm.prompts_grm import TEMPLATES, neutralize, render
from modeling_grm.recipes import parse
from modeling_grm.trainable import prepared, with_weights
from modeling_grm.types_grm import InvalidInput, Request

SMOKE = ROOT / "recipes" / "rft" / "smoke.yaml"
OWN = "Rate these.\n{conversation}\n{responses}\nScores:"
TEXT = "Specific Criteria: sums.\nAnalysis: Response 1 adds up.\nScores: \\boxed{9, 2}"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def prompt(at: int = 0, template: str = "compact", n: int = 2) -> list[dict[str, str]]:
    request = Request(f"What is {at} + {at}?", [str(2 * at), "I like {trains}", "x", "y"][:n])
    return list(render(request, range(n), template))


def judgement(at: int = 0, template: str = "compact", n: int = 2, text: str = TEXT) -> dict[str, Any]:
    return {"prompt": prompt(at, template, n), "completion": [{"role": "assistant", "content": text}], "id": str(at)}


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# --------------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("row", "asked", "answered"),
    [
        (judgement(), prompt(), TEXT),
        ({"prompt": "2+2?", "completion": "4"}, [{"role": "user", "content": "2+2?"}], "4"),
        (
            {"messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}], "source": "s"},
            [{"role": "user", "content": "2+2?"}],
            "4",
        ),
        ({"messages": [{"role": "user", "content": "2+2?"}]}, [], ""),
    ],
)
def test_rows_of_every_shape(tmp_path: Path, row: dict[str, Any], asked: Any, answered: str) -> None:
    for where in (written(tmp_path / "rows.jsonl", [row]), written(tmp_path / "folder" / "train.jsonl", [row])):
        rows = read_answers(where if where.endswith("rows.jsonl") else str(tmp_path / "folder"))
        assert rows.column_names == ["prompt", "completion"]
        assert (rows[0]["prompt"], rows[0]["completion"]) == (asked, answered)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"question": "a", "answer": "b"}], r"columns: .*\['answer', 'question'\]; it needs prompt and completion"),
        (None, "dataset: .* cannot be read"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, rows: list[Any] | None, said: str) -> None:
    where = written(tmp_path / "rows.jsonl", rows) if rows else str(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match=said):
        read_answers(where)


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """datasets keeps both under one name in its cache where their cards are alike."""
    card = (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*.parquet\n---\n"
    )
    for run in ("one", "two"):
        folder = tmp_path / run / "dataset"
        (folder / "data").mkdir(parents=True)
        Dataset.from_list([{"prompt": run, "completion": run}]).to_parquet(folder / "data" / "train-0.parquet")
        (folder / "README.md").write_text(card, encoding="utf-8")
    assert [read_answers(str(tmp_path / run / "dataset"))["completion"][0] for run in ("one", "two")] == ["one", "two"]


def test_no_rows(tmp_path: Path) -> None:
    Dataset.from_list([judgement()]).select([]).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InvalidInput, match=r"cannot be read .*no data"):
        read_answers(str(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("template", [*TEMPLATES, OWN], ids=[*TEMPLATES, "own"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_prompt_tells_its_template(template: str, n: int) -> None:
    if template == "deepseek-grm-single" and n > 1:
        return
    given = OWN if template == OWN else None
    assert template_of([prompt(at, template, n) for at in range(3)], given) == template


def test_single_responses_have_a_template_of_their_own() -> None:
    both = [prompt(template="deepseek-grm"), prompt(template="deepseek-grm-single", n=1)]
    assert template_of(both) == "deepseek-grm"
    assert template_of(both, "deepseek-grm") == "deepseek-grm"


@pytest.mark.parametrize(
    ("prompts", "given", "said"),
    [
        ([prompt(), prompt(template="deepseek-grm")], None, "prompts are of several, compact 1, deepseek-grm 1"),
        ([prompt(), prompt(template=OWN)], None, "none of these 1; name theirs"),
        ([prompt(), prompt()], "deepseek-grm", r"prompts by template \(deepseek-grm, .*none of these 2"),
        ([prompt()], "mystery", "'mystery' is unknown"),
        ([[]], None, "none of these 1"),
    ],
)
def test_prompts_of_other_templates(prompts: list[Any], given: str | None, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        template_of(prompts, given)


# --------------------------------------------------------------------------- tokens


def row(text: str = TEXT, asked: Any = None) -> dict[str, Any]:
    return {"prompt": prompt() if asked is None else asked, "completion": text}


def test_the_prompt_is_what_the_judge_is_asked_with_and_only_the_answer_is_learnt() -> None:
    tokenizer = byte_tokenizer(())
    example = to_example(row(), tokenizer, None)
    asked = encode(tokenizer, prompt())
    answer = [id for id in example["labels"] if id != IGNORED]
    assert example["input_ids"][: len(asked)] == asked
    assert example["labels"] == [IGNORED] * len(asked) + answer
    assert example["input_ids"] == asked + answer
    assert tokenizer.decode(answer) == TEXT + "<|im_end|>"


def test_text_that_spells_a_control_token_stays_text() -> None:
    tokenizer = byte_tokenizer(())
    ids = answer_ids(tokenizer, prompt(), "a<|im_end|>b")
    assert ids.count(tokenizer.eos_token_id) == 1
    assert ids[-1] == tokenizer.eos_token_id


def test_a_chat_template_that_rewrites_an_answered_prompt() -> None:
    tokenizer = byte_tokenizer(())
    tokenizer.chat_template = "{{ messages | length }}" + tokenizer.chat_template
    assert tokenizer.decode(answer_ids(tokenizer, prompt(), TEXT)) == TEXT + "<|im_end|>"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (row(text=" "), "no question, or no answer"),
        (row(asked=[]), "no question, or no answer"),
        (row(text="x" * 900), "longer than max_length 800"),
    ],
)
def test_what_is_left_out_is_counted(given: dict[str, Any], why: str) -> None:
    rows = Dataset.from_list([row(text="ok", asked=[{"role": "user", "content": "?"}])] * 2 + [given])
    kept, left = to_examples(rows, byte_tokenizer(()), 800)
    assert (len(kept), sorted(kept.column_names)) == (2, ["input_ids", "labels"])
    ((reason, number),) = left.items()
    assert reason.startswith(why)
    assert number == 1
    with pytest.raises(InvalidInput, match=rf"rows: none left of 1 \(1: {why}"):
        to_examples(rows.select([2]), byte_tokenizer(()), 800)


def test_general_rows_are_drawn_from_all_sources() -> None:
    one, other = (Dataset.from_list([row(text=f"{name} {at}") for at in range(20)]) for name in "ab")
    taken = drawn([one, other], 10, seed=0)["completion"]
    assert list(taken) == list(drawn([one, other], 10, seed=0)["completion"])
    assert {text[0] for text in taken} == {"a", "b"}
    assert len(drawn([one], 100, seed=0)) == 20


def test_packed_examples_do_not_see_one_another(tmp_path: Path) -> None:
    """Without flash attention, too: the loss of packed rows is that of single examples."""
    model, tokenizer = tiny_judge()
    rows = Dataset.from_list([row(text=f"{TEXT}{at}" * (1 + at % 3)) for at in range(5)])
    examples, _ = to_examples(rows, tokenizer, 4096)
    sums = [losses_of(model, example) for example in examples]
    expected = sum(total for total, _ in sums) / sum(number for _, number in sums)
    config = SFTConfig(
        str(tmp_path), packing=True, max_length=4096, per_device_eval_batch_size=1, use_cpu=True, bf16=False,
        report_to="none", eval_strategy="no",
    )  # fmt: skip
    trainer = SFTTrainer(model, config, train_dataset=examples, eval_dataset=examples, processing_class=tokenizer)
    assert len(trainer.eval_dataset) < len(examples)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected, rel=1e-4)


def losses_of(model: Any, example: dict[str, Any]) -> tuple[float, int]:
    ids, labels = (torch.tensor([example[name]]) for name in ("input_ids", "labels"))
    with torch.no_grad():
        loss = model(input_ids=ids, labels=labels).loss
    number = int((labels != IGNORED).sum())
    return float(loss) * number, number


# --------------------------------------------------------------------------- the recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(ROOT)
    return module_of(ROOT / "recipes" / "rft" / "train.py", monkeypatch)


@pytest.fixture
def train(recipe: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """Runs smoke.yaml on eight judgements with some keys changed; its output folder."""
    rows = written(tmp_path / "rows" / "train.jsonl", [judgement(at) for at in range(8)])

    def run(out: str = "out", **changes: Any) -> Path:
        keys = {"dataset": rows, "output_dir": str(tmp_path / out), "packing": False} | changes
        words = [word for key, value in keys.items() for word in (f"--{key}", *_words(value))]
        recipe.main(*parse(recipe.RecipeArguments, recipe.SFTConfig, argv=["--config", str(SMOKE), *words]))
        return tmp_path / out

    return run


def _words(value: Any) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


def losses(folder: Path, step: int) -> list[tuple[int, float]]:
    state = json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text(encoding="utf-8"))
    return [(entry["step"], entry["loss"]) for entry in state["log_history"]]


@pytest.mark.parametrize(("lora_r", "weights"), [(0, "model.safetensors"), (2, "adapter_model.safetensors")])
def test_a_finished_run_makes_no_further_step(train: Callable[..., Path], lora_r: int, weights: str) -> None:
    keys = {"lora_r": lora_r, "lr_scheduler_type": "constant", "per_device_train_batch_size": 2, "max_steps": 2}
    first = train(**keys)
    made, told = (first / weights).read_bytes(), losses(first, 2)
    (first / weights).unlink()
    assert train(**keys) == first
    assert (first / weights).read_bytes() == made
    assert not (first / "checkpoint-3").exists()
    assert losses(train(**keys | {"max_steps": 3}), 3)[:2] == told


def test_two_steps_leave_a_judge(train: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = train()
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (said["judgements"], said["template"]) == (8, "compact")
    grm = json.loads((folder / "config.json").read_text(encoding="utf-8"))["grm"]
    assert grm["template"] == "compact"
    result = load(str(folder), dtype="float32")("2+2?", ["4", "5"], k=2, max_new_tokens=4)
    assert result["k"] == 2


def test_same_seed_same_run_and_on_from_a_checkpoint(train: Callable[..., Path]) -> None:
    steady = {"lr_scheduler_type": "constant", "save_steps": 2, "max_steps": 4}
    whole, again = train("whole", **steady), train("again", **steady)
    assert losses(whole, 4) == losses(again, 4)
    assert len(losses(whole, 4)) == 4
    parts = train("parts", **steady | {"max_steps": 2})
    train("parts", **steady)
    assert losses(parts, 4) == losses(whole, 4)
    one, other = ((folder / "model.safetensors").read_bytes() for folder in (whole, parts))
    assert one == other


def test_another_seed_is_another_run(train: Callable[..., Path]) -> None:
    assert losses(train("one"), 2) != losses(train("other", seed=1), 2)


def test_an_adapter_is_a_judge_too_and_goes_on(train: Callable[..., Path], tmp_path: Path) -> None:
    base = str(save_tiny(tmp_path / "base"))
    folder = train(model=base, lora_r=4)
    assert json.loads((folder / "grm.json").read_text(encoding="utf-8"))["template"] == "compact"
    assert load(str(folder), dtype="float32")("2+2?", ["4", "5"], k=1, max_new_tokens=4)["k"] == 1
    further = train("further", model=str(folder))
    assert json.loads((further / "adapter_config.json").read_text(encoding="utf-8"))["r"] == 4
    with pytest.raises(InvalidInput, match=r"lora_r: .* is an adapter already"):
        train("again", model=str(folder), lora_r=4)


def test_packed(train: Callable[..., Path]) -> None:
    assert losses(train(packing=True), 2)


def test_general_instructions_are_mixed_in(
    train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]
    general = [written(tmp_path / "g" / "train.jsonl", [{"messages": turns}] * 30)]
    train(general=general, general_ratio=2.5)
    said = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (said["judgements"], said["general"]) == (8, 20)


def test_the_template_is_the_checkpoints_own(train: Callable[..., Path], tmp_path: Path) -> None:
    calibrated = {"template": "compact", "k": 3, "confidence": {"slope": 1.0}, "min_confidence": 0.5}
    folder = train(model=str(save_tiny(tmp_path / "base", calibrated)))
    grm = json.loads((folder / "config.json").read_text(encoding="utf-8"))["grm"]
    assert (grm["template"], grm["k"], grm["confidence"], grm["min_confidence"]) == ("compact", 3, None, None)
    other = str(save_tiny(tmp_path / "other", {"template": "deepseek-grm"}))
    shutil.rmtree(folder)
    with pytest.raises(InvalidInput, match=r"template: .*'compact'.*'deepseek-grm'"):
        train(model=other)
    assert not folder.exists()


def test_a_base_model_without_a_chat_template(train: Callable[..., Path], tmp_path: Path) -> None:
    base = str(save_tiny(tmp_path / "base", chat_template=False))
    with pytest.raises(InvalidInput, match=r"no chat template.*chat_template_path"):
        train(model=base)
    sister = save_tiny(tmp_path / "sister")
    folder = train(model=base, chat_template_path=str(sister))
    assert load(str(folder), dtype="float32")("2+2?", ["4", "5"], k=1, max_new_tokens=4)["k"] == 1
    jinja = tmp_path / "chat.jinja"
    jinja.write_text(byte_tokenizer().chat_template, encoding="utf-8")
    assert (train("from-jinja", model=base, chat_template_path=str(jinja)) / "chat_template.jinja").is_file()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "nowhere"}, "model: 'nowhere' cannot be loaded"),
        ({"dataset": "nowhere"}, "dataset: 'nowhere' cannot be read"),
        ({"max_length": 20}, r"rows: none left of 8 \(8: longer than max_length 20\)"),
        ({"template": "deepseek-grm"}, "none of these 8"),
        ({"general_ratio": -1}, "general_ratio: -1.0 is not usable"),
        ({"eos_token": "<end>"}, "eos_token: '<end>' is no token of '.*toy'"),
        ({"lora_r": 4, "chat_template_path": "sister"}, "lora_r: an adapter is used with its base's tokenizer"),
    ],
)
def test_bad_input_is_named(train: Callable[..., Path], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        train(**changes)


def test_what_sample_leaves_is_what_rft_takes(
    recipe: ModuleType, train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = module_of(ROOT / "recipes" / "sample" / "sample.py", monkeypatch)
    words = ["--config", str(ROOT / "recipes" / "sample" / "smoke.yaml"), "--out", str(tmp_path / "sampled")]
    sample.main(*parse(sample.SampleArguments, argv=words))
    assert (train(dataset=str(tmp_path / "sampled" / "dataset")) / "model.safetensors").is_file()


def test_the_cold_start_learns_the_targets_of_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", monkeypatch)
    rows = [{"conversation": [], "responses": ["a"], "target": target} for target in ("one", None, "two", "three")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    args = contrast.RecipeArguments(rows=str(path), examples=9)
    assert sorted(row["target"] for row in contrast.rows_of(args, 0)) == ["one", "three", "two"]
    two = contrast.rows_of(replace(args, examples=2), 3)
    assert len(two) == 2
    assert two == contrast.rows_of(replace(args, examples=2), 3)
    path.write_text('{"responses": ["a"]}\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"rows: .* has no column target; its columns are responses"):
        contrast.rows_of(args, 0)


def test_the_cold_start_draws_even_rows_of_the_datasets_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", monkeypatch)
    prompts = [row["conversation"][0]["content"] for row in read_records(write_made(tmp_path) / FROM.file)][:40]
    rows = [{"conversation": [{"role": "user", "content": f"{prompt} "}], "target": "one"} for prompt in prompts]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    args = contrast.RecipeArguments(rows=str(path), data=str(tmp_path), examples=5, even=12)
    drawn = contrast.rows_of(args, 0)
    assert sum(row["target"] == "one" for row in drawn) == 5
    even = [row for row in drawn if row["target"] != "one"]
    assert len(even) == 12
    assert all(row["conversation"][0]["content"] in prompts for row in even)
    assert drawn == contrast.rows_of(args, 0) != contrast.rows_of(args, 1)


def test_the_cold_start_draws_as_many_rows_of_each_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", monkeypatch)
    pools = ["contrast"] * 30 + ["human"] * 10 + ["verifiable"] * 3
    rows = [{"pool": pool, "target": f"{pool} {at}"} for at, pool in enumerate(pools)] + [{"pool": "x", "target": None}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    args = contrast.RecipeArguments(rows=str(path), examples=24, balanced_by="pool")
    drawn = contrast.rows_of(args, 0)
    assert Counter(row["pool"] for row in drawn) == {"contrast": 8, "human": 8, "verifiable": 3}
    assert len({row["target"] for row in drawn}) == len(drawn)
    shares = ["contrast=6", "human=1", "verifiable=1"]
    drawn = contrast.rows_of(replace(args, shares=shares), 0)
    assert Counter(row["pool"] for row in drawn) == {"contrast": 18, "human": 3, "verifiable": 3}
    drawn = contrast.rows_of(replace(args, shares=["contrast=6", "human=0", "verifiable=1"]), 0)
    assert Counter(row["pool"] for row in drawn) == {"contrast": 21, "verifiable": 3}
    nothing = [f"{pool}=0" for pool in ("contrast", "human", "verifiable")]
    for wrong in (["contrast=6"], [*shares, "x=1"], nothing, ["contrast", *shares[1:]]):
        with pytest.raises(InvalidInput, match=r"shares: .* give VALUE=WEIGHT for each of \['contrast', 'human'"):
            contrast.rows_of(replace(args, shares=wrong), 0)
    with pytest.raises(InvalidInput, match=r"shares: .* name the column with balanced_by"):
        contrast.check(replace(args, shares=shares, balanced_by=None))
    with pytest.raises(InvalidInput, match=r"even: 3 is not usable; give a number of rows, and with rows a dataset"):
        contrast.check(replace(args, rows=None, shares=[], balanced_by=None, even=3))
    with pytest.raises(InvalidInput, match=r"even: -1 is not usable"):
        contrast.check(replace(args, even=-1))
    with pytest.raises(InvalidInput, match=r"rows: .* has no column conversation; its columns are pool, target"):
        contrast.rows_of(replace(args, even=3), 0)
    with pytest.raises(InvalidInput, match=r"early_weight: compact does not close .* use one of .*'compact-closed'"):
        contrast.check(replace(args, early_weight=1.0, template="compact"))
    with pytest.raises(InvalidInput, match=r"rows: .* has no column part; its columns are pool, target"):
        contrast.rows_of(replace(args, balanced_by="part"), 0)


@pytest.mark.parametrize("template", ["compact-closed", "deepseek-grm"])
@given(responses=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=11), data=st.data())
def test_a_score_is_asked_where_its_response_has_been_shown(template: str, responses: list[str], data: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", patch)
    scores = [data.draw(st.integers(1, 10)) for _ in responses]
    tokenizer = byte_tokenizer(lines=())
    prompt = encode(tokenizer, render(Request("a question", responses), range(len(responses)), template))
    text = f"Analysis: none.\nScores: \\boxed{{{', '.join(map(str, scores))}}}"
    args = contrast.RecipeArguments(template=template, early_weight=16.0)
    asked = contrast.asked_early(tokenizer, prompt, text, len(responses), args)
    places = contrast.read_at(tokenizer, prompt, len(responses), template)
    digits = {place: tokenizer.decode(token) for place, token, _ in asked}
    for number, (some, score) in enumerate(zip(places, scores, strict=True), 1):
        assert {digits[place] for place in some} == {str(min(score, 9))}
        assert sum(weight for place, _, weight in asked if place in some) == pytest.approx(16.0)
        line = tokenizer.decode([prompt[place] for place in some])
        assert re.fullmatch(rf"(?:# |\[The )End of Response {number}[\n\]]", line)
        assert tokenizer.decode(prompt[: some[0]]).rstrip("\n").endswith(neutralize(responses[number - 1]).rstrip("\n"))


def test_a_prompt_counts_as_much_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", monkeypatch)
    tokenizer = byte_tokenizer(lines=())
    row = {"conversation": [{"role": "user", "content": "2+2?"}], "responses": ["4", "5"], "target": TEXT}
    prompt = encode(tokenizer, render(Request(row["conversation"], row["responses"]), range(2), "compact-closed"))
    for weight in (0.0, 0.25):
        args = contrast.RecipeArguments(template="compact-closed", prompt_weight=weight, verdict_weight=1.0)
        found = contrast.to_features(row, tokenizer, args)
        rest = len(found["input_ids"]) - len(prompt)
        assert found["weights"] == [weight] * len(prompt) + [1.0] * rest


@pytest.mark.slow
def test_the_cold_start_by_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """contrast.py: one step of the embedded judge's base, and the adapter made ready to ship."""
    contrast = module_of(ROOT / "recipes" / "rft" / "contrast.py", monkeypatch)
    (tmp_path / "sources").mkdir()
    keys = {"data": write_sources(tmp_path / "sources"), "output_dir": tmp_path / "out", "examples": 8, "max_steps": 1}
    keys |= {"pack_tokens": 1024, "lora_r": 2, "bf16": False, "save_steps": 1, "template": "compact-closed"}
    keys |= {"early_weight": 16.0}
    words = [word for key, value in keys.items() for word in (f"--{key}", str(value))]
    config = str(ROOT / "recipes" / "rft" / "contrast.yaml")
    contrast.main(*parse(contrast.RecipeArguments, TrainingArguments, argv=["--config", config, *words]))
    export = module_of(ROOT / "recipes" / "rft" / "export.py", monkeypatch)
    shipped = ["--adapter", str(tmp_path / "out"), "--out", str(tmp_path / "shipped")]
    monkeypatch.setattr(sys, "argv", ["export.py", *shipped, "--workspace", str(tmp_path / "next")])
    export.main()
    assert {path.name for path in (tmp_path / "shipped").iterdir()} == set(ADAPTER_FILES)
    judge = load(str(tmp_path / "next" / "merged")).grm
    assert (judge.template, judge.meta_rm) == ("compact-closed", "self")
    going_on = with_weights(prepared(str(tmp_path / "next" / "adapter")))
    assert any(weight.requires_grad for weight in going_on.model.parameters())


def test_the_command_line_says_what_is_wrong(
    recipe: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--config", str(SMOKE), "--lora_rr", "3"])
    with pytest.raises(SystemExit) as ended:
        recipe.script(recipe.main, recipe.RecipeArguments, recipe.SFTConfig)
    assert ended.value.code == 2
    assert "error: lora_rr: no such key in the command line; did you mean lora_r?" in capsys.readouterr().err
