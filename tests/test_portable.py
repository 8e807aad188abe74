"""portable.py: a checkpoint that brings its own pipeline judges where the package is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_judge import save_tiny
from transformers import AutoModelForCausalLM, pipeline

from modeling_grm import portable
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.pipeline_grm import RewardScoringPipeline
from modeling_grm.portable import PIPELINE, make_portable, portable_files
from modeling_grm.types_grm import InvalidInput

PACKAGE = Path(__file__).resolve().parent.parent / "modeling_grm"
GRM = GRMConfig(template="compact-closed", k=4, max_new_tokens=24, meta_rm="self", base="tiny base")
ROW: dict[str, Any] = {"query": "What is 2+2?", "responses": ["4", "I like trains"]}


def config_of(folder: Path) -> dict[str, Any]:
    """The folder's config.json."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, made portable."""
    folder = save_tiny(tmp_path_factory.mktemp("portable") / "judge")
    make_portable(folder, GRM)
    return folder


def test_every_portable_file_is_copied_as_it_is(folder: Path) -> None:
    assert set(portable_files()) == {path.name for path in PACKAGE.glob("*_grm.py")}
    assert len(portable_files()) >= 9
    for name, text in portable_files().items():
        assert (folder / name).read_bytes() == text.encode("utf-8") == (PACKAGE / name).read_bytes()


def test_the_configuration_names_the_pipeline_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, {"k": 2})
    before = config_of(folder)
    make_portable(folder)
    assert config_of(folder) == before | {"custom_pipelines": {"reward-scoring": PIPELINE}}
    make_portable(folder, GRM)
    after = config_of(folder)
    assert after["grm"] == GRM.to_dict()
    make_portable(folder)
    assert config_of(folder) == after
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_other_pipelines_stay(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path)
    other = {"impl": "other.Pipeline", "pt": [], "type": "text"}
    (folder / "config.json").write_text(json.dumps(config_of(folder) | {"custom_pipelines": {"other": other}}))
    make_portable(folder)
    assert config_of(folder)["custom_pipelines"] == {"other": other, "reward-scoring": PIPELINE}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no config.json"),
        ("{", "is not JSON"),
        ("[]", "it has no model_type"),
        ('{"peft_type": "LORA"}', "it has no model_type"),
        ('{"model_type": "llama", "grm": {"temprature": 1}}', r"unknown \['temprature'\]"),
    ],
)
def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        make_portable(tmp_path, GRM)
    assert [path.name for path in tmp_path.iterdir()] == ([] if text is None else ["config.json"])
    assert text is None or (tmp_path / "config.json").read_text() == text


def test_a_failure_half_way_leaves_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_tiny(tmp_path)
    before = config_of(folder)

    def full(source: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(portable.os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        make_portable(folder, GRM)
    assert config_of(folder) == before
    assert not list(folder.glob(".*"))


def test_it_stays_a_plain_causal_lm(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert GRMConfig.from_dict(model.config.grm) == GRM


def test_with_the_package_it_takes_the_class_or_asks_for_trust(folder: Path) -> None:
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        pipeline("reward-scoring", model=str(folder))
    pipe = pipeline("reward-scoring", model=str(folder), pipeline_class=RewardScoringPipeline)
    assert pipe(ROW)["k"] == 4


ALONE = """
import json, sys
sys.modules["modeling_grm"] = None      # not installed: an import of it raises
from pathlib import Path
from transformers import pipeline

pipe = pipeline("reward-scoring", model=sys.argv[1], trust_remote_code=True)
assert type(pipe).__module__.startswith("transformers_modules."), type(pipe)
rows = json.loads(sys.argv[3])
results = [pipe(row, return_samples=True) for row in rows]
assert pipe(rows, return_samples=True) == results
try:
    pipe({"query": "q"})
except ValueError as error:
    refusal = f"{type(error).__name__}: {error}"
pipe.save_pretrained(sys.argv[2])
again = pipeline("reward-scoring", model=sys.argv[2], trust_remote_code=True)
assert [again(row)["totals"] for row in rows] == [result["totals"] for result in results]
copied = sorted({path.name for path in Path(sys.modules[type(pipe).__module__].__file__).parent.glob("*.py")})
print(json.dumps({"results": results, "refusal": refusal, "copied": copied}))
"""


def test_it_judges_where_the_package_is_missing(folder: Path, tmp_path: Path) -> None:
    """A fresh process in an empty folder with its own module cache; what it saves brings the code along again."""
    empty = tmp_path / "empty"
    empty.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_", "GRM_"))}
    env = kept | {
        "HF_HOME": str(tmp_path / "home"),
        "HF_MODULES_CACHE": str(tmp_path / "modules"),
        "HF_HUB_OFFLINE": "1",
    }
    rows = [ROW, {"conversation": [{"role": "user", "content": "Go?"}], "responses": ["a", "b", "c", "d"]}]
    line = [sys.executable, "-I", "-c", ALONE, str(folder), str(tmp_path / "again"), json.dumps(rows)]
    done = subprocess.run(line, env=env, cwd=empty, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    here = pipeline("reward-scoring", model=str(folder), pipeline_class=RewardScoringPipeline)
    assert said["results"] == here(rows, return_samples=True)
    assert {result["meta"]["model"] for result in said["results"]} == {"self"}
    assert said["refusal"].startswith("InvalidInput: row: needs `query`")
    assert set(portable_files()) <= set(said["copied"])
    assert set(portable_files()) <= {path.name for path in (tmp_path / "again").iterdir()}
    assert list(empty.iterdir()) == []
