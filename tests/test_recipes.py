"""What all recipes share: strict command lines, YAMLs whose keys exist, bare scripts, launchers for accelerate."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from recipe_scripts import module_of
from transformers import TrainingArguments

from modeling_grm.data.pools.entries import POOLS
from modeling_grm.recipes import last_checkpoint, parse, read_keys, script
from modeling_grm.types_grm import InvalidInput

RECIPES = ROOT / "recipes"
SCRIPTS = {
    "sample": ("sample.py", ("SampleArguments",)),
    "rft": ("train.py", ("RecipeArguments", "SFTConfig")),
    "meta_rm": ("train.py", ("RecipeArguments", "TrainingArguments")),
    "grpo": ("train.py", ("RecipeArguments", "SPCTConfig")),
}
BY_RULE = ("contrast", "even", "grown", "whole")  # rft/contrast.py's
RULED = {RECIPES / "rft" / f"{name}.yaml" for name in BY_RULE}
YAMLS = [path for step in SCRIPTS for path in sorted((RECIPES / step).glob("*.yaml")) if path not in RULED]
BARE = [*(RECIPES / step / name for step, (name, _) in SCRIPTS.items()), RECIPES / "rft" / "contrast.py"]
HEADER = re.compile(r"\A# /// script\n((?:#.*\n)+?)# ///\n")


@dataclass
class Arguments:
    """A recipe's own keys."""

    rows: list[str] = field(default_factory=list)
    limit: int | None = None
    rate: float = 0.5
    loud: bool = False


def keys_file(folder: Path, text: str) -> list[str]:
    path = folder / "keys.yaml"
    path.write_text(text, encoding="utf-8")
    return ["--config", str(path)]


# --------------------------------------------------------------------------- the command line


def test_words_go_before_the_yaml(tmp_path: Path) -> None:
    argv = keys_file(tmp_path, "rows: [a, b]\nlimit: 3\nrate: 1e-3\nloud: true\n")
    assert parse(Arguments, argv=argv) == (Arguments(["a", "b"], 3, 0.001, True),)
    assert parse(Arguments, argv=[*argv, "--limit", "4", "--rows", "c", "d", "--loud=false"]) == (
        Arguments(["c", "d"], 4, 0.001, False),
    )
    assert parse(Arguments, argv=["--limit", "4", f"--config={argv[1]}"])[0].limit == 4
    assert parse(Arguments, argv=[]) == (Arguments(),)


def test_a_yaml_value_is_checked_like_a_word(tmp_path: Path) -> None:
    assert parse(Arguments, argv=keys_file(tmp_path, "rows: one.jsonl\nlimit: null\n"))[0].rows == ["one.jsonl"]
    with pytest.raises(InvalidInput, match=r"limit: invalid .*'many'"):
        parse(Arguments, argv=keys_file(tmp_path, "limit: many\n"))


def test_a_trainers_arguments_stand_beside_the_recipes(tmp_path: Path) -> None:
    argv = keys_file(tmp_path, "limit: 2\nmax_steps: 5\nuse_cpu: true\nlearning_rate: 2.0e-6\n")
    own, config = parse(Arguments, TrainingArguments, argv=argv)
    assert (own.limit, config.max_steps, config.learning_rate) == (2, 5, 2e-6)


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (
            "limt: 3\n",
            (),
            r"limt: no such key in .*keys.yaml; did you mean limit\? known are rows, limit, rate, ",
        ),
        ("", ("--max_step", "3"), r"max_step: no such key in the command line; did you mean max_steps\?"),
        ("", ("stray",), r"stray: no such key in the command line; known are .*, those of TrainingArguments$"),
        ("env: {A: 1}\n", (), "env: no such key"),
        ("- rows\n", (), "is no mapping of keys"),
        ("rows: [\n", (), "cannot be read; give a YAML file"),
        ("", ("--limit", "many"), "limit: invalid"),
        ("lr_scheduler_type: mystery\nuse_cpu: true\n", (), "arguments: .*mystery|lr_scheduler_type: .*mystery"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, text: str, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse(Arguments, TrainingArguments, argv=[*keys_file(tmp_path, text), *words])


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InvalidInput, match=r"config: 'nowhere.yaml' cannot be read"):
        parse(Arguments, argv=["--config", "nowhere.yaml"])


def test_bad_input_ends_a_script_with_a_line_and_status_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(args: Arguments) -> None:
        raise InvalidInput(f"limit: {args.limit} is not usable; give more")

    monkeypatch.setattr(sys, "argv", ["train.py", "--limit", "1"])
    with pytest.raises(SystemExit) as ended:
        script(main, Arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: limit: 1 is not usable; give more\n"


def test_the_last_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(None) is None
    assert last_checkpoint(tmp_path / "nowhere") is None
    for step in (2, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


# --------------------------------------------------------------------------- the files


def kinds_of(step: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    name, kinds = SCRIPTS[step]
    module = module_of(RECIPES / step / name, monkeypatch)
    return [getattr(module, kind) for kind in kinds]


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_yaml_has_known_keys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_keys(path, *kinds_of(path.parent.name, monkeypatch))


@pytest.mark.parametrize("name", BY_RULE)
def test_the_contrast_recipe_has_known_keys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(RECIPES / "rft" / "contrast.py", monkeypatch)
    keys = read_keys(RECIPES / "rft" / f"{name}.yaml", module.RecipeArguments, TrainingArguments)
    assert keys
    pools = {share.partition("=")[0] for share in keys.get("shares", [])}
    assert pools in (set(), set(POOLS)), "name each pool of recipes/data, or none"


@pytest.mark.parametrize("step", SCRIPTS)
def test_every_step_has_its_sizes(step: str) -> None:
    have = {path.stem for path in (RECIPES / step).glob("*.yaml")}
    assert have >= {"smoke", "smollm2-135m", "qwen2.5-1.5b", "gemma-2-27b"}


def imported(path: Path) -> set[str]:
    """The top names of all that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", BARE, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_script_is_bare(path: Path) -> None:
    """Nothing beside it is imported, and it says what it needs (PEP 723) in terms of the package alone."""
    assert not imported(path) & {other.stem for other in path.parent.glob("*.py")}
    header = HEADER.match(path.read_text(encoding="utf-8"))
    assert header
    said = dict(line.removeprefix("# ").split(" = ", 1) for line in header[1].splitlines())
    assert ast.literal_eval(said["requires-python"]) == ">=3.10"
    assert all(name.startswith("modeling-grm[") for name in ast.literal_eval(said["dependencies"]))


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_the_launchers(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.mixed_precision == "bf16"
    assert config.num_machines == 1


def test_the_readme_names_what_is_there() -> None:
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"recipes/[\w./-]+\.(?:py|yaml)", text):
        assert (ROOT / name).is_file(), name
    for path in (RECIPES / "accelerate").glob("*.yaml"):
        assert path.name in text


def with_pips_wheels() -> dict[str, str]:
    """The environment in which uv, too, finds the wheels that pip is told to find."""
    links = os.environ.get("PIP_FIND_LINKS")
    return os.environ | ({"UV_FIND_LINKS": links} if links else {})


@pytest.mark.slow
def test_uv_runs_the_bare_script_with_a_built_wheel(tmp_path: Path) -> None:
    """What a user without a checkout does: the script and its YAML alone, the package from a wheel."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert uv, "uv belongs to the development tools: pip install 'modeling-grm[dev]'"
    dist, bare = tmp_path / "dist", tmp_path / "bare"
    subprocess.run([uv, "build", "--wheel", "--out-dir", dist, ROOT], check=True, timeout=300)
    for step, name in (("sample", "sample.py"), ("rft", "train.py")):
        (bare / step).mkdir(parents=True)
        shutil.copy(RECIPES / step / name, bare / step / name)
        run = [uv, "run", "--no-project", "--find-links", dist, bare / step / name]
        keys = ["--config", RECIPES / step / "smoke.yaml"]
        keys += ["--rows", RECIPES / "sample" / "smoke.jsonl"] if step == "sample" else []
        subprocess.run([*run, *keys], check=True, timeout=1500, cwd=tmp_path, env=with_pips_wheels())
    assert (tmp_path / "runs" / "rft-smoke" / "model.safetensors").is_file()
