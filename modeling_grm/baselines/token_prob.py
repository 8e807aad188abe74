r"""Score-token probability: how likely each response's number is as the judge's verdict, without a written judgement.

    TokenProb(pipe)([item]) -> Answer(scores=(0.81, 0.19), samples=({"order": [1, 0], "scores": [0.8, 0.2], ...}, ...))

The prompt is LLM-as-a-judge's and the answer is begun with `Scores: \boxed{`; the probabilities of the numbers 1..n as
the next token, made to sum to 1, are averaged over the item's n rotations, so that no slot favours a response; what
each said alone is kept for benchmarks that count both orders of a pair. One forward pass each; nothing is sampled (the
TokenProb baseline of arXiv 2504.02495, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..benchmarks.base import Item
from ..generation_grm import context_length, encode
from ..prompts_grm import render
from ..slots_grm import slots
from ..types_grm import InvalidInput, Request
from ..voting_grm import orders
from .base import Answer, over_orders
from .verdict import TEMPLATE

MOST = 9  # responses whose number is one digit


class TokenProb:
    """See the file.

    Args:
        pipe: a `RewardScoringPipeline` on a transformers model.

    Attributes:
        about, k: as in `Baseline`.

    Raises:
        InvalidInput: another engine, which gives no probabilities of the next token.
    """

    k = 0

    def __init__(self, pipe: Any) -> None:
        if not isinstance(pipe.model, torch.nn.Module):
            raise InvalidInput("backend: token-prob reads the model's own probabilities; use --backend transformers")
        self.model: Any = pipe.model.eval()
        self.tokenizer = pipe.tokenizer
        self.context, self.slots = context_length(pipe.model), slots(pipe.tokenizer)
        self.about: dict[str, Any] = {"kind": "token-prob", "model": pipe.name, "settings": {"template": TEMPLATE}}

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """One answer an item."""
        return map(self._answer, items)

    def _answer(self, item: Item) -> Answer:
        request = item.request
        if not 1 < request.n <= MOST:
            return Answer(None, reason=f"{request.n} responses; from 2 to {MOST} have a number of one digit")
        shown = [order for order, _ in orders(request, request.n, request.n)]
        prompts = [self._ids(request, order) for order in shown]
        longest = max(map(len, prompts))
        if longest >= self.context:
            return Answer(None, reason=f"prompt {longest:,} tokens + 1 new > context {self.context:,}")
        chances = [self._chances(ids, request.n) for ids in prompts]
        if any(sum(found) == 0 for found in chances):
            return Answer(None, reason="no number has any probability")
        return over_orders([
            (order, [chance / sum(found) for chance in found]) for order, found in zip(shown, chances, strict=True)
        ])  # fmt: skip

    def _ids(self, request: Request, order: Sequence[int]) -> list[int]:
        return encode(self.tokenizer, render(request, order, TEMPLATE)) + self.slots.opening

    @torch.inference_mode()
    def _chances(self, ids: Sequence[int], n: int) -> list[float]:
        """Probability of each number 1..n as the next token."""
        asked = torch.tensor([list(ids)]).to(self.model.device)
        logits = self.model(input_ids=asked, use_cache=False, logits_to_keep=1).logits[0, -1]
        found = self.slots.chances(logits)
        return [found.get(number, 0.0) for number in range(1, n + 1)]
