"""How the miniature's stages compare: accuracy with intervals, and the gains with paired ones.

figures(Miniature(args))["gains"][0] -> {"what": "RFT - cold start, Voting@1", "difference": 0.05, "low": 0.03, ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stages import Miniature

from modeling_grm.bootstrap import intervals
from modeling_grm.pairing import Credits, item_credits, paired
from modeling_grm.runs import COLUMNS, load_runs

STAGES = {
    "cold start": ("cold", Miniature.cold),
    "cold start, trained on": ("cold-on", Miniature.cold_on),
    "RFT": ("rft", Miniature.rft),
    "RFT, trained on": ("rft-on", Miniature.rft_on),
    "GRPO": ("grpo", Miniature.grpo),
}
CLAIMS = (
    ("RFT", "cold start"),
    ("RFT", "cold start, trained on"),
    ("GRPO", "RFT"),
    ("GRPO", "RFT, trained on"),
)


def credits_of(
    store: Path, ks: Sequence[int], rules: Sequence[str] = ("sum",)
) -> tuple[float, dict[tuple[str, int], Credits]]:
    """A store's share of readable judgements, and each item's credit by rule and k."""
    from modeling_grm.trajectories import read

    runs = load_runs(read(store, COLUMNS))
    ok = np.concatenate([group.ok.ravel() for group in runs.groups])
    return float(ok.mean()), {(rule, k): item_credits(runs, k, rule) for rule in rules for k in ks}


def accuracy(credits: Credits, items: Sequence[str]) -> dict[str, float]:
    """The mean over items with its interval."""
    values = np.array([[credits[item]] for item in items])
    low, high = intervals(values, np.ones_like(values))
    return {"accuracy": float(values.mean()), "low": float(low[0]), "high": float(high[0])}


def figures(small: Miniature) -> dict[str, Any]:
    """Every stage's accuracy, and the differences with paired intervals."""
    k = small.args.k
    stores = {name: small.judged(stage, make(small)) for name, (stage, make) in STAGES.items()}
    stores["GRPO"] = small.rated()
    found = {name: credits_of(store, (1, k)) for name, store in stores.items()}
    credits = {name: by_k for name, (_, by_k) in found.items()}
    _, votes = credits_of(stores["GRPO"], (k,), ("meta_topk", "random_topk"))
    items = sorted(credits["GRPO"]["sum", 1])

    def gain(what: str, after: Credits, before: Credits) -> dict[str, Any]:
        return {"what": what, **paired(before, after, items)}

    once, vote = credits["GRPO"]["sum", 1], credits["GRPO"]["sum", k]
    return {
        "items": len(items),
        "stages": [
            {"stage": name, "readable": found[name][0], "voting@1": accuracy(credits[name]["sum", 1], items),
             f"voting@{k}": accuracy(credits[name]["sum", k], items)}
            for name in STAGES
        ],
        f"meta_rm@{k}": accuracy(votes["meta_topk", k], items),
        "gains": [
            *(gain(f"{a} - {b}, Voting@1", credits[a]["sum", 1], credits[b]["sum", 1]) for a, b in CLAIMS),
            gain(f"Voting@{k} - Voting@1, GRPO", vote, once),
            gain(f"MetaRM@{k} - Voting@{k}, GRPO", votes["meta_topk", k], vote),
            gain(f"random half@{k} - Voting@{k}, GRPO (control)", votes["random_topk", k], vote),
        ],
    }  # fmt: skip


def cell(part: Mapping[str, float]) -> str:
    """An accuracy with its interval."""
    return f"{part['accuracy']:.3f} ({part['low']:.3f} - {part['high']:.3f})"


def points(part: Mapping[str, float]) -> tuple[str, str]:
    """A difference in points, and its interval."""
    return f"{100 * part['difference']:+.1f}", f"{100 * part['low']:+.1f} to {100 * part['high']:+.1f}"


def table(found: dict[str, Any], k: int) -> str:
    """The figures as Markdown."""

    stages = [
        f"| {row['stage']} | {row['readable']:.3f} | {cell(row['voting@1'])} | {cell(row[f'voting@{k}'])} |"
        for row in found["stages"]
    ]
    gains = [f"| {' | '.join((row['what'], *points(row)))} |" for row in found["gains"]]
    return "\n".join([
        f"{found['items']:,} unseen items; 95% bootstrap intervals over items.\n",
        f"| stage | readable | Voting@1 | Voting@{k} |", "|---|---|---|---|", *stages,
        f"| GRPO with its meta RM | | | {cell(found[f'meta_rm@{k}'])} |\n",
        "| gain | points | 95%, paired |", "|---|---|---|", *gains,
    ])  # fmt: skip
