"""A judge's first reading alone: the scores that it has ready where the prompt has just shown each response.

    FirstScores(pipe)([item]) -> Answer(scores=(8.1, 3.2), samples=({"order": [1, 0], "scores": [3.0, 8.2], ...}, ...))

Expected scores, averaged over the item's n rotations, so that no slot favours a response; what each said alone is kept
for benchmarks that count both orders of a pair. One forward pass each; nothing is written. What a guided vote
(`first_reading_grm`) is worth over this is what the written judgements are worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import torch

from ..benchmarks.base import Item
from ..first_reading_grm import FirstReading, check_closing
from ..types_grm import InvalidInput, Outcome
from ..voting_grm import orders
from .base import Answer


class FirstScores:
    """See the file.

    Args:
        pipe: a `RewardScoringPipeline` on a transformers model that was taught to have the scores ready.
        template: the judge's own if None.

    Attributes:
        about, k: as in `Baseline`.

    Raises:
        InvalidInput: another engine, which gives no probabilities, or a template that does not close its responses.
    """

    k = 0

    def __init__(self, pipe: Any, template: str | None = None) -> None:
        if not isinstance(pipe.model, torch.nn.Module):
            raise InvalidInput("backend: first-reading reads the model's own probabilities; use --backend transformers")
        check_closing(template or pipe.grm.template, "template")
        self.reading = FirstReading(pipe.model, pipe.tokenizer, template or pipe.grm.template)
        settings = {"template": self.reading.template}
        self.about: dict[str, Any] = {"kind": "first-reading", "model": self.reading.judge, "settings": settings}

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """One answer an item."""
        return map(self._answer, items)

    def _answer(self, item: Item) -> Answer:
        reading, request = self.reading, item.request
        shown = [order for order, _ in orders(request, request.n, request.n)]
        prompts = [reading.prompt(request, order) for order in shown]
        longest = max(map(len, prompts))
        if longest > reading.context:
            return Answer(None, reason=f"prompt {longest:,} tokens > context {reading.context:,}")
        samples = tuple(self._sample(ids, order) for ids, order in zip(prompts, shown, strict=True))
        return Answer(tuple(map(fmean, zip(*(sample["scores"] for sample in samples), strict=True))), samples)

    def _sample(self, ids: Sequence[int], order: Sequence[int]) -> dict[str, Any]:
        """One rotation's expected scores, back in the item's order."""
        chances = self.reading.chances(ids, len(order))
        expected = [sum(score * chance for score, chance in enumerate(found, self.reading.low)) for found in chances]
        scores = [expected[order.index(at)] for at in range(len(order))]
        return {"order": list(order), "outcome": Outcome.OK.value, "scores": scores}
