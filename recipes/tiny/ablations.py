"""The paper's ablations in miniature: what a part of the method is worth to the judge that comes out of it.

    python recipes/tiny/run.py --config recipes/tiny/tiny.yaml           the method itself
    python recipes/tiny/ablations.py --config recipes/tiny/tiny.yaml     then each without one part, in the same folder

They go on from the same cold start and its same samples, for as many steps (arXiv 2504.02495, table 4, and the KL
penalty of its section 3.2). `ablations.json` has all figures. Hinted sampling is no part of the miniature, whose judge
has never seen a hint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages import GENTLY, Arguments, Miniature
from table import accuracy, cell, credits_of

from modeling_grm.pairing import paired
from modeling_grm.recipes import script


@dataclass(frozen=True)
class Ablated(Miniature):
    """The method without one part of it; each ends with a judge."""

    def resampled(self, name: str, **keys: Any) -> Path:
        """The samples of the method, made into another dataset."""
        self.kept()
        shutil.copytree(self.at("kept") / "store", self.at(name) / "store", dirs_exist_ok=True)
        return self.sampled(name, **keys)

    def tuned_on(self, name: str, dataset: Path) -> Path:
        """Fine-tuning of the cold start, then GRPO."""
        rft = self.tuned(f"rft-{name}", self.cold(), dataset, self.args.rft_steps, **GENTLY)
        return self.reinforced(f"grpo-{name}", rft)

    def no_rejection(self) -> Path:
        """All judgements that can be read are learnt."""
        return self.tuned_on("all", self.resampled("kept-all", rejection=False))

    def no_principles(self) -> Path:
        """The principles are taken out of what is kept."""
        return self.tuned_on("plain", self.resampled("kept-plain", principles=False))

    def no_tuning(self) -> Path:
        """GRPO of the cold start."""
        return self.reinforced("grpo-cold", self.cold())

    def no_penalty(self) -> Path:
        """Nothing keeps the judge near the one that it was."""
        return self.reinforced("grpo-free", self.rft(), beta=0.0)


FULL = "the whole method"
JUDGES: dict[str, tuple[str, Callable[[Ablated], Path]]] = {
    FULL: ("grpo", Miniature.grpo),
    "without rejection": ("all", Ablated.no_rejection),
    "without principles": ("plain", Ablated.no_principles),
    "without rejective fine-tuning": ("uncold", Ablated.no_tuning),
    "without KL penalty": ("free", Ablated.no_penalty),
    "without GRPO": ("rft", Miniature.rft),
}
"""Name -> of its store, and how its judge is made."""


def figures(small: Ablated) -> dict[str, Any]:
    """Each judge's accuracy, and what it has less than the whole method, paired."""
    ks = (1, small.args.k)
    stores = {name: small.judged(short, make(small)) for name, (short, make) in JUDGES.items()}
    found = {name: credits_of(store, ks) for name, store in stores.items()}
    readable = {name: share for name, (share, _) in found.items()}
    credits = {name: {k: by_k["sum", k] for k in ks} for name, (_, by_k) in found.items()}
    items = sorted(credits[FULL][1])
    return {
        "items": len(items),
        "judges": [
            {"judge": name, "readable": readable[name]}
            | {f"voting@{k}": accuracy(credits[name][k], items) for k in ks}
            | {f"against@{k}": paired(credits[FULL][k], credits[name][k], items) for k in ks if name != FULL}
            for name in JUDGES
        ],
    }


def table(found: Mapping[str, Any], k: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {row['judge']} | {row['readable']:.3f} | {cell(row['voting@1'])} | {_less(row, 1)} "
        f"| {cell(row[f'voting@{k}'])} | {_less(row, k)} |"
        for row in found["judges"]
    ]
    return "\n".join([
        f"{found['items']:,} unseen items; 95% bootstrap intervals over items, differences in points and paired.\n",
        f"| judge | readable | Voting@1 | difference | Voting@{k} | difference |", "|---|---|---|---|---|---|", *lines,
    ])  # fmt: skip


def _less(row: Mapping[str, Any], k: int) -> str:
    one = row.get(f"against@{k}")
    return f"{100 * one['difference']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})" if one else ""


def main(args: Arguments) -> None:
    """All judges, then their table."""
    found = figures(Ablated(args)) | {"settings": vars(args)}
    (Path(args.out) / "ablations.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(found, args.k))


if __name__ == "__main__":
    script(main, Arguments)
