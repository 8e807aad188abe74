"""Measures a judge on the contrast set's test split: accuracy by defect with intervals, beside what needs no model.

    python recipes/eval/contrast.py --rows tests/data/contrast_test.jsonl.gz --out runs/contrast

Writes `results.jsonl` (a line an item, resumed where a run was stopped) and `report.json`, and prints the report.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from modeling_grm.bootstrap import wilson
from modeling_grm.loading import load
from modeling_grm.pairing import credit

HEURISTICS: dict[str, Callable[[dict[str, Any]], list[float]]] = {
    "longest": lambda row: [len(text.split()) for text in row["responses"]],
    "shortest": lambda row: [-len(text.split()) for text in row["responses"]],
    "first": lambda row: [-place for place in range(len(row["responses"]))],
}


def interval(values: Sequence[float]) -> list[float]:
    """95% Wilson interval of a share: unlike a bootstrap it does not shrink to a point where every item is right."""
    return [round(end, 3) for end in wilson(sum(values) / len(values), len(values))]


def summary(credits: Sequence[float]) -> dict[str, Any]:
    """Count, mean and interval."""
    return {"items": len(credits), "accuracy": round(sum(credits) / len(credits), 3), "ci95": interval(credits)}


def strict(result: dict[str, Any], best: int) -> float:
    """1 only where the best is right and alone."""
    return float(result["best"] == best)


def order_agreement(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Does the same response win whichever is shown first? Votes of the two orders of each pair, apart."""
    outcomes: Counter[str] = Counter()
    for result in results:
        votes = {}
        for order in ((0, 1), (1, 0)):
            scores = [s["scores"] for s in result["samples"] if s["scores"] and tuple(s["order"]) == order]
            votes[order] = sum(a - b for a, b in scores) if scores else None
        if None in votes.values():
            outcomes["unreadable"] += 1
        elif 0 in votes.values():
            outcomes["tie in one order"] += 1
        else:
            outcomes["same winner" if (votes[0, 1] > 0) == (votes[1, 0] > 0) else "flipped"] += 1
    return dict(outcomes)


def report(rows: Sequence[dict[str, Any]], results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """All figures of a finished run."""
    done = [(row, results[row["id"]]) for row in rows if row["id"] in results]
    pairs = [(row, r) for row, r in done if len(row["responses"]) == 2 and row["subset"] != "human_preference"]
    fours = [(row, r) for row, r in done if len(row["responses"]) == 4]
    singles = [(row, r) for row, r in done if len(row["responses"]) == 1]
    humans = [(row, r) for row, r in done if row["subset"] == "human_preference"]
    by_defect: dict[str, list[float]] = defaultdict(list)
    for row, result in pairs:
        by_defect[row["subset"]].append(credit(result["scores"], row["best"]))
    outcomes: Counter[str] = Counter()
    for _, result in done:
        outcomes.update(result["outcomes"])
    first_sample = [r["samples"][0]["scores"] for _, r in pairs]
    numbers = Counter(score for _, r in done for s in r["samples"] if s["scores"] for score in s["scores"])
    analyses = [s["analysis"] for _, r in done for s in r["samples"] if s["analysis"]]
    good = [r["scores"][0] for row, r in singles if r["scores"] and row["meta"]["defects"] == [None]]
    bad = [r["scores"][0] for row, r in singles if r["scores"] and row["meta"]["defects"] != [None]]
    return {
        "model": done[0][1]["model"],
        "k": done[0][1]["k"],
        "pairs": {
            **summary([credit(r["scores"], row["best"]) for row, r in pairs]),
            "strict": round(sum(strict(r, row["best"]) for row, r in pairs) / len(pairs), 3),
            "one_sample": round(
                sum(credit(s, row["best"]) for (row, _), s in zip(pairs, first_sample, strict=True)) / len(pairs), 3
            ),
        },
        "by_defect": {name: summary(values) for name, values in sorted(by_defect.items())},
        "heuristics": {
            name: round(sum(credit(rule(row), row["best"]) for row, _ in pairs) / len(pairs), 3)
            for name, rule in HEURISTICS.items()
        },
        "four_responses": summary([credit(r["scores"], row["best"]) for row, r in fours]) if fours else None,
        "one_response": {
            "mean_good": round(sum(good) / max(1, len(good)), 2),
            "mean_defective": round(sum(bad) / max(1, len(bad)), 2),
            "items": [len(good), len(bad)],
        },
        "human_pairs": summary([credit(r["scores"], row["best"]) for row, r in humans]) if humans else None,
        "outcomes": dict(outcomes),
        "ok_rate": round(outcomes["ok"] / sum(outcomes.values()), 4),
        "order_agreement": order_agreement(r for _, r in pairs),
        "score_shares": {str(s): round(c / sum(numbers.values()), 3) for s, c in sorted(numbers.items())},
        "distinct_analyses": round(len(set(analyses)) / max(1, len(analyses)), 3),
    }


def run(rows: Sequence[dict[str, Any]], model: str | None, k: int, temperature: float, store: Path) -> dict[str, Any]:
    """Score what the store does not have yet; a line is written as soon as an item is done."""
    done = {line["id"]: line for line in map(json.loads, store.read_text().splitlines())} if store.exists() else {}
    todo = [row for row in rows if row["id"] not in done]
    if todo:
        pipe, started = load(model), time.perf_counter()
        with store.open("a", encoding="utf-8") as sink:
            for number, (row, result) in enumerate(
                zip(todo, pipe(iter(todo), k=k, temperature=temperature, return_samples=True), strict=True), 1
            ):
                done[row["id"]] = {"id": row["id"], **result}
                sink.write(json.dumps(done[row["id"]], ensure_ascii=False) + "\n")
                sink.flush()
                if number % 20 == 0:
                    print(
                        f"{number}/{len(todo)} items, {number * k / (time.perf_counter() - started):.2f} judgements/s",
                        flush=True,
                    )
    return done


def swap_audit(rows: Sequence[dict[str, Any]], model: str | None, count: int, temperature: float) -> dict[str, Any]:
    """Scores `count` pairs (k = 2) as they are and with the responses swapped: how often do the scores swap too?"""
    pairs = [row for row in rows if len(row["responses"]) == 2]
    pairs = pairs[:: max(1, len(pairs) // count)][:count]
    swapped = [{**row, "responses": row["responses"][::-1]} for row in pairs]
    pipe = load(model)
    there, back = (pipe(items, k=2, temperature=temperature) for items in (pairs, swapped))
    same = sum(a["scores"] == (b["scores"] and b["scores"][::-1]) for a, b in zip(there, back, strict=True))
    return {"outputs": 4 * len(pairs), "pairs": len(pairs), "scores_swap": round(same / len(pairs), 3)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, default=Path("tests/data/contrast_test.jsonl.gz"), help="contrast rows")
    parser.add_argument("--out", type=Path, default=Path("runs/contrast"), help="folder of results and report")
    parser.add_argument("--model", help="Hub id or folder; the embedded judge if left out")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--limit", type=int, help="only that many items, evenly spread over the file")
    parser.add_argument("--audit", type=int, default=0, help="also score that many pairs with the responses swapped")
    args = parser.parse_args()
    with gzip.open(args.rows, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = rows[:: max(1, len(rows) // args.limit)][: args.limit] if args.limit else rows
    args.out.mkdir(parents=True, exist_ok=True)
    results = run(rows, args.model, args.k, args.temperature, args.out / "results.jsonl")
    figures = report(rows, results)
    if args.audit:
        figures["swap_audit"] = swap_audit(rows, args.model, args.audit, args.temperature)
    (args.out / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
