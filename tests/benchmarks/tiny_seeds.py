"""How sure the miniature's short variant is to show that a vote beats one sample: its cold start under many seeds.

    python tests/benchmarks/tiny_seeds.py --seeds 20 --out runs/tiny-seeds

Prints a line a seed, then the least gain; `tests/test_tiny_run.py` asserts less than half of that. A seed that is done
is not done again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "tiny"
sys.path.insert(0, str(RECIPE))

from stages import Arguments, Miniature  # noqa: E402

from modeling_grm.recipes import parse  # noqa: E402
from modeling_grm.revoting import revote  # noqa: E402
from modeling_grm.runs import COLUMNS, load_runs  # noqa: E402
from modeling_grm.trajectories import read  # noqa: E402


def gain(seed: int, out: Path) -> tuple[float, float]:
    """(Voting@1, Voting@8 - Voting@1) of the cold start, over the short variant's unseen items."""
    words = ["--config", str(RECIPE / "ci.yaml"), "--seed", str(seed), "--out", str(out / str(seed))]
    (args,) = parse(Arguments, argv=words)
    small = Miniature(args)
    store = small.judged("cold", small.cold())
    one, vote = revote(load_runs(read(store, COLUMNS)), [1, args.k])
    return one["accuracy"], vote["accuracy"] - one["accuracy"]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-seeds"))
    args = parser.parse_args()
    gains = []
    for seed in range(args.first, args.first + args.seeds):
        one, more = gain(seed, args.out)
        gains.append(more)
        print(f"seed {seed}: Voting@1 {one:.3f}, gain {more:+.3f}", flush=True)
    print(f"least gain of {len(gains)} seeds: {min(gains):+.3f}")


if __name__ == "__main__":
    main()
