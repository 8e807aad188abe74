"""What goes to the Hub: exactly the files that belong there, refused by name where it must not, in one commit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import publishable
import pytest
import yaml
from hub import LocalHub
from hub.accounts import TOKENS
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from typer.testing import CliRunner

from modeling_grm import cli
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.portable import PIPELINE, portable_files
from modeling_grm.publishing import checks, models, suite
from modeling_grm.publishing.checks import check
from modeling_grm.publishing.code import code_repo
from modeling_grm.publishing.measured import measured
from modeling_grm.publishing.models import Options, model_repo
from modeling_grm.publishing.repository import Repo, author_says, checked_id, new_folder
from modeling_grm.publishing.rows import dataset_repo
from modeling_grm.publishing.spaces import space_repo
from modeling_grm.publishing.uploading import client, permitted, upload
from modeling_grm.types_grm import InvalidInput

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
ROOT = Path(__file__).resolve().parent.parent
STAGES = ROOT / "recipes" / "eval" / "report.json"
TOKENIZER = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
WEIGHTS = {"config.json", "generation_config.json", "model.safetensors"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return new_folder(tmp_path / "out")


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    return publishable.judge(tmp_path / "judge")


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


# --- models


def test_a_judge_goes_up_with_its_code_and_without_a_trainers_leavings(judge: Path, out: Path) -> None:
    repo = model_repo(judge, "org/judge", out)
    assert set(repo.files()) == {*WEIGHTS, *TOKENIZER, *portable_files(), "README.md"}
    config = config_of(out)
    assert config["custom_pipelines"] == {"reward-scoring": PIPELINE}
    assert GRMConfig.from_dict(config["grm"]) == GRMConfig(**publishable.GRM, base="org/base")
    assert (out / "model.safetensors").read_bytes() == (judge / "model.safetensors").read_bytes()
    for name, text in portable_files().items():
        assert (out / name).read_text(encoding="utf-8") == text
    assert "custom_pipelines" not in config_of(judge)


def test_large_files_are_linked_where_the_folder_does_not_last(judge: Path, out: Path) -> None:
    model_repo(judge, "org/judge", out, Options(link=True))
    assert (out / "model.safetensors").is_symlink()
    assert not (out / "config.json").is_symlink()
    assert "custom_pipelines" not in config_of(judge)


def test_a_checkpoint_that_lost_its_code_gets_it_again(judge: Path, out: Path) -> None:
    """Trainers, and pipelines saved again, keep the configuration and drop the files."""
    config = config_of(judge) | {"custom_pipelines": {"reward-scoring": PIPELINE}, "auto_map": {"AutoConfig": "x.Y"}}
    (judge / "config.json").write_text(json.dumps(config))
    model_repo(judge, "org/judge", out)
    assert set(portable_files()) <= {path.name for path in out.iterdir()}
    assert "auto_map" not in config_of(out)


def test_code_elsewhere_is_named_and_not_copied(judge: Path, out: Path) -> None:
    repo = model_repo(judge, "org/judge", out, Options(code="org/code"))
    assert not list(out.glob("*.py"))
    impl = config_of(out)["custom_pipelines"]["reward-scoring"]["impl"]
    assert impl == "org/code--pipeline_grm.RewardScoringPipeline"
    assert "[org/code]" in (out / "README.md").read_text(encoding="utf-8")
    assert checks._code_elsewhere(repo)


def test_an_adapter_is_merged_into_its_base(tmp_path: Path, out: Path) -> None:
    base = publishable.save_tiny(tmp_path / "base")
    adapter = publishable.adapter(tmp_path / "adapter", str(base))
    repo = model_repo(adapter, "org/judge", out)
    assert set(repo.files()) == {*WEIGHTS, *TOKENIZER, *portable_files(), "README.md"}
    settings = GRMConfig.from_dict(config_of(out)["grm"])
    assert (settings.k, settings.template, settings.base) == (3, "compact", "org/base")
    merged, plain = (AutoModelForCausalLM.from_pretrained(where).state_dict() for where in (out, base))
    assert merged.keys() == plain.keys()
    assert any((merged[name] != plain[name]).any() for name in plain)


def test_an_adapter_as_it_is_needs_a_base_that_others_have(tmp_path: Path, out: Path) -> None:
    base = publishable.save_tiny(tmp_path / "base")
    with pytest.raises(InvalidInput, match=r"adapter_only: its base is .*base, a folder that nobody else has"):
        model_repo(publishable.adapter(tmp_path / "one", str(base)), "org/judge", out, Options(adapter_only=True))
    adapter = publishable.adapter(tmp_path / "adapter", "org/base")
    repo = model_repo(adapter, "org/judge", out, Options(adapter_only=True))
    assert set(repo.files()) == {"adapter_config.json", "adapter_model.safetensors", "grm.json", "README.md"}
    assert repo.checked_as == "grm adapter"
    with pytest.raises(InvalidInput, match=r"adapter_only: .* is a whole checkpoint"):
        model_repo(publishable.judge(tmp_path / "whole"), "org/judge", out, Options(adapter_only=True))


def test_a_meta_rm_goes_up_whole(tmp_path: Path, out: Path) -> None:
    repo = model_repo(publishable.meta_rm(tmp_path / "meta"), "org/meta", out)
    assert set(repo.files()) == {"config.json", "model.safetensors", *TOKENIZER, "README.md"}
    assert config_of(out)["grm_meta"] == {"temperature": 2.0, "base": "org/base"}
    assert 'model="org/judge"' in (out / "README.md").read_text(encoding="utf-8")
    with pytest.raises(InvalidInput, match="code: a meta RM brings none"):
        model_repo(tmp_path / "meta", "org/meta", new_folder(tmp_path / "more"), Options(code="org/code"))


def test_a_meta_rms_adapter_is_merged_with_its_head(tmp_path: Path, out: Path) -> None:
    base = publishable.save_tiny(tmp_path / "base")
    adapter = publishable.meta_adapter(tmp_path / "adapter", str(base))
    repo = model_repo(adapter, "org/meta", out)
    assert repo.checked_as == "meta-rm"
    assert config_of(out)["grm_meta"] == {"temperature": 2.0}
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.score.out_features == 1
    assert model.config.pad_token_id is not None


def line_of(part: str, name: str) -> str:
    """A figure of the embedded judge's report as a card shows it."""
    found = json.loads(STAGES.read_text(encoding="utf-8"))["judge"][part][name]
    ends = f"{found['low']:.3f} - {found['high']:.3f}"
    return f"| judge: {part}: {name} | {found['value']:.3f} | {ends} | {found['items']} |"


def test_a_report_becomes_the_cards_table(judge: Path, out: Path) -> None:
    model_repo(judge, "org/judge", out, Options(report=STAGES))
    text = (out / "README.md").read_text(encoding="utf-8")
    assert line_of("contrast", "voting@8") in text
    assert line_of("defect: breaks instruction", "voting@1") in text
    assert "- k: 8\n" in text
    assert "- temperature: 0.5\n" in text


def bench_report(partial: bool) -> dict[str, Any]:
    """The part of a `grm bench` report that a card reads."""
    from modeling_grm.reports.figures import FORMAT

    part = {
        "hub_id": ["org/bench"],
        "partial": partial,
        "headline": {"name": "mean of subsets", "value": 0.75, "low": 0.7, "high": 0.8},
        "rows": {"items": 300, "official": 600},
        "ours": {"strict": {"value": 0.7, "low": 0.6, "high": 0.8}},
        "vote": {"k": 8, "rule": "sum"},
    }
    judge = {"kind": "grm", "model": "org/judge", "settings": {"template": "compact", "temperature": 0.5}}
    return {
        "format": FORMAT,
        "modeling_grm": "0.1.0",
        "judge": judge,
        "partial": partial,
        "benchmarks": {"llmbar": part},
    }


def test_a_benchmarks_report_becomes_entries_of_the_models_page(judge: Path, out: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps(bench_report(partial=False)))
    repo = model_repo(judge, "org/judge", out, Options(report=report))
    [entry] = yaml.safe_load((out / ".eval_results" / "llmbar.yaml").read_text(encoding="utf-8"))
    assert (entry["dataset"]["id"], entry["value"]) == ("org/bench", 0.75)
    assert ".eval_results/llmbar.yaml" in repo.files()
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "| llmbar: mean of subsets | 0.750 | 0.700 - 0.800 | 300 |" in text
    assert "| llmbar, strict accuracy | 0.700 | 0.600 - 0.800 | 300 |" in text
    report.write_text(json.dumps(bench_report(partial=True)))
    found, entries = measured(report)
    assert entries == {}
    assert found.figures[0].name == "llmbar (partial): mean of subsets"
    guided = bench_report(partial=False)
    guided["judge"]["meta_model"], guided["benchmarks"]["llmbar"]["vote"]["rule"] = "self@abc", "meta_topk"
    report.write_text(json.dumps(guided))
    assert (found.how["rule"], "meta_model" in found.how) == ("sum", False)
    how = measured(report)[0].how
    assert (how["rule"], how["meta_model"]) == ("meta_topk", "self@abc")


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("{", "cannot be read"), ("{}", "no figure")])
def test_an_unusable_report_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(InvalidInput, match=f"report: .*{said}"):
        measured(tmp_path / "report.json")


def spoil_pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_empty(folder: Path) -> None:
    for name in ("model.safetensors", "training_args.bin", "optimizer.pt"):
        (folder / name).unlink()


def spoil_both(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def spoil_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def spoil_settings(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(config_of(folder) | {"grm": {"tempreture": 1}}))


def spoil_meta(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(config_of(folder) | {"grm": {"meta_rm": str(folder)}}))


def spoil_code(folder: Path) -> None:
    changed = {"auto_map": {"AutoConfig": "x.Y"}, "model_type": "nobodys"}
    (folder / "config.json").write_text(json.dumps(config_of(folder) | changed))


def spoil_card(folder: Path) -> None:
    said = {name: value for name, value in publishable.MODEL.items() if name != "licence"}
    publishable.with_card(folder, said)


def spoil_no_card(folder: Path) -> None:
    (folder / "card.yaml").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_pickled, r"weights: .* pickled weights only \(.*pytorch_model\.bin.*convert them .*save_pretrained"),
        (spoil_empty, r"weights: .* has no \.safetensors file"),
        (spoil_both, "holds a checkpoint and an adapter"),
        (spoil_no_config, r"has no config\.json and no adapter_config\.json"),
        (spoil_settings, r"unknown \['tempreture'\]"),
        (spoil_meta, "meta_rm: .* is a folder that nobody else has"),
        (spoil_code, r"model_type 'nobodys' needs code of its own \(auto_map\)"),
        (spoil_card, "card: licence missing; say it in card.yaml"),
        (spoil_no_card, r"card: .*card\.yaml cannot be read; write title, summary"),
    ],
)
def test_what_cannot_be_published_is_refused(judge: Path, out: Path, spoil: Any, said: str) -> None:
    spoil(judge)
    with pytest.raises(InvalidInput, match=said):
        model_repo(judge, "org/judge", out)


def test_a_meta_rm_of_several_labels_is_refused(tmp_path: Path, out: Path) -> None:
    folder = publishable.meta_rm(tmp_path / "meta")
    labels = {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}
    (folder / "config.json").write_text(json.dumps(config_of(folder) | labels))
    with pytest.raises(InvalidInput, match="2 labels; a meta RM has one"):
        model_repo(folder, "org/meta", out)


def test_the_embedded_judge_has_a_card(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own weights are another test's; here a tiny judge stands in their place."""
    monkeypatch.setattr(models, "embedded_judge", lambda: publishable.save_tiny(tmp_path / "tiny", publishable.GRM))
    model_repo(Path("modeling_grm/embedded"), "org/smollm2-135m-grm", out)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "# SmolLM2-135M-GRM" in text
    assert line_of("all", "voting@8") in text
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in text


# --- datasets, Spaces, code


def test_a_store_goes_up_without_its_lock(tmp_path: Path, out: Path) -> None:
    from datasets import load_dataset

    folder = publishable.store(tmp_path / "store")
    repo = dataset_repo(folder, "org/rows", out)
    assert set(repo.files()) == {"README.md", "store.json", *(f"data/{p.name}" for p in (folder / "data").iterdir())}
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "8 sampled judgements of 2 items" in text
    assert "| made up | MIT | 8 |" in text
    assert load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache")).num_rows == 8


def test_a_store_whose_run_has_not_ended_is_refused(tmp_path: Path, out: Path) -> None:
    folder = publishable.store(tmp_path / "store")
    (folder / "journal-000009.jsonl").write_text("")
    with pytest.raises(InvalidInput, match="in a journal still"):
        dataset_repo(folder, "org/rows", out)


def test_a_dataset_with_a_card_of_its_own_keeps_it(tmp_path: Path, out: Path) -> None:
    """As the sampling recipe writes it; a store's own card counts, too."""
    from datasets import Dataset

    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Judgements\n")
    with pytest.raises(InvalidInput, match=r"a README\.md and no data/\*\.parquet"):
        dataset_repo(folder, "org/rows", out)
    rows = [{"prompt": "2+2?", "completion": "4", "source": "sums", "licence": "MIT"}]
    Dataset.from_list(rows).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    dataset_repo(folder, "org/rows", out)
    assert (out / "README.md").read_text() == (folder / "README.md").read_text()
    Dataset.from_list([{"prompt": "2+2?"}]).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(InvalidInput, match=r"'none stated' \(1 rows of none stated\)"):
        dataset_repo(folder, "org/rows", new_folder(tmp_path / "more"))
    store = publishable.store(tmp_path / "store")
    (store / "card.yaml").unlink()
    dataset_repo(store, "org/store", new_folder(tmp_path / "third"))
    assert (tmp_path / "third" / "store.json").is_file()


def test_preferences_become_parquet_a_split(tmp_path: Path, out: Path) -> None:
    from datasets import load_dataset

    repo = dataset_repo(publishable.rows(tmp_path / "rows"), "org/rows", out)
    assert set(repo.files()) == {"README.md", *(f"data/{n}-00000-of-00001.parquet" for n in ("train", "test"))}
    loaded = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {name: rows["best"] for name, rows in loaded.items()} == {"train": [0], "test": [1]}
    assert loaded["test"][0]["conversation"] == publishable.ROWS[1]["conversation"]
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "| 2 | 1 |\n| 3 | 1 |" in text
    assert "| sums | MIT | 2 |" in text


@pytest.mark.parametrize(("licence", "said"), [("CC BY-NC 4.0", "'CC BY-NC 4.0'"), (None, "'none stated'")])
def test_rows_that_may_not_be_published_are_refused(tmp_path: Path, out: Path, licence: str | None, said: str) -> None:
    refused = rf"licence: not on the list of apache-2.0, mit: {said} \(\d rows of"
    with pytest.raises(InvalidInput, match=refused):
        dataset_repo(publishable.rows(tmp_path / "rows", licence=licence), "org/rows", out)
    with pytest.raises(InvalidInput, match=refused):
        dataset_repo(publishable.store(tmp_path / "store", licence), "org/rows", out)
    assert list(out.iterdir()) == []
    dataset_repo(tmp_path / "store", "org/rows", out, allow_licences=[licence or "none stated"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"best": None}, "cannot be published .*no single best"), ({"responses": None}, "unusable: responses")],
)
def test_rows_without_a_truth_are_refused(tmp_path: Path, out: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        dataset_repo(publishable.rows(tmp_path / "rows", **changed), "org/rows", out)


def test_a_folder_without_rows_is_refused(tmp_path: Path, out: Path) -> None:
    folder = publishable.with_card(tmp_path / "empty", publishable.SAID)
    with pytest.raises(InvalidInput, match=r"no store\.json and no file of rows"):
        dataset_repo(folder, "org/rows", out)
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("")
    with pytest.raises(InvalidInput, match="several files of one split"):
        dataset_repo(folder, "org/rows", out)


def test_a_space_names_its_hardware(tmp_path: Path, out: Path) -> None:
    repo = space_repo(publishable.space(tmp_path / "space"), "org/space", out)
    assert set(repo.files()) == {"README.md", "app.py", "requirements.txt"}
    assert repo.creation == {"space_sdk": "gradio", "space_hardware": "zero-a10g"}
    assert "models:\n- org/judge\n" in (out / "README.md").read_text(encoding="utf-8")
    (tmp_path / "space" / "app.py").unlink()
    with pytest.raises(InvalidInput, match=r"has no app\.py"):
        space_repo(tmp_path / "space", "org/space", out)


def test_a_space_with_a_readme_of_its_own_keeps_it(tmp_path: Path, out: Path) -> None:
    folder = publishable.space(tmp_path / "space")
    (folder / "card.yaml").unlink()
    with pytest.raises(InvalidInput, match=r"card: .*card\.yaml cannot be read"):
        space_repo(folder, "org/space", out)
    text = "---\ntitle: A\nsdk: gradio\napp_file: app.py\nlicense: mit\nsuggested_hardware: t4-small\n---\n# A\n"
    (folder / "README.md").write_text(text)
    repo = space_repo(folder, "org/space", out)
    assert (out / "README.md").read_text() == text
    assert repo.creation == {"space_sdk": "gradio", "space_hardware": "t4-small"}
    (folder / "README.md").write_text(text.replace("sdk: gradio\n", ""))
    with pytest.raises(InvalidInput, match="card: sdk missing in the metadata"):
        space_repo(folder, "org/space", new_folder(tmp_path / "more"))


def test_the_code_repository_holds_the_portable_files(out: Path) -> None:
    assert set(code_repo("org/code", out).files()) == {*portable_files(), "README.md"}


# --- ids, cards, folders


@pytest.mark.parametrize("repo_id", ["judge", "org/a/b", "org/--x", "org/a b", ""])
def test_an_unusable_id_is_refused(repo_id: str) -> None:
    with pytest.raises(InvalidInput, match=r"repo: .* is not usable"):
        checked_id(repo_id)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is no YAML"), ("- a", "holds no fields"), ("", "holds no fields")]
)
def test_an_unusable_card_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=f"card: .*{said}"):
        author_says(tmp_path / "card.yaml", "org/it")


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match=r"out: .* is not empty"):
        new_folder(tmp_path)


# --- the Hub


@pytest.fixture
def made(judge: Path, out: Path) -> Repo:
    return model_repo(judge, "org/judge", out)


def test_everything_goes_up_in_one_commit(hub: LocalHub, made: Repo) -> None:
    address = upload(made, client())
    assert f"{hub.url}/org/judge/commit/" in address
    there = dict(hub.files("org/judge"))
    assert {name: path.read_bytes() for name, path in made.files().items()} == {
        name: content for name, content in there.items() if name != ".gitattributes"
    }
    titles = [one.title for one in hub.api().list_repo_commits("org/judge")]
    assert [title for title in titles if title.startswith("Publish with modeling-grm")] == titles[:1]
    info = hub.api().model_info("org/judge")
    assert (info.pipeline_tag, info.private) == ("text-generation", False)


def test_a_second_time_old_files_of_ours_go_and_others_stay(hub: LocalHub, made: Repo) -> None:
    api = client()
    upload(made, api)
    for name in ("old_grm.py", "model-00001-of-00002.safetensors", "picture.png"):
        api.upload_file(path_or_fileobj=b"x", path_in_repo=name, repo_id="org/judge")
    upload(made, api)
    there = set(hub.files("org/judge"))
    assert set(made.files()) | {"picture.png"} == there - {".gitattributes"}


def test_an_interrupted_upload_goes_on(hub: LocalHub, made: Repo) -> None:
    """The second large file is refused: nothing is published; the next time only what is missing is sent."""
    (made.folder / "second.safetensors").write_bytes(b"y" * 5000)
    hub.faults.next(status=400, method="PUT", path="/large/", skip=1, times=9)
    with pytest.raises(InvalidInput, match=r"upload: org/judge was not finished .*run the same command again"):
        upload(made, client())
    assert not [name for name in hub.files("org/judge") if name.endswith(".safetensors")]
    sent = hub.count("PUT", "/large/")
    hub.faults.clear()
    upload(made, client())
    large = [name for name in made.files() if name.endswith(".safetensors")]
    assert sent == 1
    assert hub.count("PUT", "/large/") == len(large)
    assert set(made.files()) <= set(hub.files("org/judge"))


def test_private_is_private(hub: LocalHub, made: Repo) -> None:
    upload(made, client(), private=True)
    assert hub.api().model_info("org/judge").private is True


def test_a_space_is_created_with_its_hardware(hub: LocalHub, tmp_path: Path, out: Path) -> None:
    upload(space_repo(publishable.space(tmp_path / "space"), "org/space", out), client())
    runtime = hub.api().get_space_runtime("org/space")
    assert runtime.requested_hardware == "zero-a10g"


def test_no_token_is_said_before_anything_is_made(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InvalidInput, match="token: there is none; log in with `hf auth login`"):
        permitted("org/judge", "model", client())


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_reader", "may not be written; give a token with write access"),
        ("hf_nobody", "token: the Hub does not know"),
    ],
)
def test_a_token_that_cannot_write_is_said(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, token: str, said: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InvalidInput, match=said):
        permitted("org/judge", "model", client())


def test_somebody_elses_name_is_refused(hub: LocalHub, made: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hf_stranger" in TOKENS
    monkeypatch.setenv("HF_TOKEN", hub.stranger_token)
    with pytest.raises(InvalidInput, match="repo: org/judge may not be written"):
        upload(made, client())


def test_a_repository_of_another_type_is_refused(hub: LocalHub) -> None:
    hub.api().create_repo("org/judge", repo_type="dataset")
    with pytest.raises(InvalidInput, match="repo: org/judge exists already as a dataset"):
        permitted("org/judge", "model", client())
    permitted("org/judge", "dataset", client())


# --- the command


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Without the fresh process, which the slow tests have; says what would have been checked."""
    asked: list[str] = []

    def noted(repo: Repo) -> dict[str, Any]:
        asked.append(repo.id)
        return {"checked": repo.checked_as}

    monkeypatch.setattr(checks, "check", noted)
    return asked


def run(*line: str) -> Any:
    return CliRunner().invoke(cli.app, ["publish", *map(str, line)])


def test_a_dry_run_lists_and_sends_nothing(hub: LocalHub, judge: Path, quick: list[str], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = run("model", str(judge), "--repo", "org/judge", "--dry-run", "--out", str(kept))
    assert done.exit_code == 0, done.output
    assert "pipeline_grm.py" in done.output
    assert "nothing was sent" in done.output
    assert (kept / "config.json").is_file()
    assert hub.log == []
    assert quick == ["org/judge"]


def test_the_command_publishes_every_kind(hub: LocalHub, judge: Path, quick: list[str], tmp_path: Path) -> None:
    rows, space = publishable.rows(tmp_path / "rows"), publishable.space(tmp_path / "space")
    lines = (
        ("code", "--repo", "org/code"),
        ("model", judge, "--repo", "org/judge", "--code", "org/code"),
        ("dataset", rows, "--repo", "org/rows", "--private"),
        ("space", space, "--repo", "org/space"),
    )
    for line in lines:
        done = run(*map(str, line))
        assert done.exit_code == 0, done.output
    assert quick == ["org/code", "org/judge", "org/rows", "org/space"]
    assert hub.api().dataset_info("org/rows").private is True
    assert "app.py" in hub.files("org/space", "space")


def test_a_suite_goes_in_order(
    hub: LocalHub, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishable.rows(tmp_path / "recipes" / "artifacts" / "rows")
    publishable.space(tmp_path / "spaces" / "reward_scoring")
    monkeypatch.setattr(suite, "ADAPTER", publishable.judge(tmp_path / "adapters" / "judge").parent / "none")
    parts = suite.parts(tmp_path)
    assert [(part.name, part.type) for part in parts] == [
        ("rows", "dataset"), ("judge", "model"), ("reward_scoring", "space"),
    ]  # fmt: skip
    monkeypatch.setattr(suite, "parts", lambda: parts)
    done = run("suite", "--org", "org")
    assert done.exit_code == 0, done.output
    assert quick == ["org/rows", "org/judge", "org/reward_scoring"]
    assert b"org/judge" in hub.files("org/reward_scoring", "space")["README.md"]


def test_this_checkouts_suite_has_the_embedded_judge() -> None:
    assert ("smollm2-135m-grm", "model") in [(part.name, part.type) for part in suite.parts()]


# --- in fresh processes


@pytest.mark.slow
def test_the_check_uses_what_was_made(tmp_path: Path) -> None:
    """Every kind passes as it is; a spoilt judge does not."""
    place = iter(new_folder(tmp_path / f"out{at}") for at in range(9))
    judge = publishable.judge(tmp_path / "judge")
    repo = model_repo(judge, "org/judge", next(place))
    said = check(repo)
    assert said["pipeline"] == "transformers_modules"
    assert said["outcome"] in ("ok", "truncated", "no_scores", "wrong_count")
    (repo.folder / "voting_grm.py").unlink()
    with pytest.raises(InvalidInput, match=r"check: org/judge cannot be used as it is: .*voting_grm"):
        check(repo)
    assert check(model_repo(publishable.meta_rm(tmp_path / "meta"), "org/meta", next(place)))["labels"] == 1
    assert check(code_repo("org/code", next(place)))["pipeline"] == "transformers_modules"
    rows = check(dataset_repo(publishable.rows(tmp_path / "rows"), "org/rows", next(place)))["rows"]
    assert "best" in rows["test"]
    space = publishable.space(tmp_path / "space")
    assert check(space_repo(space, "org/space", next(place))) == {"compiled": ["app.py"]}
    (space / "app.py").write_text("def :")
    with pytest.raises(InvalidInput, match="SyntaxError"):
        check(space_repo(space, "org/space", next(place)))


USE = """
import json, sys
sys.modules["modeling_grm"] = None
import peft
from transformers import pipeline

pipe = pipeline("reward-scoring", model=sys.argv[1], trust_remote_code=True)
again = json.loads(json.dumps(pipe("2+2?", ["4", "five"], k=4)))
pipe.save_pretrained("again")
print(json.dumps({"result": again, "type": type(pipe).__module__}))
"""
OURS = """
import json, sys
from modeling_grm.loading import load

pipe = load(sys.argv[1])
lora = any("lora" in name for name, _ in pipe.model.named_parameters())
print(json.dumps({"result": pipe("2+2?", ["4", "five"]), "lora": lora}))
"""


def fresh(hub: LocalHub, home: Path, script: str, *args: str) -> dict[str, Any]:
    home.mkdir(exist_ok=True)
    env = hub.environment(home) | {"HF_MODULES_CACHE": str(home / "modules")}
    line = [sys.executable, "-I", "-W", "ignore", "-c", script, *args]
    done = subprocess.run(line, env=env, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def publish(hub: LocalHub, home: Path, *line: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "modeling_grm.cli", "publish", *line],
        env=hub.environment(home), cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.mark.slow
def test_published_and_used_by_a_stranger_within_a_minute(hub: LocalHub, tmp_path: Path) -> None:
    """An adapter, merged, by its Hub id, with peft installed and this package missing; saved again, it still judges."""
    started = time.monotonic()
    base = publishable.save_tiny(tmp_path / "base")
    adapter = publishable.adapter(tmp_path / "adapter", str(base))
    said = publish(hub, tmp_path / "home", "model", str(adapter), "--repo", "me/judge")
    assert "used in a fresh process" in said
    used = fresh(hub, tmp_path / "stranger", USE, "me/judge")
    assert used["type"].startswith("transformers_modules.me.judge")
    assert (used["result"]["k"], used["result"]["base"]) == (4, "org/base")
    assert time.monotonic() - started < 60
    assert set(portable_files()) <= {path.name for path in (tmp_path / "stranger" / "again").iterdir()}


@pytest.mark.slow
def test_an_adapter_as_it_is_is_used_with_the_package(hub: LocalHub, tmp_path: Path) -> None:
    """Base by Hub id; its settings come from its own grm.json."""
    api = client()
    base = publishable.save_tiny(tmp_path / "base")
    upload(Repo("me/base", "model", base, "grm"), api)
    adapter = publishable.adapter(tmp_path / "adapter", "me/base")
    publish(hub, tmp_path / "home", "model", str(adapter), "--repo", "me/adapter", "--adapter-only")
    used = fresh(hub, tmp_path / "user", OURS, "me/adapter")
    assert used["lora"] is True
    assert used["result"]["k"] == 3


@pytest.mark.slow
def test_one_code_repository_serves_many_checkpoints(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub, tmp_path / "home", "code", "--repo", "me/code")
    judge = publishable.judge(tmp_path / "judge")
    publish(hub, tmp_path / "home", "model", str(judge), "--repo", "me/judge", "--code", "me/code")
    assert not [name for name in hub.files("me/judge") if name.endswith(".py")]
    used = fresh(hub, tmp_path / "stranger", USE, "me/judge")
    assert used["type"].startswith("transformers_modules.me.code")


@pytest.mark.slow
def test_the_embedded_judge_is_published_from_the_package(tmp_path: Path, hub: LocalHub) -> None:
    line = ("model", "modeling_grm/embedded", "--repo", "me/smollm2-135m-grm", "--dry-run")
    said = publish(hub, tmp_path / "home", *line)
    assert '"pipeline": "transformers_modules"' in said
    assert '"outcome": "ok"' in said
