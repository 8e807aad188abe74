"""From a Hub id to a ready pipeline with a warm cache, beside `AutoModelForCausalLM.from_pretrained` of the same id.

    PYTHONPATH=tests python tests/benchmarks/hub_load.py --rounds 5              the embedded judge
    PYTHONPATH=tests python tests/benchmarks/hub_load.py --rounds 5 --tiny       a few thousand weights: overhead alone

A local Hub serves the checkpoint; each load is a process of its own, timed behind its imports, those included that
transformers makes at its first load. The ways take turns, and the best time of each counts: others on the machine only
add. `requests` is how often a warm load asks the Hub, which
costs a round trip each on the real one. Target: at most 10% + 0.5 s over the model alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hub import LocalHub
from hub.here import spoken_to

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.portable import make_portable
from modeling_grm.toys import save_tiny

REPO = "me/judge"
SHARE, SECONDS = 1.10, 0.5
_TIMED = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
{before}
AutoModelForCausalLM.from_pretrained(sys.argv[2]), AutoTokenizer.from_pretrained(sys.argv[2])  # what is imported late
started = time.perf_counter()
{load}
print(json.dumps({{"seconds": time.perf_counter() - started}}))
"""
WAYS = {
    "the model alone": ("", "AutoModelForCausalLM.from_pretrained(sys.argv[1])"),
    "model and tokenizer": ("", "AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
                                "AutoTokenizer.from_pretrained(sys.argv[1])"),
    "pipeline, its own code": ('sys.modules["modeling_grm"] = None',
                               'pipeline("reward-scoring", model=sys.argv[1], trust_remote_code=True)'),
    "pipeline, the package's code": ("import modeling_grm",
                                     'pipeline("reward-scoring", model=sys.argv[1], '
                                     "pipeline_class=modeling_grm.RewardScoringPipeline)"),
}  # fmt: skip


def load(way: str, hub: LocalHub, home: Path, tiny: Path) -> dict[str, Any]:
    """Seconds of one load in a fresh process, and its requests to the Hub."""
    before, line = WAYS[way]
    asked = len(hub.log)
    env = hub.environment(home) | {"HF_MODULES_CACHE": str(home / "modules")}
    command = [sys.executable, "-c", _TIMED.format(before=before, load=line), REPO, str(tiny)]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]) | {"requests": len(hub.log) - asked}


def checkpoint(folder: Path, tiny: bool) -> Path:
    """A judge that brings its own pipeline."""
    if tiny:
        save_tiny(folder)
    else:
        from modeling_grm.embedded import embedded_judge

        folder.mkdir()
        for path in embedded_judge().iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    make_portable(folder, GRMConfig(template="compact"))
    return folder


def measure(rounds: int, tiny: bool) -> list[dict[str, Any]]:
    """One row a way: best seconds, requests, ratio to the first way, and whether it is within the target."""
    with tempfile.TemporaryDirectory() as place, LocalHub() as hub:
        home = Path(place) / "home"
        home.mkdir()
        folder, small = checkpoint(Path(place) / "judge", tiny), save_tiny(Path(place) / "small")
        with spoken_to(hub, home):
            hub.api().create_repo(REPO)
            hub.api().upload_folder(repo_id=REPO, folder_path=folder)
        for way in WAYS:
            load(way, hub, home, small)  # fills the cache
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(load(way, hub, home, small))
    best = {way: min(one["seconds"] for one in runs) for way, runs in found.items()}
    alone = next(iter(best.values()))
    return [
        {
            "way": way,
            "seconds": round(seconds, 3),
            "ratio": round(seconds / alone, 3),
            "requests": found[way][-1]["requests"],
            "within": seconds <= SHARE * alone + SECONDS,
        }
        for way, seconds in best.items()
    ]


def main() -> None:
    """Command line; one JSON line a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    for row in measure(args.rounds, args.tiny):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
