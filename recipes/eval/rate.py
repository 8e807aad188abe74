"""A store's judgements rated by their judge's own first reading, from the rows: the store may have no texts.

    python recipes/eval/rate.py runs/rows400.jsonl.gz recipes/artifacts/stages/even --judge runs/even/merged
    python recipes/eval/stages.py runs/rows400.jsonl.gz even=recipes/artifacts/stages/even

`grm rate STORE --meta-model JUDGE` does the same for a store that keeps its texts. What is rated stays as it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from modeling_grm.data.sources import read_records
from modeling_grm.first_reading_grm import SELF
from modeling_grm.loading import DTYPES, load_rater
from modeling_grm.rating import check_template, rater_name, raters
from modeling_grm.trajectories import read, write_meta
from modeling_grm.types_grm import Critique, InvalidInput, Outcome, Request
from modeling_grm.voting_grm import item_hash

COLUMNS = ("key", "item", "order", "seed", "outcome", "scores")


def judged(store: Path, requests: Mapping[str, Request]) -> Iterator[tuple[str, str, Critique]]:
    """(item, key, critique) of each readable judgement.

    Raises:
        InvalidInput: one of a row that is not given.
    """
    for batch in read(store, COLUMNS):
        for row in batch.to_pylist():
            if row["outcome"] != Outcome.OK.value:
                continue
            if row["item"] not in requests:
                raise InvalidInput(
                    f"rows: the item {row['item']} of {store} is not among them; give those it was made of"
                )
            scores = tuple(row["scores"])
            yield row["item"], row["key"], Critique("", Outcome.OK, tuple(row["order"]), row["seed"], scores)


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
    rate = load_rater(SELF, judge=args.judge, dtype=args.dtype)
    check_template(args.store, rate.template)
    name = rater_name(rate)
    if name in raters(args.store):
        raise InvalidInput(f"store: {args.store} has the ratings of {name}")
    requests = {item_hash(one): one for one in map(_request, read_records(args.rows))}
    items: dict[str, list[tuple[str, Critique]]] = {}
    for item, key, critique in judged(args.store, requests):
        items.setdefault(item, []).append((key, critique))
    found: dict[str, float | None] = {}
    for item, samples in tqdm(items.items(), unit="item", disable=None):
        ratings = rate([(requests[item], critique) for _, critique in samples])
        found |= dict(zip((key for key, _ in samples), ratings, strict=True))
    write_meta(args.store, name, found)
    rated = sum(rating is not None for rating in found.values())
    print(json.dumps({"meta_model": name, "items": len(items), "rated": rated, "failures": rate.failures}))


def _request(row: Mapping[str, Any]) -> Request:
    return Request(row["conversation"], row["responses"])


if __name__ == "__main__":
    main()
