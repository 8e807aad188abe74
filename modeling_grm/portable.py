"""Turns a causal-LM checkpoint into one that brings its own pipeline, so that it judges where this package is missing.

    make_portable(Path("my-judge"), GRMConfig(template="compact"))
    pipeline("reward-scoring", model="my-judge", trust_remote_code=True)

The portable files are copied beside the weights as they are (a frozen copy: made anew only when this is called again),
and `config.json` names the pipeline and the judge's settings. Knows nothing about weights, cards or the Hub.
"""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from .configuration_grm import GRMConfig
from .types_grm import InvalidInput

TASK = "reward-scoring"
PIPELINE = {"impl": "pipeline_grm.RewardScoringPipeline", "pt": ["AutoModelForCausalLM"], "type": "text"}
SUFFIX = "_grm.py"


def portable_files() -> dict[str, str]:
    """Name and text of every file that a model repo carries."""
    found = (file for file in files(__package__).iterdir() if file.name.endswith(SUFFIX))
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(found, key=lambda file: file.name)}


def make_portable(folder: Path, grm: GRMConfig | None = None, code: str | None = None) -> None:
    """Give a checkpoint folder its own copy of the pipeline.

    The files come first and `config.json` last, each replaced whole: a folder whose config names the pipeline has it.
    Other entries of the config stay as they are.

    Args:
        folder: a checkpoint's.
        grm: the judge's settings; None leaves them as they are.
        code: Hub id of the repository that has the pipeline's files (`grm publish code`), which are not copied then.

    Raises:
        InvalidInput: the folder holds no checkpoint's `config.json`, or its settings cannot be read.
    """
    config = _read_config(folder / "config.json")
    GRMConfig.from_dict(config.get("grm"))
    impl = PIPELINE["impl"] if code is None else f"{code}--{PIPELINE['impl']}"
    config["custom_pipelines"] = {**config.get("custom_pipelines", {}), TASK: {**PIPELINE, "impl": impl}}
    if grm is not None:
        config["grm"] = grm.to_dict()
    for name, text in ({} if code else portable_files()).items():
        _replace(folder / name, text)
    _replace(folder / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        way_out = "give a folder that save_pretrained wrote; merge an adapter into its base first"
        raise InvalidInput(f"folder: {path.parent} has no config.json; {way_out}") from error
    except ValueError as error:
        raise InvalidInput(f"folder: {path} is not JSON: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise InvalidInput(f"folder: {path} is no model's configuration: it has no model_type")
    return config


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
