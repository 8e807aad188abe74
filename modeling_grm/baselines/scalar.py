"""A scalar reward model: a sequence classifier with one label reads the conversation with one response at a time.

    Scalar.load("org/a-reward-model")([item]) -> Answer(scores=(1.25, -0.5))

The response stands as the assistant's turn in the model's own chat template, and the raw logit is its score
(Bradley-Terry: arXiv 2403.13787, section 3). A response that is too long, or whose logit is not finite, leaves the
whole item without an answer: a missing score is no low score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..benchmarks.base import Item
from ..judged_grm import encode_judged
from ..loading import load_meta
from ..meta_rm_grm import MetaRM
from ..types_grm import InvalidInput
from .base import Answer

BATCH = 8
WINDOW = 32  # items whose responses are sorted by length together


def response_ids(tokenizer: Any, query: Sequence[dict[str, str]], response: str) -> list[int]:
    """What a scalar model reads: the conversation with the response as its last turn. `recipes/scalar` trains on it.

    Raises:
        InvalidInput: the tokenizer's chat template takes no such turn.
    """
    return encode_judged(tokenizer, [*query, {"role": "assistant", "content": response}])


class Scalar:
    """See the file.

    Args:
        model: the classifier (`MetaRM` reads any with one label and a causal backbone).

    Attributes:
        about, k: as in `Baseline`.
    """

    k = 0

    def __init__(self, model: MetaRM) -> None:
        self.model = model
        model.head.float()  # of a model in bfloat16: scores that lie near one another would be equal there
        self.about: dict[str, Any] = {"kind": "scalar", "model": model.name_or_path}

    @classmethod
    def load(cls, name: str | None, dtype: str | None = None, batch_size: int | None = None) -> Scalar:
        """By Hub id or folder.

        Raises:
            InvalidInput: none given, or no sequence classifier with one label and a chat template.
        """
        if name is None:
            raise InvalidInput("model: a scalar baseline needs one; give the Hub id or folder of a reward model")
        try:
            return cls(load_meta(name, dtype=dtype, batch_size=batch_size or BATCH))
        except InvalidInput as error:
            raise InvalidInput(str(error).replace("meta_model:", "model:").replace("meta RM", "scalar RM")) from error

    def __call__(self, items: Sequence[Item]) -> Iterator[Answer]:
        """One answer an item."""
        for start in range(0, len(items), WINDOW):
            yield from self._window(items[start : start + WINDOW])

    def _window(self, items: Sequence[Item]) -> list[Answer]:
        rows = [[self._ids(item, response) for response in item.request.responses] for item in items]
        longest = [max(map(len, row)) for row in rows]
        fit = [at for at, length in enumerate(longest) if length <= self.model.context]
        logits = iter(self._logits([ids for at in fit for ids in rows[at]]))
        found = {at: [next(logits) for _ in rows[at]] for at in fit}
        return [
            _answer(found[at]) if at in found else Answer(None, reason=self._too_long(longest[at]))
            for at in range(len(items))
        ]

    def _too_long(self, length: int) -> str:
        return f"{length:,} tokens > context {self.model.context:,}"

    def _ids(self, item: Item, response: str) -> list[int]:
        return response_ids(self.model.tokenizer, item.request.query, response)

    def _logits(self, rows: Sequence[list[int]]) -> list[float]:
        """In the rows' order; rows of like length are read together."""
        turn = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        found = [0.0] * len(rows)
        for start in range(0, len(turn), self.model.batch_size):
            batch = turn[start : start + self.model.batch_size]
            for at, logit in zip(batch, self.model.logits([rows[at] for at in batch]), strict=True):
                found[at] = logit
        return found


def _answer(logits: Sequence[float]) -> Answer:
    if not all(map(math.isfinite, logits)):
        return Answer(None, reason="a logit is not finite")
    return Answer(tuple(logits))
