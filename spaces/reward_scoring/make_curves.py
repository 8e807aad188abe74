"""curves.json, for the tab "Scaling": accuracy against k, voted anew from stored judgements, without any text.

    python spaces/reward_scoring/make_curves.py                # of recipes/artifacts/meta-rm, rated by a meta RM
    python spaces/reward_scoring/make_curves.py STORE [JUDGE]  # a labelled store of `grm score`, and whose it is

A store that a meta RM has rated (`grm rate`) brings its curves, and one that counts tokens the longest-half control.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modeling_grm.revoting import revote
from modeling_grm.runs import COLUMNS, Runs, load_runs
from modeling_grm.trajectories import read

HERE = Path(__file__).resolve().parent
STORE = HERE.parent.parent / "recipes" / "artifacts" / "meta-rm" / "rated"
JUDGE = (
    "the first embedded one (recipes/artifacts/cold), SmolLM2-135M with a LoRA adapter, on 505 unseen pairs, one in "
    "five of them a matter of human preference. Its meta RM (recipes/meta_rm/smollm2-135m.yaml) does not beat "
    "the vote of all yet"
)
ALWAYS = ("sum", "majority", "random_topk")
SHOWN = ("curve", "k", "accuracy", "low", "high")
KS = (1, 2, 4, 8, 16, 32)
TEXT = (
    "Every judgement was stored once, and any number of them can be voted on again without the model. The bands are "
    "95% intervals over items. The controls let as many judgements vote as a meta RM would, but pick them blindly: "
    "what a meta RM is worth is its distance from them."
)
NO_META = "No meta RM has rated its judgements, so that line is missing here."


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


def main(store: str | Path = STORE, judge: str | None = None) -> None:
    """Write curves.json."""
    folder = Path(store)
    found = curves(read(folder, list(COLUMNS)), judge or (JUDGE if folder == STORE else folder.name))
    (HERE / "curves.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
