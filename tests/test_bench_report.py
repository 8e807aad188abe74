"""recipes/eval/bench: the report in the repository is what its text-free store says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "recipes" / "eval" / "bench"
ROWS = Path("../shared/data/eval")
NAMES = ["rewardbench", "pandalm", "alpacaeval-pairs"]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ROWS).is_dir(), reason="the benchmarks' rows are not in the repository")
def test_the_report_is_made_again_from_its_store(tmp_path: Path) -> None:
    how = ["--data", str(ROWS), "--limit", "170", "--k", "8", "--from-store", "--no-plots", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "modeling_grm.cli", "bench", *NAMES, *how, "--store", str(BENCH / "store")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    assert (tmp_path / "report.json").read_bytes() == (BENCH / "report.json").read_bytes()


def test_the_readme_s_figures_are_the_report_s() -> None:
    report = json.loads((BENCH / "report.json").read_text())
    text = (BENCH / "README.md").read_text()
    for name in NAMES:
        found = report["benchmarks"][name]
        value, low, high = (f"{found['headline'][key]:.3f}" for key in ("value", "low", "high"))
        assert (
            f"| {found['rows']['items']} | {value} | {low} - {high} | {found['ours']['coverage']['value']:.3f} |"
            in text
        )
