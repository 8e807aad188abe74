"""The paper's ablations in miniature: what a part of the method is worth to the judge that comes out of it.

    python recipes/tiny/run.py --config recipes/tiny/tiny.yaml           the method itself
    python recipes/tiny/ablations.py --config recipes/tiny/tiny.yaml     then each without one part, in the same folder

They go on from the same cold start and its same samples; a stage that is left out takes its steps with it, the others
have as many (arXiv 2504.02495, table 4, and the KL penalty of its section 3.2). `ablations.json` has all figures.
Hinted sampling is a part of it only where the judge has seen hints (`told` in hinted.yaml).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stages import GENTLY, Arguments, Miniature, once
from table import accuracy, cell, credits_of, points

from modeling_grm.pairing import paired
from modeling_grm.recipes import script


class Ablated(Miniature):
    """The method without one part of it; each ends with a judge."""

    def relearnt(self, name: str, **keys: Any) -> Path:
        """GRPO of a judge that was tuned on the method's samples, made into another dataset."""
        self.kept()
        store = self.at(f"kept-{name}") / "store"
        once(store, lambda: shutil.copytree(self.at("kept") / "store", store, dirs_exist_ok=True))
        dataset = self.learnable(f"kept-{name}", **keys)
        rft = self.tuned(f"rft-{name}", self.cold(), dataset, self.args.rft_steps, **GENTLY)
        return self.reinforced(f"grpo-{name}", rft)

    def no_rejection(self) -> Path:
        """All judgements that can be read are learnt."""
        return self.relearnt("all", rejection=False)

    def no_hint(self) -> Path:
        """Only judgements that were not told the best response are learnt."""
        return self.relearnt("unhinted", hinted=False)

    def no_principles(self) -> Path:
        """The principles are taken out of what is kept."""
        return self.relearnt("plain", principles=False)

    def no_tuning(self) -> Path:
        """GRPO of the cold start."""
        return self.reinforced("grpo-cold", self.cold())

    def no_penalty(self) -> Path:
        """Nothing keeps the judge near the one that it was."""
        return self.reinforced("grpo-free", self.rft(), beta=0.0)


FULL = "the whole method"
HINT = "without hinted sampling"
JUDGES: dict[str, Callable[[Ablated], Path]] = {
    FULL: Miniature.grpo,
    "without rejection": Ablated.no_rejection,
    HINT: Ablated.no_hint,
    "without principles": Ablated.no_principles,
    "without rejective fine-tuning": Ablated.no_tuning,
    "without KL penalty": Ablated.no_penalty,
    "without GRPO": Miniature.rft,
}


def figures(small: Ablated) -> dict[str, Any]:
    """Each judge's accuracy, and its difference from the whole method, paired."""
    ks = (1, small.args.k)
    models = {name: make(small) for name, make in JUDGES.items() if name != HINT or small.args.told}
    found = {name: credits_of(small.judged(model.name, model), ks) for name, model in models.items()}
    whole = found[FULL][1]
    items = sorted(whole["sum", 1])
    return {
        "items": len(items),
        "judges": [
            {"judge": name, "readable": readable}
            | {f"voting@{k}": accuracy(credits["sum", k], items) for k in ks}
            | {f"against@{k}": paired(whole["sum", k], credits["sum", k], items) for k in ks if name != FULL}
            for name, (readable, credits) in found.items()
        ],
    }


def table(found: Mapping[str, Any], k: int) -> str:
    """The figures as Markdown."""

    def against(row: Mapping[str, Any], k: int) -> str:
        return "{} ({})".format(*points(row[f"against@{k}"])) if f"against@{k}" in row else ""

    lines = [
        f"| {row['judge']} | {row['readable']:.3f} | {cell(row['voting@1'])} | {against(row, 1)} "
        f"| {cell(row[f'voting@{k}'])} | {against(row, k)} |"
        for row in found["judges"]
    ]
    return "\n".join([
        f"{found['items']:,} unseen items; 95% bootstrap intervals over items, differences in points and paired.\n",
        f"| judge | readable | Voting@1 | difference | Voting@{k} | difference |", "|---|---|---|---|---|---|", *lines,
    ])  # fmt: skip


def main(args: Arguments) -> None:
    """All judges, then their table."""
    found = figures(Ablated(args)) | {"settings": vars(args)}
    (Path(args.out) / "ablations.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(found, args.k))


if __name__ == "__main__":
    script(main, Arguments)
