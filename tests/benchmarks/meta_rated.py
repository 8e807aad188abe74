"""What a meta RM's ratings are worth, source by source: AUC, and what each guided vote gains over the vote of all.

    python tests/benchmarks/meta_rated.py recipes/artifacts/meta-rm/rated --k 8 --k-meta 1,2,4

Reads a labelled store that one meta RM has rated; texts are not needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from modeling_grm.meta_quality import quality, strictly_correct
from modeling_grm.revoting import revote
from modeling_grm.runs import COLUMNS, load_runs
from modeling_grm.trajectories import read

RULES = ("sum", "meta_topk", "meta_soft", "random_topk", "length_topk")
RATED = ("item", "scores", "labels", "best", "meta_score")


def table(store: Path) -> Any:
    """All columns that are needed, as one Arrow table."""
    import pyarrow as pa

    return pa.Table.from_batches(list(read(store, list(dict.fromkeys((*COLUMNS, *RATED, "source"))))))


def about(rows: Any) -> str:
    """How well the ratings tell correct judgements from others."""
    rated = [row for row in rows.select(RATED).to_pylist() if row["meta_score"] is not None]
    correct = [bool(strictly_correct(row["scores"], row["labels"], row["best"])) for row in rated]
    found = quality([row["meta_score"] for row in rated], correct, [row["item"] for row in rated])
    return (
        f"{found['items']} items, correct {found['share_correct']:.2f}, AUC {found['auc']['value']:.3f} "
        f"({found['auc']['low']:.3f}-{found['auc']['high']:.3f}), within items {found['auc_within_items']:.2f}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--k-meta", default="1,2,4", help="sizes of the filter, with commas")
    args = parser.parse_args()
    rows, k_metas = table(args.store), [int(size) for size in args.k_meta.split(",")]
    sources = rows["source"].to_pylist()
    for name in (None, *sorted(set(sources))):
        part = rows.filter([name in (None, source) for source in sources])
        print(f"\n{name or 'all'}: {about(part)}")
        for point in revote(load_runs(part.to_batches()), [1, args.k], RULES, k_metas, against="sum"):
            if point["k"] == args.k or point["curve"] == "sum":
                low, high = 100 * point["gain_low"], 100 * point["gain_high"]
                said = f"{point['accuracy']:.3f}  {100 * point['gain']:+.1f} ({low:+.1f} to {high:+.1f})"
                print(f"  {point['curve']:<24} k = {point['k']:<3} {said}")


if __name__ == "__main__":
    main()
