"""recipes/meta_rm: two steps from a store to a meta RM that loads, resumes and says how good it is."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from recipe_scripts import module_of
from transformers import TrainingArguments

from modeling_grm.judged_grm import ADAPTER_FILE
from modeling_grm.meta_examples import Example, balanced, examples, excluded_items, split
from modeling_grm.meta_rm_grm import MetaRM
from modeling_grm.recipes import parse
from modeling_grm.toys import byte_tokenizer, made_up_store, tiny_classifier
from modeling_grm.types_grm import InvalidInput

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "meta_rm"


def example(at: int, correct: bool) -> Example:
    return Example(str(at), f"item {at // 4}", f"query {at // 8}", [1, 2], correct)


def test_prompts_stay_together_and_in_their_place() -> None:
    made = [example(at, at % 3 > 0) for at in range(800)]
    parts = split(made, 0.3, 0.1)
    homes: dict[str, set[str]] = {}
    for name, part in parts.items():
        for one in part:
            homes.setdefault(one.query, set()).add(name)
    assert all(len(home) == 1 for home in homes.values())
    counts = Counter(name for home in homes.values() for name in home)
    assert 15 <= counts["test"] <= 45
    fewer = split(made[:400], 0.3, 0.1)
    assert [one.key for one in fewer["test"]] == [one.key for one in parts["test"] if int(one.key) < 400]
    with pytest.raises(InvalidInput, match="needs correct and wrong ones"):
        split([example(at, True) for at in range(800)], 0.3, 0.1)


def test_balance() -> None:
    made = [example(at, at % 4 > 0) for at in range(80)]
    assert balanced(made, "none", 0) == (made, 1.0)
    assert balanced(made, "weight", 0) == (made, pytest.approx(1 / 3))
    fewer, weight = balanced(made, "downsample", 0)
    assert (Counter(one.correct for one in fewer), weight) == ({True: 20, False: 20}, 1.0)
    with pytest.raises(InvalidInput, match="balance: 'more' is not known"):
        balanced(made, "more", 0)


def test_what_the_grm_was_trained_on_stays_out(tmp_path: Path) -> None:
    store, tokenizer = made_up_store(tmp_path / "store"), byte_tokenizer(lines=())
    made, left = examples(str(store), tokenizer, max_tokens=2000, exclude=set())
    assert (len(made), left) == (160, {})
    (tmp_path / "seen.txt").write_text("\n".join(sorted({one.item for one in made})[:10]))
    seen = excluded_items([str(tmp_path / "seen.txt")])
    fewer, left = examples(str(store), tokenizer, max_tokens=2000, exclude=seen)
    assert (len(fewer), left) == (120, {"item of the GRM's training": 40})
    assert excluded_items([str(store)]) == {one.item for one in made}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"query": "Question 0?", "responses": ["bad 0", "good 0"]}) + "\n")
    assert excluded_items([str(rows)]) < {one.item for one in made}
    _, left = examples(str(store), tokenizer, max_tokens=10, exclude=set())
    assert left == {"too long": 160}


def smoke(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> None:
    smoke_with(module_of(RECIPE / "train.py", monkeypatch), folder, *more)


def smoke_with(recipe: Any, folder: Path, *more: str) -> None:
    words = ["--config", str(RECIPE / "smoke.yaml"), "--output_dir", str(folder), *more]
    recipe.main(*parse(recipe.RecipeArguments, TrainingArguments, argv=words))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("rank", ["0", "4"], ids=["full", "lora"])
def test_two_steps_and_on_from_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], rank: str
) -> None:
    folder = tmp_path / "meta"
    smoke(monkeypatch, folder, "--lora_r", rank)
    state = json.loads((folder / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["global_step"] == 2
    about = json.loads((folder / (ADAPTER_FILE if rank == "4" else "config.json")).read_text())
    about = about if rank == "4" else about["grm_meta"]
    report = about["report"]
    assert set(report) >= {"auc", "accuracy", "ece", "ece_raw", "share_correct", "auc_within_items"}
    assert report["auc"]["low"] <= report["auc"]["value"] <= report["auc"]["high"]
    assert about["temperature"] > 0
    smoke(monkeypatch, folder, "--lora_r", rank, "--max_steps", "3")
    steps = [
        entry["step"]
        for entry in json.loads((folder / "checkpoint-3" / "trainer_state.json").read_text())["log_history"]
    ]
    assert steps[:3] == [1, 2, 3]
    if rank == "0":
        meta = MetaRM.from_pretrained(folder)
        assert meta.temperature > 0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_prompt_read_once_for_its_judgements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "meta"
    packed = ["--pack_tokens", "1024", "--per_device_train_batch_size", "1", "--pairwise", "1"]
    smoke(monkeypatch, folder, "--lora_r", "4", "--lora_last", "1", *packed)
    about = json.loads((folder / ADAPTER_FILE).read_text())
    assert about["report"]["auc"]
    export: Any = module_of(RECIPE.parent / "rft" / "export.py", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["export.py", "--adapter", str(folder), "--out", str(tmp_path / "shipped")])
    export.main()
    shipped = {path.name for path in (tmp_path / "shipped").iterdir()}
    assert shipped == {"adapter_config.json", "adapter_model.safetensors", ADAPTER_FILE}
    assert json.loads((tmp_path / "shipped" / ADAPTER_FILE).read_text()) == about | {"base": "SmolLM2-135M-GRM"}
    with pytest.raises(InvalidInput, match="pack_tokens: a sequence is a batch"):
        smoke(monkeypatch, folder, *packed[:2], "--per_device_train_batch_size", "2")
    with pytest.raises(InvalidInput, match=r"pairwise: 1.0 is not usable; give a weight from 0, and pack_tokens"):
        smoke(monkeypatch, folder, *packed[2:])
    with pytest.raises(InvalidInput, match=r"pairwise: -1.0 is not usable"):
        smoke(monkeypatch, folder, *packed[:-1], "-1")
    with pytest.raises(InvalidInput, match=r"base: .* is an adapter; name its base"):
        smoke(monkeypatch, tmp_path / "other", "--base", str(folder))


def test_a_head_to_start_from_needs_some_items_only(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe: Any = module_of(RECIPE / "train.py", monkeypatch)
    part = [example(at, True) for at in (*range(39, -1, -2), *range(0, 40, 2))]  # four an item, not side by side
    assert recipe.for_head(part, None) == part
    for most, items in ((1, 1), (4, 1), (5, 2), (39, 10), (100, 10)):
        some = recipe.for_head(part, most)
        assert Counter(one.item for one in some) == {f"item {at}": 4 for at in range(items)}


def test_what_the_recipe_hands_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe: Any = module_of(RECIPE / "train.py", monkeypatch)
    config = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", per_device_train_batch_size=1)
    args = recipe.RecipeArguments(pack_tokens=16, pairwise=0.5)
    part = [Example(str(at), f"item {at % 3}", "query", [10 + at % 3, 20 + at % 2, at], at > 5) for at in range(1, 13)]
    trainer = recipe.trainer_of(tiny_classifier()[0], args, config, part)
    assert trainer.pairwise == 0.5
    assert sum(len(set(row["items"])) for row in trainer.train_dataset) == 3, "an item in one row"
    asked: list[Any] = []
    monkeypatch.setattr(recipe, "HEAD_START", 3)
    monkeypatch.setattr(recipe, "fit_head", lambda model, tokenizer, parts, size: asked.append(parts["train"]))
    smoke_with(recipe, tmp_path / "some", "--head_first", "true", "--max_steps", "1")
    smoke_with(recipe, tmp_path / "all", "--head_first", "true", "--max_steps", "0")
    assert len({one.item for one in asked[0]}) == 1 < len({one.item for one in asked[1]})


def test_only_the_head(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "meta"
    smoke(monkeypatch, folder, "--lora_r", "0", "--head_first", "true", "--max_steps", "0")
    fitted, made = MetaRM.from_pretrained(folder), tiny_classifier()[0]
    assert not torch.equal(fitted.head.weight, made.score.weight)
    before = dict(made.model.named_parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in fitted.backbone.named_parameters())
    assert not (folder / "checkpoint-1").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--base", "nowhere"], "base: 'nowhere' cannot be loaded"),
        (["--lora_last", "3"], "lora_last: 3 is not usable; 'toy' has 2 layers"),
    ],
)
def test_a_backbone_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        smoke(monkeypatch, tmp_path / "meta", *words)
