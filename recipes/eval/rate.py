"""A store's judgements rated by their judge's own first reading, from the rows: the store may have no texts.

    python recipes/eval/rate.py runs/rows400.jsonl.gz recipes/artifacts/stages/unquoted
    python recipes/eval/stages.py runs/rows400.jsonl.gz unquoted=recipes/artifacts/stages/unquoted

`grm rate STORE --meta-model JUDGE` does the same for a store that keeps its texts. What is rated stays as it is, so a
run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from modeling_grm.data.sources import read_records
from modeling_grm.first_reading_grm import SELF
from modeling_grm.loading import DTYPES, load_rater
from modeling_grm.rating import rate_store, rater_name
from modeling_grm.types_grm import Request
from modeling_grm.voting_grm import item_hash


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument(
        "--judge", help="Hub id or folder of the judge that wrote the store; the embedded one if left out"
    )
    parser.add_argument("--dtype", choices=DTYPES, help="the fastest on this machine if left out")
    args = parser.parse_args()
    asked = (Request(row["conversation"], row["responses"]) for row in read_records(args.rows))
    requests = {item_hash(one): one for one in asked}
    rate = load_rater(SELF, judge=args.judge, dtype=args.dtype)
    name = rater_name(rate)
    counts = rate_store(args.store, rate, name, requests=requests)
    failures = {why.value: count for why, count in rate.failures.items()}
    print(json.dumps({"meta_model": name, **counts, "failures": failures}))


if __name__ == "__main__":
    main()
