"""Rows for GRPO of the embedded judge: of the preference dataset's part `train`, short ones of the harder kinds.

    python recipes/grpo/rows.py --dataset runs/preferences/dataset --out runs/grpo-rows.jsonl.gz
    grm score runs/grpo-rows.jsonl.gz --k 4 --temperature 0.7 --rule sum --constrain none --store runs/grpo-store

The judgements say which rows the judge gets right each time (`reference_store` of train.py), from which GRPO learns
nothing. People's preferences are left out, and PRMBench's pairs: the judge is at chance there, and a reward is luck.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modeling_grm.data.drawing import Row, shared, write_rows
from modeling_grm.data.tuning import read_dataset

MOST_WORDS = 320
"""Longer rows are left out: a step takes as long as their prompts and rollouts."""
SHARES: Mapping[Hashable, int] = {
    "contrast: subtle": 35,
    "contrast: clear": 10,
    "whole": 15,
    "verifiable: GSM8K": 20,
    "verifiable: GSM8K, marked": 20,
}
"""So many of 100 rows, by `kind`."""


def kind(row: Row) -> str:
    """Pool; a contrast row's strength of defects, a verifiable one's source."""
    finer = {"contrast": "strength", "verifiable": "source"}.get(row["pool"])
    return f"{row['pool']}: {row[finer]}" if finer else row["pool"]


def chosen(rows: Iterable[Row], items: int) -> Iterator[dict[str, Any]]:
    """Each kind's share, in the order of the draw."""
    return shared(rows, items, SHARES, kind, "grpo", MOST_WORDS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="runs/preferences/dataset", help="folder or Hub id")
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("runs/grpo-rows.jsonl.gz"))
    args = parser.parse_args()
    rows = list(chosen(read_dataset(args.dataset), args.items))
    write_rows(args.out, rows)
    print(json.dumps({"rows": len(rows), **Counter(map(kind, rows))}, indent=2))


if __name__ == "__main__":
    main()
