"""How fast a store of a million samples is read, and in how much memory.

    python tests/benchmarks/store_scan.py [--samples 1000000] [--k 32] [--folder DIR] [--resume]

Makes a store (once, where DIR is given) of made-up samples with texts of the length of real judgements (the same texts
in each shard; a scan does not read them), and reads it in a process of its own the way a re-vote does. `--resume` also
opens it to be written, as a run that goes on does. Prints one line to read and one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.trajectories import Settings, Store, read
from modeling_grm.trajectories.schema import SCHEMA, digest
from modeling_grm.trajectories.shards import put_shard
from modeling_grm.voting_grm import orders

COLUMNS = [
    "item", "sample", "order", "outcome", "scores", "expected", "meta_score", "completion_tokens", "best", "labels",
]  # fmt: skip
SHARD_ROWS = 4096
SETTINGS = Settings.of(GRMConfig(), model="org/judge", backend="made-up")
WORDS = ("response", "accurate", "because", "the", "criteria", "score", "clear", "helpful", "of", "answer", "depth")


def sentence(random: Random, words: int) -> str:
    """Text that packs about as well as a judgement."""
    return " ".join(f"{random.choice(WORDS)}{random.randrange(40)}" for _ in range(words))


def made_up(items: int, k: int) -> Iterator[dict[str, Any]]:
    """Rows as a run writes them, an item's samples together."""
    empty = dict.fromkeys(SCHEMA.names)
    for number in range(items):
        random, item = Random(number), digest("item", number)
        n = 2 + number % 3
        responses, text = [sentence(random, 40) for _ in range(n)], sentence(random, 120)
        for sample, (order, seed) in enumerate(orders(item, n, k)):
            scores = [random.randint(1, 10) for _ in range(n)]
            ok = random.random() < 0.95
            yield empty | SETTINGS.columns | {
                "key": digest(item, sample),
                "item": item,
                "id": f"row-{number}",
                "query": [{"role": "user", "content": responses[0][:80]}],
                "responses": responses,
                "n": n,
                "response_hashes": [digest(response)[:16] for response in responses],
                "order": list(order),
                "seed": seed,
                "sample": sample,
                "text": f"{text[: random.randint(200, 900)]} {seed}",
                "truncated": not ok,
                "outcome": "ok" if ok else "truncated",
                "scores": scores if ok else None,
                "expected": [score * 0.9 + 0.3 * random.random() for score in scores] if ok else None,
                "prompt_tokens": 900,
                "completion_tokens": random.randint(50, 400),
                "constrained": False,
                "labels": [float(at) for at in range(n)],
                "best": n - 1,
            }  # fmt: skip


def build(folder: Path, samples: int, k: int) -> None:
    """A store of that many samples: one shard's rows over and over, as other items."""
    Store(folder, SETTINGS).close()
    per_shard = SHARD_ROWS // k
    table = pa.Table.from_pylist(list(made_up(per_shard, k)), SCHEMA)
    (folder / "data").mkdir()
    for number, start in enumerate(range(0, samples, len(table))):
        items = [digest(number, at // k) for at in range(len(table))]
        keys = [digest(item, at % k) for at, item in enumerate(items)]
        renamed = table.set_column(0, "key", pa.array(keys)).set_column(1, "item", pa.array(items))
        put_shard(folder, "data", number, renamed.slice(0, samples - start))


def scan(folder: Path) -> int:
    """Read what a re-vote needs."""
    return sum(len(batch) for batch in read(folder, COLUMNS))


def resume(folder: Path) -> int:
    """Open the store to be written."""
    store = Store(folder, SETTINGS)
    found = len(store)
    store.close()
    return found


def measured(step: Callable[[Path], int], folder: Path, results: Any) -> None:
    """One step's seconds and this process's peak memory."""
    started = time.perf_counter()
    samples = step(folder)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results.put({"samples": samples, "seconds": round(seconds, 2), "peak_gb": round(peak / 1e9, 2)})


def alone(step: Callable[[Path], int], folder: Path) -> dict[str, Any]:
    """A step in a fresh process; its peak memory has the imports in it (torch and transformers too)."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=measured, args=(step, folder, results))
    process.start()
    found: dict[str, Any] = results.get()
    process.join()
    return found


def main() -> int:
    """Build where needed, measure, print; fails beyond 60 s or 2 GB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="keep the store there, and use it again")
    parser.add_argument("--resume", action="store_true", help="measure opening it to be written, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "store"
        if not (folder / "store.json").exists():
            build(folder, given.samples, given.k)
        size = sum(path.stat().st_size for path in (folder / "data").iterdir())
        report = {"store_gb": round(size / 1e9, 2), "shards": len(list((folder / "data").iterdir()))}
        report |= {"scan": alone(scan, folder)} | ({"resume": alone(resume, folder)} if given.resume else {})
    figures = report["scan"]
    print(f"{figures['samples']:,} samples scanned in {figures['seconds']} s, {figures['peak_gb']} GB at most")
    print(json.dumps(report))
    return int(figures["seconds"] > 60 or figures["peak_gb"] > 2)


if __name__ == "__main__":
    sys.exit(main())
