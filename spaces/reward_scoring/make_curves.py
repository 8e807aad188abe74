"""curves.json, for the tab "Scaling": accuracy against k, voted anew from stored judgements, without any text.

    python spaces/reward_scoring/make_curves.py            # the embedded judge's stored scores of the contrast set
    python spaces/reward_scoring/make_curves.py STORE      # a labelled store of `grm score --store`

A store that a meta RM has rated (`grm rate`) brings its curves, and one that counts tokens the longest-half control.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modeling_grm import Request, orders
from modeling_grm.revoting import revote
from modeling_grm.runs import COLUMNS, Runs, load_runs
from modeling_grm.trajectories import read

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "tests" / "data"
ALWAYS = ("sum", "majority", "random_topk")
SHOWN = ("curve", "k", "accuracy", "low", "high")
KS = (1, 2, 4, 8, 16, 32)
TEXT = (
    "Every judgement was stored once, and any number of them can be voted on again without the model. The bands are "
    "95% intervals over items. The controls let as many judgements vote as a meta RM would, but pick them blindly: "
    "what a meta RM is worth is its distance from them."
)
NO_META = "No meta RM comes with the embedded judge yet, so its line is missing here."


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def stored_scores() -> Iterator[dict[str, Any]]:
    """The stored scores as a store's rows; orders and seeds are made again, as content decides them."""
    rows = {row["id"]: row for row in _lines("contrast_test.jsonl.gz")}
    for judged in _lines("judge_scores.jsonl.gz"):
        request = Request(rows[judged["id"]]["conversation"], rows[judged["id"]]["responses"])
        design = orders(request, request.n, len(judged["scores"]))
        if [order[0] for order, _ in design] != judged["first"]:
            raise ValueError(f"{judged['id']}: its stored orders are not those of this version; score the set anew")
        for sample, ((order, seed), scores) in enumerate(zip(design, judged["scores"], strict=True)):
            outcome = {"outcome": "ok" if scores else "no_scores", "scores": scores, "best": judged["best"]}
            yield {"item": judged["id"], "n": request.n, "sample": sample, "order": order, "seed": seed} | outcome


def rules_for(runs: Runs) -> list[str]:
    """The rules that these samples have what it needs for."""
    groups = runs.labelled
    rated = any((group.meta == group.meta).any() for group in groups)  # NaN where it said nothing
    counted = any(group.tokens.any() for group in groups)
    return [*ALWAYS, *(("meta_topk", "meta_soft") if rated else ()), *(("length_topk",) if counted else ())]


def curves(rows: Iterable[Any], judge: str) -> dict[str, Any]:
    """What `view.scaling_page` shows."""
    runs = load_runs(rows)
    rules = rules_for(runs)
    points = revote(runs, [k for k in KS if k <= min(runs.counts)], rules)
    note = f"Judge: {judge}." if "meta_topk" in rules else f"Judge: {judge}. {NO_META}"
    about = {"text": TEXT, "note": note, "items": points[0]["items"]}
    return {"about": about, "points": [{name: _short(point[name]) for name in SHOWN} for point in points]}


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def main(arguments: list[str]) -> None:
    """Write curves.json."""
    if arguments:
        found = curves(read(Path(arguments[0]), list(COLUMNS)), Path(arguments[0]).name)
    else:
        found = curves(
            stored_scores(), "the embedded one, SmolLM2-135M with a LoRA adapter, on the contrast set's test split"
        )
    (HERE / "curves.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
