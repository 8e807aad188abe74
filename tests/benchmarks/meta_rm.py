"""Memory and time of a meta RM on the judge's own backbone, beside a model of its own.

    python tests/benchmarks/meta_rm.py --judgements 32 --tokens 300

Each way runs in a process of its own, so that its peak memory is its own. The adapter is random: neither memory nor
time depend on what it has learned. The ways take turns `--rounds` times and the best time of each counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

WAYS = ("judge alone", "two models", "shared backbone")


def make_adapter(folder: Path, rank: int) -> None:
    """A random adapter with a head on the embedded judge."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from modeling_grm.embedded import embedded_judge

    base = str(embedded_judge())
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = LoraConfig(r=rank, target_modules=names, task_type="SEQ_CLS", init_lora_weights=False)
    get_peft_model(model, lora).save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(way: str, adapter: str, judgements: int, tokens: int, batch_size: int) -> dict[str, Any]:
    """Memory with the weights loaded and at the end, and seconds for the ratings (one batch goes before)."""
    import torch
    from transformers import AutoModelForCausalLM

    from modeling_grm.embedded import embedded_judge
    from modeling_grm.meta_rm_grm import MetaRM

    torch.manual_seed(0)
    import_module("peft")  # its own memory is no model's
    before = resident_mb()
    judge = AutoModelForCausalLM.from_pretrained(embedded_judge(), dtype=torch.float32)
    sum(weights.double().sum() for weights in judge.parameters())  # files are mapped: read them
    found = {"way": way, "judge_mb": resident_mb() - before}
    if way != WAYS[0]:
        options = {"batch_size": batch_size}
        loaded = MetaRM.on_backbone_of(judge, adapter, **options) if way == WAYS[2] else None
        meta = loaded or MetaRM.from_pretrained(adapter, dtype=torch.float32, **options)
        sum(weights.double().sum() for weights in [*meta.backbone.parameters(), *meta.head.parameters()])
        found["loaded_mb"] = resident_mb() - before
        rows = torch.randint(100, 40_000, (judgements, tokens)).tolist()
        meta.logits(rows[:batch_size])
        started, worked = time.perf_counter(), time.process_time()
        for start in range(0, judgements, batch_size):
            meta.logits(rows[start : start + batch_size])
        found["seconds"] = time.perf_counter() - started
        found["cpu_seconds"] = time.process_time() - worked
    weights = list(judge.parameters()) + (
        [] if way == WAYS[0] else [*meta.backbone.parameters(), *meta.head.parameters()]
    )
    found["weights_mb"] = sum({w.data_ptr(): w.nbytes for w in weights}.values()) / 2**20
    return found | {"resident_mb": resident_mb() - before}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judgements", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "ADAPTER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], args.one[1], args.judgements, args.tokens, args.batch_size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_adapter(Path(folder), args.rank)
        runs = [_in_a_process(way, folder, args) for _ in range(args.rounds) for way in WAYS]
    print(json.dumps(summary(runs, args), indent=2))


def _in_a_process(way: str, adapter: str, args: argparse.Namespace) -> dict[str, Any]:
    sizes = ["--judgements", str(args.judgements), "--tokens", str(args.tokens), "--batch-size", str(args.batch_size)]
    line = [sys.executable, __file__, "--one", way, adapter, *sizes]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(runs: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """The best of each way, and the two figures that count."""
    best = {}
    for way in WAYS:
        mine = [run for run in runs if run["way"] == way]
        best[way] = {name: round(min(run[name] for run in mine), 2) for name in mine[0] if name != "way"}
    judge, two, shared = (best[way] for way in WAYS)
    return {
        "judgements": args.judgements,
        "tokens": args.tokens,
        **best,
        "extra_weights": round(shared["weights_mb"] / judge["weights_mb"] - 1, 4),
        "extra_weights_two_models": round(two["weights_mb"] / judge["weights_mb"] - 1, 4),
        "speed_of_a_dedicated_model": round(two["seconds"] / shared["seconds"], 3),
        "by_cpu_time": round(two["cpu_seconds"] / shared["cpu_seconds"], 3),
    }


if __name__ == "__main__":
    main()
