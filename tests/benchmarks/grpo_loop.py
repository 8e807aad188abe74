"""Where a GRPO step's time goes, and what sharing prompts saves: `recipes/grpo/train.py` timed from inside.

    python tests/benchmarks/grpo_loop.py --steps 4        the embedded judge; rollouts and passes with and without it

The miniature's judge needs more words: BENCHMARKS.md has them.

`rollouts` is the making of completions, `passes` the forward and backward passes, `other` all the rest of a training
step: rendering, parsing, rewards, padding, logging. The optimiser's own step is in none of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from transformers import Trainer
from trl import GRPOTrainer

from modeling_grm.recipes import parse
from modeling_grm.shared_passes import SharedPasses

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "grpo"
sys.path.insert(0, str(RECIPE))
PARTS = {
    (GRPOTrainer, "_generate"): "rollouts",
    (GRPOTrainer, "_get_per_token_logps_and_entropies"): "passes",
    (SharedPasses, "_get_per_token_logps_and_entropies"): "passes",
    (torch.Tensor, "backward"): "passes",
    (Trainer, "training_step"): "step",
}


WAYS = (("transformers", True), ("transformers", False), ("trainer", False))


class Clock:
    """Seconds of each part; a part inside another of the same name counts once."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.open: set[str] = set()

    def timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, timed."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if name in self.open:
                return method(*args, **kwargs)
            self.open.add(name)
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.open.discard(name)
                self.seconds.setdefault(name, []).append(time.perf_counter() - start)

        return wrapped

    def after_first(self, name: str, steps: int) -> float:
        """Seconds of a part without the first step's."""
        spent = self.seconds[name]
        return sum(spent[len(spent) // steps :])


@contextmanager
def watching() -> Iterator[Clock]:
    """Every part of `PARTS` timed inside the block."""
    clock, patches = Clock(), []
    for (owner, method), name in PARTS.items():
        patches.append(patch.object(owner, method, clock.timed(name, getattr(owner, method))))
        patches[-1].start()
    try:
        yield clock
    finally:
        for one in patches:
            one.stop()


def measured(engine: str, shared: bool, steps: int, words: list[str]) -> dict[str, Any]:
    """Seconds a step of each part and its share of the training loop's time; the first step warms up."""
    recipe = import_module("train")  # by its name, since its settings are pickled
    with tempfile.TemporaryDirectory() as folder, watching() as clock:
        given = [*words, "--output_dir", folder, "--max_steps", str(steps + 1)]
        given += ["--rollout_engine", engine, "--shared_passes", str(shared)]
        args, config = parse(recipe.RecipeArguments, recipe.SPCTConfig, argv=given)
        recipe.main(args, config)
        log = json.loads((Path(folder) / "log_history.json").read_text(encoding="utf-8"))
    passes, rollouts, whole = (clock.after_first(name, steps + 1) for name in ("passes", "rollouts", "step"))
    length = [row["completions/mean_length"] for row in log if "completions/mean_length" in row][1:]
    shares = {"rollouts": rollouts / whole, "passes": passes / whole, "other": 1 - (rollouts + passes) / whole}
    return {
        "engine": engine,
        "shared_passes": shared,
        "seconds_a_step": whole / steps,
        "rollout_seconds": rollouts / steps,
        "pass_seconds": passes / steps,
        "tokens_a_rollout": sum(length) / len(length),
        "share": {name: round(share, 4) for name, share in shares.items()},
    }


def main() -> None:
    """Measure all ways in turn and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--config", default=str(RECIPE / "smollm2-135m.yaml"))
    args, words = parser.parse_known_args()
    for engine, shared in WAYS:
        print(json.dumps(measured(engine, shared, args.steps, ["--config", args.config, *words])), flush=True)


if __name__ == "__main__":
    main()
