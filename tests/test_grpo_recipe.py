"""The GRPO recipe on a toy judge: real TRL, two steps; the same run again and after a stop; named errors first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT, SMOKE = ROOT / "recipes" / "grpo" / "train.py", ROOT / "recipes" / "grpo" / "smoke.yaml"
NOT_FIGURES = ("time", "runtime", "second", "step_time", "flos")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--config", str(SMOKE), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def figures(folder: Path) -> list[dict[str, float]]:
    log = json.loads((folder / "log_history.json").read_text(encoding="utf-8"))
    return [
        {name: value for name, value in row.items() if not any(part in name for part in NOT_FIGURES)}
        for row in log
        if "loss" in row
    ]


@pytest.mark.slow
def test_two_steps_log_what_matters_and_leave_a_judge(tmp_path):
    done = run("--output_dir", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = figures(tmp_path / "run")
    assert {"parse_rate", "correct_rate", "kl", "completions/mean_length", "frac_reward_zero_std"} <= set(first)
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    grm = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["grm"]
    assert grm["template"] == "compact"
    assert second != first


@pytest.mark.slow
def test_a_resumed_run_is_the_same_run(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run("--output_dir", str(whole), "--max_steps", "3").returncode == 0
    stopped = ["--output_dir", str(parts), "--max_steps", "3"]
    assert run(*stopped).returncode == 0
    for folder in parts.glob("checkpoint-*"):
        if folder.name != "checkpoint-1":
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    assert run(*stopped).returncode == 0
    assert figures(parts) == figures(whole)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rollout_engine", "magic"], "rollout_engine: 'magic' is unknown"),
        (["--rows", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--no_such_key", "1"], "no_such_key"),
        (["--single_template", "llm-as-a-judge"], "asks for no scores"),
    ],
)
@pytest.mark.slow
def test_bad_arguments_are_named_before_anything_is_trained(tmp_path, words, said):
    done = run("--output_dir", str(tmp_path / "run"), *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
