"""Seconds to vote anew: 1,000 items x 32 samples, six k and five rules, on one core. Prints JSON, then a line.

    OMP_NUM_THREADS=1 python tests/benchmarks/revote_speed.py [--items 1000] [--samples 32]

The samples are a simulated judge's: scores around each response's own worth, one in twenty unreadable.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from modeling_grm.revoting import revote
from modeling_grm.runs import load_runs
from modeling_grm.voting_grm import orders

KS = (1, 2, 4, 8, 16, 32)
RULES = ("sum", "majority", "expected", "meta_topk", "meta_soft")
SIZES = (2, 2, 2, 4)


def simulated(items: int, samples: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of a trajectory store, a quarter of them with four responses and the rest with two."""
    rng = np.random.default_rng(seed)
    for at in range(items):
        n = SIZES[at % len(SIZES)]
        worth = rng.normal(5.5, 1.5, n)
        for sample, (order, sample_seed) in enumerate(orders(f"{at:064x}", n, samples)):
            noise = rng.normal(0, 2, n)
            expected = np.clip(worth + noise, 1, 10)
            ok = rng.random() > 0.05
            yield {
                "item": f"{at:064x}",
                "n": n,
                "sample": sample,
                "order": list(order),
                "seed": sample_seed,
                "outcome": "ok" if ok else "no_scores",
                "scores": np.rint(expected).astype(int).tolist() if ok else None,
                "expected": expected.tolist() if ok else None,
                "meta_score": float(rng.normal(1 - np.abs(noise).mean())),
                "completion_tokens": int(rng.integers(150, 400)),
                "best": int(worth.argmax()),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=32)
    options = parser.parse_args()
    rows = list(simulated(options.items, options.samples))
    start = time.perf_counter()
    runs = load_runs(rows)
    loaded = time.perf_counter()
    points = revote(runs, [k for k in KS if k <= options.samples], RULES)
    done = time.perf_counter()
    figures = {"load_s": loaded - start, "revote_s": done - loaded, "total_s": done - start, "points": len(points)}
    print(json.dumps({**vars(options), **figures}))
    print(f"{len(rows):,} samples, {len(points)} points: {done - start:.2f} s")


if __name__ == "__main__":
    main()
