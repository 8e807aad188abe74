r"""The scores line in a tokenizer's own tokens: which can stand in it, and how likely each score was in its place.

Knows token ids, their texts and the scores line. Knows nothing about models, caches or sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from .constraint_grm import ALPHABET, ScoresLine
from .types_grm import InvalidInput

SPACES = "\u0120\u2581 "  # how vocabularies write a leading space
Text = Callable[[Sequence[int]], str]
UNDECIDED = 0.01  # a "1" with a smaller share of all numbers than this is not asked whether it was to become a "10"


TAIL = 12  # tokens of context in which a further one is spelt


class Slots:
    """What a vocabulary can say on a scores line; of the tokenizer itself nothing is kept."""

    def __init__(self, tokenizer: Any) -> None:
        vocabulary = tokenizer.get_vocab()
        plain = {at: token.lstrip(SPACES) for token, at in vocabulary.items()}
        self.numbers = {at: token for at, token in plain.items() if token.isascii() and token.isdigit()}
        self.opening = list(tokenizer(ScoresLine.opening, add_special_tokens=False)["input_ids"])
        self.one = vocabulary.get("1")
        self.whole_ten = "10" in self.numbers.values()
        self._in_line = [at for at, token in plain.items() if set(token) <= ALPHABET and len(token) <= 4]
        self._digits = [at for token, at in vocabulary.items() if at in self.numbers and token[0] not in SPACES]
        self._ids = torch.tensor(list(self.numbers), dtype=torch.long)
        self._legal: dict[tuple[str, ScoresLine], list[int]] = {}

    def reserve(self, line: ScoresLine) -> int:
        """Tokens that the opening and any list fit in."""
        return len(self.opening) + len(line.longest) + 1

    def legal(self, ids: Sequence[int], written: str, line: ScoresLine, text: Text) -> list[int]:
        """Ids that may stand behind `ids`, whose text ends in `written`, the list so far.

        Raises:
            InvalidInput: no token may.
        """
        key = (written, line)
        if key not in self._legal:
            before = list(ids[-TAIL:])
            start = len(text(before))
            added = {at: text([*before, at])[start:] for at in self._in_line}
            self._legal[key] = [at for at, piece in added.items() if piece and line.begins(written + piece)]
        if not self._legal[key]:
            raise InvalidInput("constrain: the tokenizer has no tokens for a list of scores; give constrain='none'")
        return self._legal[key]

    def chances(self, logits: Any) -> dict[int, float]:
        """Probability of each number that is one token, from one row of raw logits, (vocabulary,)."""
        shares = logits.float().softmax(-1)[self._ids.to(logits.device)].tolist()
        return self.summed(zip(self.numbers, shares, strict=True))

    def summed(self, shares: Iterable[tuple[int, float]]) -> dict[int, float]:
        """Each number's share, from those of tokens, (id, share): "8" and " 8" are one number."""
        found: dict[int, float] = {}
        for at, share in shares:
            if 0 < len(digits := self.numbers.get(at, "")) <= 3:
                found[int(digits)] = found.get(int(digits), 0.0) + share
        return found

    def undecided(self, chances: Mapping[int, float]) -> bool:
        """Whether a "1" is likely, and the vocabulary must write 10 as "1" and "0"."""
        likely = chances.get(1, 0.0) > UNDECIDED * sum(chances.values())
        return self.one is not None and not self.whole_ten and likely

    def digits(self, logits: Any) -> dict[int, float]:
        """Probability of each token that goes on a number, from one row of raw logits, (vocabulary,)."""
        shares = logits.float().softmax(-1)[self._digits].tolist()
        return dict(zip(self._digits, shares, strict=True))

    def decided(self, chances: Mapping[int, float], behind_one: Mapping[int, float]) -> dict[int, float]:
        """The share of "1" split between 1 and 10 by the probabilities of the tokens behind it."""
        shares = {at: behind_one.get(at, 0.0) for at in self._digits}
        zero = sum(share for at, share in shares.items() if self.numbers[at] == "0")
        return {**chances, 1: chances[1] * (1 - sum(shares.values())), 10: chances[1] * zero}


_SLOTS: WeakKeyDictionary[Any, Slots] = WeakKeyDictionary()


def slots(tokenizer: Any) -> Slots:
    """The tokenizer's `Slots`, made once."""
    if tokenizer not in _SLOTS:
        _SLOTS[tokenizer] = Slots(tokenizer)
    return _SLOTS[tokenizer]
