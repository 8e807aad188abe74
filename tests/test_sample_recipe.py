"""The recipe of rejective sampling, from rows to a dataset that a trainer takes; offline, on small judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from conftest import ROOT
from datasets import load_dataset
from recipe_scripts import module_of
from servers import ChatServer
from tiny_judge import save_tiny, tiny_judge

from modeling_grm.recipes import parse
from modeling_grm.trajectories import canonical, read
from modeling_grm.types_grm import InvalidInput, Prompt, Request

FOLDER = ROOT / "recipes" / "sample"
SMOKE = FOLDER / "smoke.yaml"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, run from the repository's root."""
    monkeypatch.chdir(ROOT)
    return module_of(FOLDER / "sample.py", monkeypatch)


@pytest.fixture
def smoke(recipe: ModuleType, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs smoke.yaml with some keys changed; its report."""

    def run(out: str = "out", **changes: Any) -> dict[str, Any]:
        keys = yaml.safe_load(SMOKE.read_text(encoding="utf-8"))
        args = recipe.SampleArguments(**keys | {"out": str(tmp_path / out)} | changes)
        said: dict[str, Any] = recipe.run(args)
        return said

    return run


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return list(load_dataset(str(folder / "dataset"), split="train", streaming=True))


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


PAIRS = [
    {"id": f"p-{at}", "prompt": f"Is {at} even?", "chosen": "yes", "rejected": "no", "source": "s", "licence": "MIT"}
    for at in range(6)
]
SINGLES = [
    {"id": f"s-{at}", "prompt": f"{at}+1?", "completion": str(at + 1), "label": float(at % 3), "licence": "MIT"}
    for at in range(6)
]


def test_the_smoke_run_from_the_command_line(
    recipe: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(SMOKE), "--out", str(tmp_path), "--n_rft", "2"]
    recipe.main(*parse(recipe.SampleArguments, argv=words))
    said = json.loads(capsys.readouterr().out)
    rows = rows_of(tmp_path)
    assert said["sampled"]["made up"]["free"]["samples"] == 16
    assert said["kept"] == len(rows) > 0
    assert {row["hinted"] for row in rows} == {False, True}
    for row in rows:
        assert [turn["role"] for turn in row["completion"]] == ["assistant"]
        assert "best response is" not in row["prompt"][-1]["content"]
        assert max(row["scores"]) == row["scores"][row["best"]]
        assert row["scores"].count(max(row["scores"])) == 1


def test_the_card_and_the_report_say_the_same(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    said = smoke()
    assert said == json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    front, body = (tmp_path / "out" / "dataset" / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)
    card = yaml.safe_load(front.removeprefix("---"))
    assert card["license"] == "apache-2.0"
    found = said["sampled"]["made up"]["free"]
    counts = (found[name] for name in ("samples", "kept", "incorrect", "too easy", "not made"))
    assert f"| made up | free | {' | '.join(map(str, counts))} |" in body
    columns = {name for line in body.splitlines() if line.startswith("| ") for name in line.split("|")[1].split(", ")}
    assert set(rows_of(tmp_path / "out")[0]) <= {name.strip() for name in columns}


def test_hinted_samples_are_in_a_store_of_their_own(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    smoke()
    stores = {name: list(canonical(tmp_path / "out" / "store" / name)) for name in ("free", "hinted")}
    assert {(row["item"], row["sample"]) for row in stores["free"]} >= {
        (row["item"], row["sample"]) for row in stores["hinted"]
    }
    assert [len(stores[name]) for name in stores] == [24, 8]
    assert not {row["key"] for row in stores["free"]} & {row["key"] for row in stores["hinted"]}


def test_a_teacher_is_asked_in_its_own_words(
    recipe: ModuleType, smoke: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def teacher(prompt: Prompt) -> str:
        asked.append(prompt.messages[-1]["content"])
        return str(canned(prompt))

    canned = recipe.canned
    monkeypatch.setattr(recipe, "canned", teacher)
    smoke(teacher_prompt="For example: 9, 3.\n{conversation}\n{responses}")
    rows = rows_of(tmp_path / "out")
    assert all(text.startswith("For example") for text in asked)
    assert not any("For example" in row["prompt"][-1]["content"] for row in rows)
    assert {row["hinted"] for row in rows} == {False, True}
    made_to = recipe.SampleArguments(constrain="scores").settings("compact", 2)
    assert made_to["constrain"] == "scores"
    assert recipe.SampleArguments().settings("compact", 2)["constrain"] == "none"


def test_a_run_that_was_stopped_goes_on(
    recipe: ModuleType, smoke: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke("whole")
    judged, asked = recipe.canned, list[int]()

    def stopping(prompt: Prompt) -> str:
        asked.append(prompt.seed)
        if len(asked) in (11, 29):
            raise KeyboardInterrupt
        return str(judged(prompt))

    monkeypatch.setattr(recipe, "canned", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            smoke("parts")
    smoke("parts")
    assert len(asked) == 24 + 8 + 2  # each sample once, and the two that were stopped
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    for name in ("free", "hinted"):
        one, other = (list(canonical(tmp_path / out / "store" / name)) for out in ("parts", "whole"))
        assert one == other


def test_an_engine_that_fails_is_no_verdict(
    recipe: ModuleType, smoke: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = recipe.canned
    monkeypatch.setattr(recipe, "canned", lambda p: RuntimeError("lost") if p.seed % 2 else judged(p))
    said = smoke()["sampled"]["made up"]["free"]
    assert said["not made"] > 0
    monkeypatch.setattr(recipe, "canned", judged)
    assert smoke()["sampled"]["made up"]["free"]["not made"] == 0
    smoke("whole")
    assert rows_of(tmp_path / "out") == rows_of(tmp_path / "whole")


def test_more_samples_add_to_those_that_are_there(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    smoke(n_rft=2)
    before = {row["key"] for row in canonical(tmp_path / "out" / "store" / "free")}
    smoke(n_rft=4)
    after = {row["key"] for row in canonical(tmp_path / "out" / "store" / "free")}
    assert before < after
    assert len(after) == 32


def test_single_responses_have_their_own_template(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rows = [written(tmp_path / "pairs.jsonl", PAIRS), written(tmp_path / "singles.jsonl", SINGLES)]
    said = smoke(rows=rows, n_rft=8)
    dropped = {(found["source"], found["reason"]): found["rows"] for found in said["rows"]["dropped"]}
    assert dropped == {("singles", "the label is no score of the template"): 2}
    assert said["sampled"]["singles"]["hinted"]["samples"] == 0
    assert said["sampled"]["singles"]["free"]["samples"] == 32
    templates = {row["template"] for batch in read(tmp_path / "out" / "store" / "single") for row in batch.to_pylist()}
    assert templates == {"deepseek-grm-single"}
    for row in rows_of(tmp_path / "out"):
        assert (row["n"] == 1) == (row["label"] is not None) == ("0 or 1" in row["prompt"][-1]["content"])
        assert row["n"] > 1 or row["scores"] == [row["label"]]


def test_what_is_filtered_out_is_said(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    bench = written(tmp_path / "bench.jsonl", [{"query": "IS 3 even", "responses": ["a"]}])
    rows = [written(tmp_path / "pairs.jsonl", [*PAIRS, PAIRS[0] | {"chosen": "no", "rejected": "yes", "id": "p-9"}])]
    said = smoke(rows=rows, benchmarks=[bench])
    assert said["decontamination"]["removed"] == 1
    assert said["decontamination"]["benchmarks"][bench]["examples"][0]["id"] == "p-3"
    assert said["rows"]["dropped"][0]["reason"] == "the same item again"
    assert said["sampled"]["s"]["items"] == 5
    harder = smoke("harder", rows=rows, reference_store=str(tmp_path / "out" / "store" / "free"), reference_samples=1)
    assert harder["solved_by_the_reference"] > 0
    assert harder["sampled"]["s"]["items"] == 6 - harder["solved_by_the_reference"]


TIE = [PAIRS[0] | {"rejected": "yes"}]


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ([], {"rows": []}, "rows: none given"),
        (PAIRS, {"n_rft": 0}, "n_rft: 0"),
        (PAIRS, {"template": "mystery"}, "'mystery' is unknown"),
        (PAIRS, {"format": "scored"}, "needs responses, scores; the rows have"),
        (PAIRS, {"benchmarks": ["nowhere.jsonl"]}, "nowhere.jsonl: there is no such file"),
        (PAIRS, {"reference_store": "nowhere"}, "no trajectory store"),
        (PAIRS, {"backend": "mystery"}, "backend: 'mystery' is unknown"),
        ([{**PAIRS[0], "licence": "cc-by-nc-4.0"}], {}, r"'cc-by-nc-4.0' \(1 rows of s\)"),
        (TIE, {}, "none left of 1 .*the best response is there twice"),
        ([{"good": "a"}], {}, "columns: .*'good'"),
    ],
)
def test_bad_input_is_named(
    smoke: Callable[..., dict[str, Any]], tmp_path: Path, rows: list[Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        smoke(**{"rows": [written(tmp_path / "rows.jsonl", rows)]} | changes)


def test_nothing_kept_is_an_error_with_the_counts(
    recipe: ModuleType, smoke: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "canned", lambda prompt: "no scores")
    with pytest.raises(InvalidInput, match=r'none was kept.*"incorrect": 24'):
        smoke()
    assert (tmp_path / "out" / "report.json").is_file()
    assert not (tmp_path / "out" / "dataset").exists()


def test_other_settings_need_another_folder(smoke: Callable[..., dict[str, Any]]) -> None:
    smoke()
    with pytest.raises(InvalidInput, match=r"temperature: 0.5 in the store, 0.9 now"):
        smoke(temperature=0.9)


def test_a_checkpoint_samples(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The transformers engine; what is too long for it is counted."""
    model = str(save_tiny(tmp_path / "judge"))
    rows = written(tmp_path / "rows.jsonl", [*PAIRS, PAIRS[0] | {"id": "long", "prompt": "x" * 9000}])
    said = smoke(rows=[rows], backend="transformers", model=model, dtype="float32", n_rft=4)
    assert said["judge"]["model"] == "judge"
    assert said["sampled"]["s"]["free"]["samples"] == 24
    assert said["sampled"]["s"]["hinted"]["samples"] == 6
    assert [found["reason"] for found in said["rows"]["dropped"]] == ["does not fit the judge"]
    assert said["kept"] == len(rows_of(tmp_path / "out")) > 0


@pytest.mark.slow
def test_the_rows_are_what_trls_trainer_takes(smoke: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    smoke()
    model, tokenizer = tiny_judge()
    config = SFTConfig(
        str(tmp_path / "trained"), max_steps=2, per_device_train_batch_size=2, max_length=None, report_to="none",
        use_cpu=True, bf16=False, completion_only_loss=True, save_strategy="no",
    )  # fmt: skip
    dataset = load_dataset(str(tmp_path / "out" / "dataset"), split="train", cache_dir=str(tmp_path / "cache"))
    trainer = SFTTrainer(model, config, train_dataset=dataset, processing_class=tokenizer)
    assert trainer.train().global_step == 2


def test_a_server_samples(
    smoke: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The openai engine; hinted prompts go out with the hint."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    rows = written(tmp_path / "rows.jsonl", PAIRS[:2])
    with ChatServer() as server:
        said = smoke(rows=[rows], backend="openai", base_url=server.url, model="m")
        texts = [json.dumps(asked.json) for asked in server.asked]
    assert said["sampled"]["s"]["free"]["samples"] == 6
    assert sum("The best response is: Response " in text for text in texts) == 2


def test_a_single_response_takes_no_hint(recipe: ModuleType, tmp_path: Path) -> None:
    item = recipe.Preference(Request("q", ["a"]), None, (1.0,), "s", "mit", "a")
    pipe = recipe.judge(recipe.SampleArguments(backend="fake"))
    with pytest.raises(InvalidInput, match="no best one to name"):
        list(recipe.sampled(pipe, [item], tmp_path, "fake", {"k": 1, "template": "compact"}, hint=True))
