"""What a generative reward model is compared with, under the same items, metrics and report.

    baseline = make("scalar", model="org/a-reward-model")
    answers = judge(loaded.items, baseline, Path("report/scalar.jsonl"))      what the file has is not asked anew

| baseline | what it does |
|---|---|
| shortest, longest, first | no model: the length, or the place in the item's own order |
| scalar | a sequence classifier with one label scores each response alone |
| verdict | LLM-as-a-judge: names the best response, k times in balanced orders; shares of the votes |
| token-prob | the probability of each response's number as the verdict, averaged over the n rotations |
| first-reading | the scores that a judge has ready where the prompt has just shown a response, over the n rotations |

Where a benchmark's own protocol judges both orders of a pair, each order of a verdict or of its probabilities decides
alone, and the official metric puts the two together; the report says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..types_grm import InvalidInput
from .base import Answer, Baseline, answers_of, judge
from .heuristics import Heuristic
from .reading import FirstScores
from .scalar import Scalar
from .token_prob import TokenProb
from .verdict import Verdict

__all__ = ["BASELINES", "Answer", "Baseline", "answers_of", "judge", "make"]

BASELINES: Mapping[str, Callable[..., Baseline]] = {
    "shortest": lambda **_: Heuristic("shortest"),
    "longest": lambda **_: Heuristic("longest"),
    "first": lambda **_: Heuristic("first"),
    "scalar": lambda model, dtype=None, batch_size=None, **_: Scalar.load(model, dtype, batch_size),
    "verdict": lambda pipe, settings, batch_size=None, **_: Verdict(pipe(), settings, batch_size),
    "token-prob": lambda pipe, **_: TokenProb(pipe()),
    "first-reading": lambda pipe, settings, **_: FirstScores(pipe(), settings.get("template")),
}
"""Name -> what makes it from what `make` is given."""


def make(name: str, **given: Any) -> Baseline:
    """A baseline by its name.

    Args:
        name: one of `BASELINES`.
        given: `model` (Hub id or folder), `dtype`, `batch_size`, `settings` of a call, `pipe` (a function that loads a
            `RewardScoringPipeline`, called only where it is needed).

    Raises:
        InvalidInput: no such baseline, or a model that it cannot use.
    """
    if name not in BASELINES:
        raise InvalidInput(f"baseline: {name!r} is unknown; known are {', '.join(BASELINES)}")
    return BASELINES[name](**given)
