"""What `constrain="scores"` does to a judge: readable judgements, accuracy and tokens with it and without it.

    python recipes/eval/constrain.py --rows tests/data/contrast_test.jsonl.gz --limit 40
    python recipes/eval/constrain.py --rows rows.jsonl --model org/model --template compact --max-new-tokens 256

Both runs have the same rows, orders and seeds. A tie with the labelled best counts half, an abstention nothing. Prints
one JSON object; with --out it is written too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modeling_grm.bootstrap import wilson
from modeling_grm.configuration_grm import FREE
from modeling_grm.loading import load
from modeling_grm.pairing import credit
from modeling_grm.rows import Row, read_rows


def labelled(path: Path, limit: int) -> list[Row]:
    """The first rows of more than one response with a labelled best."""
    rows = (row for row in read_rows(path) if isinstance(row, Row) and isinstance(row.best, int) and row.request.n > 1)
    return [row for row, _ in zip(rows, range(limit), strict=False)]


def interval(values: Sequence[float]) -> list[float]:
    """95% Wilson interval of a share."""
    return [round(end, 3) for end in wilson(sum(values) / len(values), len(values))]


def figures(rows: list[Row], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares with 95% Wilson intervals, and mean tokens."""
    samples = [sample for result in results for sample in result["samples"]]
    readable = [float(sample["outcome"] == "ok") for sample in samples]
    right = [credit(result["scores"], row.best) for row, result in zip(rows, results, strict=True)]
    return {
        "parse_rate": round(sum(readable) / len(readable), 4),
        "parse_rate_ci95": interval(readable),
        "constrained": round(sum(sample["constrained"] for sample in samples) / len(samples), 4),
        "accuracy": round(sum(right) / len(right), 4),
        "accuracy_ci95": interval(right),
        "abstained": sum(result["scores"] is None for result in results),
        "tokens_a_sample": round(sum(sample["completion_tokens"] for sample in samples) / len(samples), 1),
        "outcomes": {name: sum(s["outcome"] == name for s in samples) for name in {s["outcome"] for s in samples}},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--model", help="the embedded judge if left out")
    parser.add_argument("--template")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows, pipe = labelled(args.rows, args.limit), load(args.model)
    settings = {name: getattr(args, name) for name in ("template", "k", "temperature", "max_new_tokens")}
    found: dict[str, Any] = {"rows": str(args.rows), "items": len(rows), "model": args.model or "embedded", **settings}
    for name, constrain in (("free", FREE), ("constrained", "scores")):
        asked = [row.request for row in rows]
        results = list(pipe(iter(asked), return_samples=True, rule="sum", constrain=constrain, **settings))
        found[name] = figures(rows, results)
    print(json.dumps(found, indent=2))
    if args.out:
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
