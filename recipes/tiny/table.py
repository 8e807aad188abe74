"""How the miniature's stages compare: accuracy with intervals, and the gains with paired ones.

figures(Miniature(args))["gains"][0] -> {"what": "RFT - cold start, Voting@1", "difference": 0.05, "low": 0.03, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages import Miniature

from modeling_grm.bootstrap import intervals

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


def figures(small: Miniature) -> dict[str, Any]:
    """Every stage's accuracy, and the differences with paired intervals."""
    import numpy as np

    from modeling_grm.pairing import item_credits, paired
    from modeling_grm.runs import COLUMNS, load_runs
    from modeling_grm.trajectories import read

    k = small.args.k
    stores = {name: small.judged(stage, make(small)) for name, (stage, make) in STAGES.items()}
    stores["GRPO"] = small.rated()
    runs = {name: load_runs(read(store, COLUMNS)) for name, store in stores.items()}
    credits = {(name, 1, "sum"): item_credits(found, 1, "sum") for name, found in runs.items()}
    credits |= {(name, k, "sum"): item_credits(found, k, "sum") for name, found in runs.items()}
    credits |= {("GRPO", k, rule): item_credits(runs["GRPO"], k, rule) for rule in ("meta_topk", "random_topk")}
    asked = sorted(credits["GRPO", 1, "sum"])

    def accuracy(key: tuple[str, int, str]) -> dict[str, float]:
        values = np.array([[credits[key][item]] for item in asked])
        low, high = intervals(values, np.ones_like(values))
        return {"accuracy": float(values.mean()), "low": float(low[0]), "high": float(high[0])}

    def gain(a: tuple[str, int, str], b: tuple[str, int, str]) -> dict[str, Any]:
        return paired(credits[b], credits[a], asked)

    vote, meta, chance = (("GRPO", k, rule) for rule in ("sum", "meta_topk", "random_topk"))
    ok = {name: np.concatenate([group.ok.ravel() for group in found.groups]) for name, found in runs.items()}
    return {
        "items": len(asked),
        "stages": [
            {"stage": name, "readable": float(ok[name].mean()), "voting@1": accuracy((name, 1, "sum")),
             f"voting@{k}": accuracy((name, k, "sum"))}
            for name in STAGES
        ],
        f"meta_rm@{k}": accuracy(meta),
        "gains": [
            *({"what": f"{a} - {b}, Voting@1", **gain((a, 1, "sum"), (b, 1, "sum"))} for a, b in CLAIMS),
            {"what": f"Voting@{k} - Voting@1, GRPO", **gain(vote, ("GRPO", 1, "sum"))},
            {"what": f"MetaRM@{k} - Voting@{k}, GRPO", **gain(meta, vote)},
            {"what": f"random half@{k} - Voting@{k}, GRPO (control)", **gain(chance, vote)},
        ],
    }  # fmt: skip


def table(found: dict[str, Any], k: int) -> str:
    """The figures as Markdown."""

    def cell(part: Mapping[str, float]) -> str:
        return f"{part['accuracy']:.3f} ({part['low']:.3f} - {part['high']:.3f})"

    stages = [
        f"| {row['stage']} | {row['readable']:.3f} | {cell(row['voting@1'])} | {cell(row[f'voting@{k}'])} |"
        for row in found["stages"]
    ]
    gains = [
        f"| {row['what']} | {100 * row['difference']:+.1f} | {100 * row['low']:+.1f} to {100 * row['high']:+.1f} |"
        for row in found["gains"]
    ]
    return "\n".join([
        f"{found['items']:,} unseen items; 95% bootstrap intervals over items.\n",
        f"| stage | readable | Voting@1 | Voting@{k} |", "|---|---|---|---|", *stages,
        f"| GRPO with its meta RM | | | {cell(found[f'meta_rm@{k}'])} |\n",
        "| gain | points | 95%, paired |", "|---|---|---|", *gains,
    ])  # fmt: skip
