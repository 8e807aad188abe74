"""Pairs for a meta RM of the embedded judge: of prompts that the judge was not trained on, in two files by their split.

    python recipes/meta_rm/contrast_rows.py --data ../shared/data/train --out recipes/artifacts/meta-rm

`test.jsonl.gz` holds the pairs whose conversations `train.py` puts into its test part (the same shares), and
`fit.jsonl.gz` the others; so each can be judged as often as it needs.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from modeling_grm.data.contrast.build import build
from modeling_grm.data.drawing import write_rows
from modeling_grm.meta_examples import split_of

SEEDS = (1, 2, 3)  # seed 0 is the set that the judge's own figures are measured on
PAIRS = 800  # of each seed, before they are drawn from
MOST = {"test": {"human_preference": 110, "": 40}, "fit": {"human_preference": 60, "": 44}}
"""Pairs of each defect in a file, the unnamed ones together under ""."""


def pairs(folder: Path) -> Iterator[dict[str, Any]]:
    """Different pairs of the contrast set's test split."""
    seen = set[str]()
    for seed in SEEDS:
        for row in build(folder, "test", PAIRS, seed):
            content = json.dumps([row["conversation"], sorted(row["responses"])])
            if len(row["responses"]) == 2 and content not in seen:
                seen.add(content)
                meta = {name: value for name, value in row["meta"].items() if name != "target"}
                yield {**row, "id": f"{row['id']}-{seed}", "meta": meta}


def drawn(random: Random, rows: list[dict[str, Any]], most: dict[str, int]) -> list[dict[str, Any]]:
    """As many of each defect as a file takes, in a random order."""
    counts = Counter[str]()
    random.shuffle(rows)
    kept = []
    for row in rows:
        if counts[row["subset"]] < most.get(row["subset"], most[""]):
            counts[row["subset"]] += 1
            kept.append(row)
    return kept


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the MIT / Apache-2.0 source files")
    parser.add_argument("--out", type=Path, required=True, help="folder for fit.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--test-share", type=float, default=0.5, help="as in train.py")
    parser.add_argument("--calibration-share", type=float, default=0.1, help="as in train.py")
    args = parser.parse_args()
    parts: dict[str, list[dict[str, Any]]] = {"test": [], "fit": []}
    for row in pairs(args.data):
        split = split_of(json.dumps(row["conversation"]), args.test_share, args.calibration_share)
        parts["test" if split == "test" else "fit"].append(row)
    random = Random(0)
    for part, rows in parts.items():
        kept = drawn(random, rows, MOST[part])
        write_rows(args.out / f"{part}.jsonl.gz", kept)
        print(f"{part}: {len(kept)} pairs of {dict(Counter(row['source'] for row in kept))}")


if __name__ == "__main__":
    main()
