"""A judge's first reading alone: the scores that it has ready where the prompt has just shown each response.

    FirstScores(pipe)([item]) -> Answer(scores=(8.1, 3.2), samples=({"order": [1, 0], "scores": [3.0, 8.2], ...}, ...))

Expected scores, averaged over the item's n rotations, so that no slot favours a response; what each said alone is kept
for benchmarks that count both orders of a pair. One forward pass each; nothing is written. What a guided vote
(`first_reading_grm`) is worth over this is what the written judgements are worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..benchmarks.base import Item
from ..first_reading_grm import FirstReading, check_closing
from ..types_grm import InvalidInput
from ..voting_grm import orders
from .base import Answer, over_orders


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
        return over_orders(
            [(order, self._expected(ids, len(order))) for ids, order in zip(prompts, shown, strict=True)]
        )

    def _expected(self, ids: Sequence[int], n: int) -> list[float]:
        """Each shown response's expected score."""
        chances = self.reading.chances(ids, n)
        return [sum(score * chance for score, chance in enumerate(found, self.reading.low)) for found in chances]
