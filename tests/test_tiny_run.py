"""recipes/tiny in its short variant: every stage runs, and the vote beats one sample."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARGIN = 0.06
"""Less than half of the least gain among 20 seeds (tests/benchmarks/tiny_seeds.py)."""
STAGES = ["cold start", "cold start, trained on", "RFT", "RFT, trained on", "GRPO"]


def run(out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "recipes/tiny/run.py", "--config", "recipes/tiny/ci.yaml", "--out", str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)


@pytest.mark.slow
def test_every_stage_runs_and_the_vote_beats_one_sample(tmp_path: Path) -> None:
    done = run(tmp_path / "tiny")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "tiny" / "report.json").read_text())
    assert [row["stage"] for row in found["stages"]] == STAGES
    assert all(row["readable"] > 0.5 for row in found["stages"])
    cold = found["stages"][0]
    assert cold["voting@8"]["accuracy"] - cold["voting@1"]["accuracy"] > MARGIN
    assert len(found["gains"]) == 7
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "tiny").rglob("*.safetensors")}
    assert len(made) == 7, "base, five stages and the meta RM"
    again = run(tmp_path / "tiny")
    table = again.stdout[again.stdout.index("300 unseen items") :]
    assert table in done.stdout
    assert {path: path.stat().st_mtime_ns for path in made} == made, "what is done is not done again"
