"""Rows to judge for a meta RM: of the preference dataset's part `meta`, which no judge has learnt from.

    python recipes/meta_rm/rows.py --dataset runs/preferences/dataset --out runs/meta-rows.jsonl.gz
    grm score runs/meta-rows.jsonl.gz --k 8 --temperature 0.5 --rule sum --store runs/meta-store

Hard ones above all: what a meta RM learns from are items with right and wrong judgements side by side. Left out are
people's preferences, on which the embedded judge is at chance: nothing in its text says which of them are right.
Which rows goes by a hash of their id, and they come in that order: a store that was stopped halfway has all kinds.
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

MOST_WORDS = 500
"""Longer rows are left out: what they cost buys several others."""
SHARES: Mapping[Hashable, int] = {
    ("contrast", "subtle"): 42,
    ("contrast", "clear"): 20,
    ("contrast", "plain"): 5,
    ("verifiable", "GSM8K"): 23,
    ("verifiable", "PRMBench"): 10,
}
"""So many of 100 rows, by `kind`."""


def kind(row: Row) -> tuple[str, str | None]:
    """Pool, and the strength of a contrast row's defects or another's source."""
    return row["pool"], row["strength"] if row["pool"] == "contrast" else row["source"]


def chosen(rows: Iterable[Row], items: int) -> Iterator[dict[str, Any]]:
    """Each kind's share, in the order of the draw."""
    return shared(rows, items, SHARES, kind, "meta", MOST_WORDS)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="runs/preferences/dataset", help="folder or Hub id")
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("runs/meta-rows.jsonl.gz"))
    args = parser.parse_args()
    rows = list(chosen(read_dataset(args.dataset, split="meta"), args.items))
    write_rows(args.out, rows)
    print(json.dumps({"rows": len(rows), **Counter(" ".join(map(str, kind(row))) for row in rows)}, indent=2))


if __name__ == "__main__":
    main()
