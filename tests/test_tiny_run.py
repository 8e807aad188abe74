"""recipes/tiny in its short variant: every stage runs, and the vote beats one sample."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import read_table

ROOT = Path(__file__).resolve().parents[1]
MARGIN = 0.06
"""Less than half of the least gain among 10 seeds (tests/benchmarks/tiny_seeds.py)."""
STAGES = ["cold start", "cold start, trained on", "RFT", "RFT, trained on", "GRPO"]


JUDGES = [
    "the whole method",
    "without rejection",
    "without hinted sampling",
    "without principles",
    "without rejective fine-tuning",
    "without KL penalty",
    "without GRPO",
]


def run(out: Path, script: str = "run") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, f"recipes/tiny/{script}.py", "--config", "recipes/tiny/ci.yaml", "--out", str(out)]
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

    kept = {path.name: path.stat().st_mtime_ns for path in shards(tmp_path / "tiny" / "kept")}
    ablated = run(tmp_path / "tiny", "ablations")
    assert ablated.returncode == 0, ablated.stderr[-3000:]
    assert {path: path.stat().st_mtime_ns for path in made} == made, "the method's own stages are taken as they are"
    for name in ("all", "plain", "unhinted"):
        taken = {path.name: path.stat().st_mtime_ns for path in shards(tmp_path / "tiny" / f"kept-{name}")}
        assert taken == kept, "what was sampled is not sampled again"
    found = json.loads((tmp_path / "tiny" / "ablations.json").read_text())
    assert [row["judge"] for row in found["judges"]] == JUDGES
    assert all(row["readable"] > 0.5 for row in found["judges"])
    whole, *others = found["judges"]
    for row, k in product(others, (1, 8)):
        less = row[f"voting@{k}"]["accuracy"] - whole[f"voting@{k}"]["accuracy"]
        assert row[f"against@{k}"]["difference"] == pytest.approx(less)
    free, kept_near = (tmp_path / "tiny" / name / "model.safetensors" for name in ("grpo-free", "grpo"))
    assert free.read_bytes() != kept_near.read_bytes()
    assert f"{found['items']} unseen items" in ablated.stdout
    sizes = {
        name: len(rows_of(tmp_path / "tiny" / name)) for name in ("kept", "kept-all", "kept-unhinted", "kept-plain")
    }
    assert sizes["kept-all"] > sizes["kept"] == sizes["kept-plain"] > sizes["kept-unhinted"]
    said = [row["completion"][0]["content"] for row in rows_of(tmp_path / "tiny" / "kept-plain")]
    assert all(text.startswith("Analysis: ") for text in said)
    weights = {path: path.stat().st_mtime_ns for path in (tmp_path / "tiny").rglob("*.safetensors")}
    assert len(weights) == len(made) + 8, "three judges of other datasets with their GRPO, and two more of GRPO"
    again = run(tmp_path / "tiny", "ablations")
    assert again.stdout.startswith(f"{found['items']} unseen items")
    assert ablated.stdout.endswith(again.stdout)
    assert {path: path.stat().st_mtime_ns for path in weights} == weights


def shards(out: Path) -> list[Path]:
    """Files of a sampling stage's samples."""
    found = sorted((out / "store").rglob("*.parquet"))
    assert found
    return found


def rows_of(out: Path) -> list[dict[str, Any]]:
    """What a sampling stage left to learn from."""
    rows: list[dict[str, Any]] = read_table(out / "dataset" / "data" / "train-00000-of-00001.parquet").to_pylist()
    return rows
