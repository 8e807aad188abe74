"""The fixed rows that a judge's checkpoints are measured on: three pools, none of whose prompts the judge has seen.

    python recipes/eval/rows.py --dataset runs/preferences/dataset --data ../shared/data/eval --items 400

Of the preference dataset it takes the part `test`, of each benchmark file a share; which rows goes by a hash of their
id, so that 400 are among 1,500. The rows stay here: some benchmarks' licences forbid to pass them on. The contrast rows
of the first 400 are kept in `contrast.jsonl.gz`: the dataset has other texts under these ids since they were measured.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from modeling_grm.console import progress
from modeling_grm.data.drawing import Row, draw, words, write_rows
from modeling_grm.data.sources import read_records
from modeling_grm.data.tuning import read_dataset
from modeling_grm.types_grm import InvalidInput

MOST_WORDS = 900
"""Longer rows are left out: on a CPU one of them costs as much as ten others."""
KEPT = Path(__file__).with_name("contrast.jsonl.gz")


class Part(NamedTuple):
    """A share of a pool: so many of 100 rows in all, from a benchmark file (or the dataset's test part) by a filter."""

    pool: str
    name: str
    share: int
    file: str | None
    wanted: Callable[[Row], bool] = lambda row: True


def _of(pool: str, source: str | None = None) -> Callable[[Row], bool]:
    return lambda row: row["pool"] == pool and source in (None, row["source"])


def _one_best(row: Row) -> bool:
    labels = row.get("labels") or []
    return labels.count(max(labels, default=0)) == 1


PARTS = (
    Part("contrast", "contrast", 35, None, _of("contrast")),
    Part("verifiable", "miscalculated", 10, None, _of("verifiable", "GSM8K")),
    Part("verifiable", "gsm8k-best-of-4", 10, "gsm8k_best_of_4.jsonl.gz", _one_best),
    Part("verifiable", "processbench", 5, "processbench_partial.jsonl.gz", lambda row: row["subset"] == "gsm8k"),
    Part("verifiable", "bigbench-mistake", 5, "bigbench_mistake.jsonl.gz"),
    Part("human", "rmb", 10, "rmb_pairwise_dev.jsonl.gz"),
    Part("human", "rmb-best-of-n", 5, "rmb_bon_dev.jsonl.gz"),
    Part("human", "rewardbench", 8, "rewardbench_partial.jsonl.gz"),
    Part("human", "rm-bench", 5, "rm_bench_partial.jsonl.gz"),
    Part("human", "pandalm", 7, "pandalm_test.jsonl.gz", _one_best),
)


def as_pair(row: Row, key: str) -> Row:
    """A row of RM-Bench, three chosen and three rejected responses by style, as a pair of one style."""
    chosen, rejected = ([at for at, label in enumerate(row["labels"]) if label == want] for want in (1, 0))
    style, swap = int(key[:8], 16) % 3, int(key[8:10], 16) % 2
    places = [chosen[style], rejected[style]][:: -1 if swap else 1]
    return {**row, "responses": [row["responses"][at] for at in places], "labels": [row["labels"][at] for at in places]}


def chosen(part: Part, rows: Iterable[Row], items: int) -> Iterator[dict[str, Any]]:
    """The part's share, in the order of the draw.

    Raises:
        InvalidInput: there are too few rows.
    """
    wanted = round(items * part.share / 100)
    named = ((draw(part.name, row["id"]), row) for row in rows if part.wanted(row))
    cut = ((key, as_pair(row, key) if part.name == "rm-bench" else row) for key, row in named)
    fits = sorted(((key, row) for key, row in cut if words(row) <= MOST_WORDS), key=lambda one: one[0])
    if len(fits) < wanted:
        raise InvalidInput(f"items: {part.name} has {len(fits)} rows of at most {MOST_WORDS} words, not {wanted}")
    for _, row in fits[:wanted]:
        yield {
            "id": f"{part.name}/{row['id']}",
            "pool": part.pool,
            "source": part.name,
            "subset": row.get("subset"),
            "strength": row.get("strength"),
            "conversation": row["conversation"],
            "responses": row["responses"],
            "labels": row["labels"],
        }


def made(dataset: Path, data: Path, items: int) -> list[dict[str, Any]]:
    """All rows, part by part."""
    rows = read_dataset(str(dataset), split="test").to_list()
    kept = ({**row, "id": row["id"].partition("/")[2]} for row in read_records(KEPT))
    own = list({row["id"]: row for row in (*rows, *kept)}.values())
    found: list[dict[str, Any]] = []
    with progress(len(PARTS), "parts") as bar:
        for part in PARTS:
            rows = own if part.file is None else list(read_records(data / part.file))
            found += chosen(part, rows, items)
            bar.advance(bar.task_ids[0])
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=Path("runs/preferences/dataset"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmark files")
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("runs/rows.jsonl.gz"))
    args = parser.parse_args()
    rows = made(args.dataset, args.data, args.items)
    write_rows(args.out, rows)
    print(json.dumps({"rows": len(rows), **Counter(f"{row['pool']}: {row['source']}" for row in rows)}, indent=2))


if __name__ == "__main__":
    main()
