"""Writes the contrast set: `python -m modeling_grm.data.contrast --data ../shared/data/train --out runs/contrast`."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from .build import build

parser = argparse.ArgumentParser(description="Write the contrast set's splits as gzip JSON lines.")
parser.add_argument("--data", type=Path, required=True, help="folder with the MIT / Apache-2.0 source files")
parser.add_argument("--out", type=Path, required=True, help="folder for train.jsonl.gz and test.jsonl.gz")
parser.add_argument("--train", type=int, default=4000, help="rows of the train split")
parser.add_argument("--test", type=int, default=400, help="balanced pairs of the test split")
parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    """Command line."""
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", args.train), ("test", args.test)):
        rows = build(args.data, split, count, args.seed)
        path = args.out / f"{split}.jsonl.gz"
        with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
            packed.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows)
        print(f"{path}: {len(rows)} rows")


if __name__ == "__main__":
    main()
