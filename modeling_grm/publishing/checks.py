"""A repository is used the way a stranger would, in a fresh process and an empty folder, before anything is uploaded.

A model is loaded with `trust_remote_code=True` where this package is missing, and judges one item; a dataset gives its
first row; a Space's files compile. Knows nothing about how a repository is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..types_grm import InvalidInput
from .repository import Repo

_WITHOUT_US = 'import json, sys, warnings\nwarnings.simplefilter("ignore")\nsys.modules["modeling_grm"] = None\n'
_ITEM = '("What is 2+2?", ["4", "I like trains."], k=1, k_meta=1, rule="sum", return_samples=True)'
_SAID = """
[sample] = result["samples"]
print(json.dumps({"pipeline": type(pipe).__module__.split(".")[0], "scores": result["scores"],
                  "outcome": sample["outcome"], "error": sample.get("error")}))
"""
_GRM = f"""{_WITHOUT_US}
from transformers import pipeline
pipe = pipeline("reward-scoring", model=sys.argv[1], trust_remote_code=True)
result = pipe{_ITEM}{_SAID}"""
_GRM_ADAPTER = f"""import json, sys
from modeling_grm.loading import load
pipe = load(sys.argv[1])
result = pipe{_ITEM}{_SAID}"""
_META_RM = f"""{_WITHOUT_US}
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
turns = [{{"role": "user", "content": "Score them."}}, {{"role": "assistant", "content": "Scores: 8, 2"}}]
ids = tokenizer.apply_chat_template(turns, tokenize=True, return_tensors="pt", return_dict=True)
print(json.dumps({{"rating": float(model(**ids).logits[0, 0]), "labels": model.config.num_labels}}))
"""
_META_RM_ADAPTER = """import json, sys
from modeling_grm.loading import load_meta
from modeling_grm.types_grm import Critique, Outcome, Request
rate = load_meta(sys.argv[1])
judged = Critique("Scores: \\\\boxed{8, 2}", Outcome.OK, (0, 1), 0, (8, 2))
print(json.dumps({"rating": rate([(Request("What is 2+2?", ["4", "I like trains."]), judged)])[0], "labels": 1}))
"""
_CODE = f"""{_WITHOUT_US}
from transformers.dynamic_module_utils import get_class_from_dynamic_module
found = get_class_from_dynamic_module("pipeline_grm.RewardScoringPipeline", sys.argv[1])
print(json.dumps({{"pipeline": found.__module__.split(".")[0]}}))
"""
# A reader that is left halfway may still have threads; on a busy machine the interpreter's end then aborts the process.
_DATASET = """import json, os, sys
from datasets import load_dataset
splits = load_dataset(sys.argv[1], streaming=True)
print(json.dumps({"rows": {name: sorted(next(iter(rows))) for name, rows in splits.items()}}), flush=True)
os._exit(0)
"""
_SPACE = """import json, pathlib, sys
files = sorted(pathlib.Path(sys.argv[1]).rglob("*.py"))
for path in files:
    compile(path.read_text(encoding="utf-8"), path.name, "exec")
print(json.dumps({"compiled": [path.name for path in files]}))
"""


def _judged(said: dict[str, Any]) -> str | None:
    return f"the engine failed: {said['error']}" if said["outcome"] == "engine_error" else None


def _own_code(said: dict[str, Any]) -> str | None:
    foreign = said["pipeline"] != "transformers_modules"
    return "it did not come with its own pipeline" if foreign else _judged(said)


def _rated(said: dict[str, Any]) -> str | None:
    sound = said["labels"] == 1 and said["rating"] is not None and abs(said["rating"]) < float("inf")
    return None if sound else f"its rating is {said['rating']} of {said['labels']} labels"


def _fine(said: dict[str, Any]) -> str | None:
    return None


CHECKS: dict[str, tuple[str, Callable[[dict[str, Any]], str | None]]] = {
    "grm": (_GRM, _own_code),
    "grm adapter": (_GRM_ADAPTER, _judged),
    "meta-rm": (_META_RM, _rated),
    "meta-rm adapter": (_META_RM_ADAPTER, _rated),
    "code": (_CODE, _fine),
    "dataset": (_DATASET, _fine),
    "space": (_SPACE, _fine),
}
"""Name -> (the script, what is wrong with what it says)."""


def check(repo: Repo) -> dict[str, Any]:
    """Use a repository in a fresh process; returns what it said.

    Raises:
        InvalidInput: it failed, with the last line of its error.
    """
    script, fault = CHECKS[repo.checked_as]
    with tempfile.TemporaryDirectory() as place:
        env = _environment(repo, Path(place))
        line = [sys.executable, "-I", "-c", script, str(repo.folder.resolve())]
        done = subprocess.run(line, env=env, cwd=place, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InvalidInput(f"check: {repo.id} cannot be used as it is: {reason}")
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    wrong = fault(said)
    if wrong:
        raise InvalidInput(f"check: {repo.id} cannot be used as it is: {wrong}")
    return said


def _environment(repo: Repo, place: Path) -> dict[str, str]:
    """Caches of its own for code and rows; the Hub only where the repository itself needs another one from there."""
    own = {"HF_MODULES_CACHE": str(place / "modules"), "HF_DATASETS_CACHE": str(place / "datasets")}
    alone = "adapter" not in repo.checked_as and not _code_elsewhere(repo)
    return {**os.environ, **own, **({"HF_HUB_OFFLINE": "1"} if alone else {})}


def _code_elsewhere(repo: Repo) -> bool:
    config = repo.folder / "config.json"
    return config.is_file() and "--pipeline_grm." in config.read_text(encoding="utf-8")
