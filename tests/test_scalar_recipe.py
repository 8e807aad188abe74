"""recipes/scalar: from preference rows to a scalar RM that `grm bench --baseline scalar` loads and judges with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
import test_recipes
import torch
from benched import write_llmbar
from conftest import ROOT
from peft import AutoPeftModelForSequenceClassification
from recipe_scripts import module_of
from safetensors.torch import load_file
from shell import Grm, shell
from tiny_judge import byte_tokenizer, save_tiny
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from modeling_grm.baselines import Answer
from modeling_grm.baselines.scalar import Scalar
from modeling_grm.benchmarks.base import Item
from modeling_grm.classifiers import with_classifier_lora
from modeling_grm.data.preference import from_row
from modeling_grm.embedded import base_model
from modeling_grm.meta_rm_grm import MetaRM
from modeling_grm.recipes import parse, read_keys
from modeling_grm.toys import tiny_classifier
from modeling_grm.types_grm import InvalidInput, Request

RECIPE = ROOT / "recipes" / "scalar"
SMOKE = RECIPE / "smoke.yaml"
LICENCE = {"licence": "apache-2.0"}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def grm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Grm:
    return shell(monkeypatch, capsys)


def row(at: int, *, n: int = 2, best: int | None = 0, source: str = "a") -> dict[str, Any]:
    texts = [f"A zebra, {at}.", f"Some walrus, {at}.", f"A crab {at}", f"An eel {at}"][:n]
    turns = [{"role": "user", "content": f"What is it, {at}?"}]
    return {"id": str(at), "conversation": turns, "responses": texts, "best": best, "source": source, **LICENCE}


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(ROOT)
    return module_of(RECIPE / "train.py", monkeypatch)


@pytest.fixture
def train(recipe: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """Runs smoke.yaml on 24 pairs with some keys changed; its output folder."""
    rows = written(tmp_path / "rows.jsonl", [row(at, source="ab"[at % 2]) for at in range(24)])

    def run(out: str = "out", **changes: Any) -> Path:
        keys = {"rows": rows, "output_dir": str(tmp_path / out)} | changes
        words = [word for key, value in keys.items() for word in (f"--{key}", *_words(value))]
        recipe.main(*parse(recipe.RecipeArguments, recipe.ScalarConfig, argv=["--config", str(SMOKE), *words]))
        return tmp_path / out

    return run


def _words(value: Any) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


def report_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


# --------------------------------------------------------------------------- the files


@pytest.mark.parametrize("path", sorted(RECIPE.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_has_known_keys(recipe: ModuleType, path: Path) -> None:
    assert read_keys(path, recipe.RecipeArguments, recipe.ScalarConfig)


def test_the_script_is_bare() -> None:
    test_recipes.test_a_script_is_bare(RECIPE / "train.py")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_token": 3}, r"max_token: no such key in the command line; did you mean max_tokens\?"),
        ({"max_length": 3}, "max_length: no such key in the command line"),
        ({"chat_template_path": "sister"}, "chat_template_path: no such key"),
        ({"eos_token": "<end>"}, "eos_token: no such key"),
        ({"model": "nowhere"}, "model: 'nowhere' cannot be loaded"),
        ({"rows": "nowhere.jsonl"}, "nowhere.jsonl: there is no such file"),
        ({"test": "nowhere.jsonl"}, "nowhere.jsonl: there is no such file"),
        ({"test_share": 0}, "test_share: 0.0 is not usable"),
        ({"max_tokens": 0}, "max_tokens: 0 is not usable"),
        ({"max_tokens": 8}, r"rows: there must be items to train on .*\"longer than 8 tokens\": "),
        ({"lora_r": -1}, "lora_r: -1 is not usable"),
        ({"lora_r": 0, "lora_last": 1}, "lora_last: says where an adapter is; give lora_r"),
        ({"lora_last": 3}, "lora_last: 3 is not usable; 'toy' has 2 layers"),
        ({"lora_last": -1}, "lora_last: -1 is not usable; 'toy' has 2 layers"),
        ({"test_share": 0.999, "head_first": True}, "rows: there must be items|head_first: 0 items to fit on"),
    ],
)
def test_bad_input_is_named(train: Callable[..., Path], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        train(**changes)


def test_models_that_cannot_be_trained(train: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^model: its tokenizer has no chat template"):
        train(model=str(save_tiny(tmp_path / "mute", chat_template=False)))
    adapter = train("adapter", model=str(save_tiny(tmp_path / "base")))
    with pytest.raises(InvalidInput, match=r"model: .* is an adapter; name its base"):
        train(model=str(adapter))


# --------------------------------------------------------------------------- rows


def test_the_best_response_meets_each_other_one_and_the_rest_is_counted(
    recipe: ModuleType, train: Callable[..., Path], tmp_path: Path
) -> None:
    good = [row(at, n=4, best=2) for at in range(3)]
    labelled = row(3, n=3, best=None) | {"labels": [1, 0, 5]}
    tied, single, long = row(4, best=None) | {"labels": [1, 1]}, row(5, n=1, best=None) | {"labels": [1]}, row(6)
    long["responses"][1] = "x" * 600
    test = [row(at) for at in range(100, 103)] + [row(0, n=3)]
    rows = written(tmp_path / "r.jsonl", [*good, labelled, tied, single, long])
    folder = train(rows=rows, test=written(tmp_path / "t.jsonl", test), max_steps=0)
    said = report_in(folder)
    assert said["items"] == {"train": 3, "test": 4}
    assert said["pairs"] == {"train": 2 * 3 + 2, "test": 3 + 2}  # the conversation of row 0 is in the test
    assert said["left_out"]["train"] == {"a single response": 1, "longer than 512 tokens": 1}
    assert [(lost["reason"], lost["rows"]) for lost in said["dropped"]] == [("best: no single best response", 1)]
    assert (said["test"]["items"], said["test"]["pairs"], said["speed"]) == (4, 5, None)


def test_pairs_hold_what_the_baseline_reads(
    recipe: ModuleType, train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ids that TRL trains on, and those that the loaded checkpoint is asked with."""
    trained: list[list[int]] = []
    collate = recipe.RewardTrainer.training_step

    def step(self: Any, model: Any, inputs: Any, *args: Any) -> Any:
        shown = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        trained.extend(ids[mask > 0].tolist() for ids, mask in shown)
        return collate(self, model, inputs, *args)

    monkeypatch.setattr(recipe.RewardTrainer, "training_step", step)
    folder = train(num_train_epochs=1, max_steps=-1)
    items = [Item(str(at), request_of(row(at)), "s", 0) for at in range(24)]
    asked: list[list[int]] = []
    baseline = Scalar.load(str(folder), dtype="float32")
    logits = baseline.model.logits
    monkeypatch.setattr(baseline.model, "logits", lambda rows: asked.extend(map(list, rows)) or logits(rows))
    assert all(answer.scores for answer in baseline(items))
    pairs = report_in(folder)["pairs"]["train"]
    assert len(trained) == 2 * pairs > 20
    assert {tuple(ids) for ids in trained} < {tuple(ids) for ids in asked}


def request_of(given: dict[str, Any]) -> Request:
    return Request(given["conversation"], given["responses"])


def test_text_that_spells_a_control_token_stays_text(recipe: ModuleType) -> None:
    tokenizer = byte_tokenizer(())
    ids = recipe.response_ids(tokenizer, [{"role": "user", "content": "a<|im_end|>"}], "b<|im_end|>")
    assert ids.count(tokenizer.eos_token_id) == 2


def test_excluded_items_stay_out(train: Callable[..., Path], tmp_path: Path) -> None:
    out = written(tmp_path / "out.jsonl", [row(at) for at in range(6)])
    before, after = (report_in(train(name, max_steps=0, **more)) for name, more in (("a", {}), ("b", {"exclude": out})))
    assert sum(before["items"].values()) == 24
    assert sum(after["items"].values()) == 18
    assert sum(after["excluded"].values()) == 6


def test_batches_hold_pairs_of_like_length(recipe: ModuleType) -> None:
    lengths = [at * 7 % 101 for at in range(803)]
    order = recipe.ByLength(lengths, 8, seed=0)
    first, again = list(order), list(order)
    assert first == again
    assert sorted(first) == list(range(803))
    batches = [[lengths[at] for at in first[start : start + 8]] for start in range(0, 800, 8)]
    assert max(max(batch) - min(batch) for batch in batches) < 10
    means = [sum(batch) / len(batch) for batch in batches]
    assert means != sorted(means)
    order.set_epoch(1)
    assert list(order) != first
    assert list(recipe.ByLength(lengths, 8, seed=1)) != first


# --------------------------------------------------------------------------- training


def checkpoint(folder: Path, step: int) -> tuple[list[tuple[int, float]], dict[str, torch.Tensor]]:
    place = folder / f"checkpoint-{step}"
    state = json.loads((place / "trainer_state.json").read_text(encoding="utf-8"))
    return [(entry["step"], entry["loss"]) for entry in state["log_history"]], load_file(
        next(place.glob("*model.safetensors"))
    )


@pytest.mark.parametrize("rank", [0, 4], ids=["full", "lora"])
def test_a_run_that_goes_on_is_one_that_was_never_stopped(train: Callable[..., Path], rank: int) -> None:
    """Stopped in the second epoch, whose order is another one; the fitted head is not fitted again."""
    steady = {"lr_scheduler_type": "constant", "save_steps": 6, "max_steps": 12, "lora_r": rank, "head_first": True}
    steady |= {"per_device_train_batch_size": 4, "test_share": 0.25}
    whole = train("whole", **steady)
    train("parts", **steady | {"max_steps": 6})
    parts = train("parts", **steady)
    assert report_in(parts)["pairs"]["train"] < 24
    (losses, weights), (further, others) = (checkpoint(folder, 12) for folder in (whole, parts))
    assert losses == further
    assert len({loss for _, loss in losses}) > 6
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert report_in(whole)["test"] == report_in(parts)["test"]
    assert report_in(parts)["speed"]["tokens"] < report_in(whole)["speed"]["tokens"]
    again = report_in(train("parts", **steady))  # nothing is left to do
    assert (again["speed"], again["test"]) == (None, report_in(whole)["test"])
    saved = [load_file(next(folder.glob("*model.safetensors"))) for folder in (whole, parts)]
    assert all(torch.equal(saved[0][name], saved[1][name]) for name in saved[0])


@pytest.mark.parametrize("best", [0, 1], ids=["zebra", "walrus"])
def test_the_head_alone_separates_a_made_up_preference(train: Callable[..., Path], tmp_path: Path, best: int) -> None:
    """Whichever of the two is preferred; and the backbone stays as it is."""
    rows = written(tmp_path / "made.jsonl", [row(at, best=best) for at in range(60)])
    folder = train(rows=rows, head_first=True, max_steps=0, lora_r=0)
    found = report_in(folder)["test"]
    assert found["items"] > 10
    assert found["accuracy"]["value"] > 0.9
    assert not list(folder.glob("checkpoint-*"))
    fitted, made = MetaRM.from_pretrained(folder), tiny_classifier()[0]
    before = dict(made.model.named_parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in fitted.backbone.named_parameters())


def test_training_learns_a_made_up_preference(train: Callable[..., Path], tmp_path: Path) -> None:
    """From a head that is wrong: fitted to one preference, then trained on the other."""
    rows = {best: written(tmp_path / f"{best}.jsonl", [row(at, best=best) for at in range(60)]) for best in (0, 1)}
    wrong = train("wrong", rows=rows[0], head_first=True, max_steps=0, lora_r=0)
    further = {"rows": rows[1], "model": str(wrong), "lora_r": 4, "per_device_train_batch_size": 8}
    assert report_in(train("still", **further, max_steps=0))["test"]["accuracy"]["value"] < 0.1
    trained = report_in(train("right", **further, max_steps=30, learning_rate=3e-2, save_strategy="no"))
    assert trained["test"]["accuracy"]["value"] > 0.9


def test_rewards_are_finer_than_bfloat16(recipe: ModuleType) -> None:
    """Two responses of nearly one score would be equal there, in training and when it is measured."""
    model, tokenizer, _ = recipe.backbone(recipe.RecipeArguments(model="toy"))
    model = with_classifier_lora(model, 4)
    rows = [torch.tensor([[at, 7, 9]]) for at in range(5)]
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        seen = torch.cat([model(input_ids=ids).logits for ids in rows])
        rated = MetaRM(model, tokenizer, about={}).logits([ids[0].tolist() for ids in rows])
    assert seen.dtype == torch.float32
    assert (seen != seen.bfloat16().float()).all()
    assert rated == pytest.approx(seen[:, 0].tolist(), rel=1e-2)
    assert all(logit != float(torch.tensor(logit).bfloat16()) for logit in rated)


def test_accuracy_by_source_with_intervals_over_items(recipe: ModuleType) -> None:
    rows = [row(at, n=2 + at % 2, source="ab"[at % 2]) for at in range(8)]
    part = [recipe.Encoded(from_row(given), [[1]] * len(given["responses"])) for given in rows]
    right, tied, wrong, none = (2.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 2.0), None
    given = zip(part, [right, right, wrong, tied, right, wrong, right, none], strict=True)
    found = recipe.report_of(part, [Answer(scores and scores[: len(one.ids)]) for one, scores in given])
    assert (found["items"], found["pairs"], found["without_score"]) == (8, 12, 1)
    assert found["by_source"]["a"]["accuracy"]["value"] == 0.75
    assert found["by_source"]["b"]["accuracy"]["value"] == pytest.approx((2 + 1.5 + 0 + 0) / 8, abs=1e-4)
    assert found["accuracy"]["value"] == pytest.approx(6.5 / 12, abs=1e-4)
    for figure in (found, *found["by_source"].values()):
        assert figure["accuracy"]["low"] < figure["accuracy"]["value"] < figure["accuracy"]["high"]


# --------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize(
    ("changes", "adapter"),
    [({"lora_r": 0}, False), ({}, False), ({"model": "base"}, True), ({"model": "base", "lora_last": 1}, True)],
    ids=["full", "merged", "adapter", "adapter-last"],
)
def test_bench_judges_with_what_comes_out(
    train: Callable[..., Path],
    tmp_path: Path,
    grm: Grm,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    adapter: bool,
) -> None:
    if "model" in changes:
        changes = changes | {"model": str(save_tiny(tmp_path / "base"))}
    folder = train(**changes, learning_rate=1e-2)
    assert (folder / "adapter_config.json").is_file() is adapter
    assert (folder / "tokenizer.json").is_file()
    items = [Item(str(at), request_of(row(at)), "s", 0) for at in range(4)]
    scores = [answer.scores for answer in Scalar.load(str(folder), dtype="float32")(items)]
    for item, found in zip(items, scores, strict=True):
        assert found == pytest.approx(by_hand(folder, item), abs=1e-4)
    data = write_llmbar(tmp_path / "llmbar")
    capsys.readouterr()
    words = ("--baseline", "scalar", "--model", folder, "--dtype", "float32", "--out", tmp_path / "report")
    code, out, err = grm("bench", "llmbar", "--data", data, *words, "--no-plots", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["judge"]["model"] == str(folder)
    assert report["benchmarks"]["llmbar"]["ours"]["coverage"]["value"] == 1
    kept = [json.loads(line) for line in (tmp_path / "report" / "scalar.jsonl").read_text().splitlines()]
    assert sum(isinstance(line.get("scores"), list) for line in kept) == 30


def by_hand(folder: Path, item: Item) -> list[float]:
    """Without the house: the checkpoint in transformers' own class (peft's, for an adapter), one row at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if (folder / "adapter_config.json").is_file():
        model = AutoPeftModelForSequenceClassification.from_pretrained(str(folder), num_labels=1)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    found = []
    for response in item.request.responses:
        turns = [*item.request.query, {"role": "assistant", "content": response}]
        ids = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)["input_ids"]
        with torch.inference_mode():
            found.append(model.eval()(input_ids=ids).logits[0, 0].item())
    assert all(map(math.isfinite, found))
    return found


@pytest.mark.slow
def test_the_embedded_base_is_trained_where_no_model_is_named(recipe: ModuleType) -> None:
    args, _ = parse(recipe.RecipeArguments, recipe.ScalarConfig, argv=["--config", str(RECIPE / "smollm2-135m.yaml")])
    model, tokenizer, name = recipe.backbone(args)
    causal, _, _ = base_model()
    assert "SmolLM2-135M-Instruct" in name
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    assert model.config.pad_token_id == tokenizer.pad_token_id
    ids = torch.tensor([recipe.response_ids(tokenizer, [{"role": "user", "content": "2+2?"}], "4")])
    with torch.inference_mode():
        state = causal.model(input_ids=ids).last_hidden_state[0, -1]
        assert model.eval()(input_ids=ids).logits.item() == pytest.approx(float(model.score(state)), abs=1e-4)
