"""Makes a request fit the model's context: refuses one that is too long, or on request cuts texts in their middle.

Counts tokens through two functions that it is given; knows nothing about models. A cut is never silent: the number of
tokens removed travels into the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .prompts_grm import render
from .types_grm import InvalidInput, Request

MARK = " [... cut ...] "
SHORTEST = 16  # tokens that a text keeps at least
SAFETY = 8  # tokens spared in each round, since a cut text may be read into more tokens than its parts
_FRAYED = " \t\r\n\ufffd"  # at a cut: white space, and what decoding makes of half a character


@dataclass(frozen=True)
class Fitter:
    """Checks, and where allowed makes, that rendered prompts fit.

    Attributes:
        count: tokens of a rendered prompt.
        split: a text as its token ids.
        join: token ids as text.
        context: tokens that the model reads and writes at most.
        max_new_tokens: room that a judgement needs.
        truncation: None or "middle".
    """

    count: Callable[[Sequence[dict[str, str]]], int]
    split: Callable[[str], list[int]]
    join: Callable[[list[int]], str]
    context: int
    max_new_tokens: int
    truncation: str | None = None

    def __call__(self, request: Request, template: str) -> tuple[Request, int]:
        """The request and how many prompt tokens were cut from it (0 where it fits as it is).

        Raises:
            InvalidInput: it does not fit; the message has the token counts.
        """
        room = self.context - self.max_new_tokens
        before = self._tokens(request, template)
        if before <= room:
            return request, 0
        if self.truncation is None:
            raise self._too_long(before, request, 'pass truncation="middle" to cut the longest texts')
        short, after = self._cut_to_fit(request, template, before, room)
        return short, before - after

    def _cut_to_fit(self, request: Request, template: str, before: int, room: int) -> tuple[Request, int]:
        """Lower the cap on every text's length until the prompt fits: the request and its prompt's tokens."""
        pieces = [self.split(text) for text in _texts(request)]
        target, after, cap = sum(map(len, pieces)), before, 0
        while cap != SHORTEST:
            target -= after - room + SAFETY
            cap = max(SHORTEST, common_cap([len(piece) for piece in pieces], target))
            short = self._shortened(request, pieces, cap)
            after = self._tokens(short, template)
            if after <= room:
                return short, after
        raise self._too_long(
            before, request, "score fewer responses: even cut to the shortest they do not fit (principles stay whole)"
        )

    def _tokens(self, request: Request, template: str) -> int:
        return self.count(render(request, range(request.n), template))

    def _too_long(self, tokens: int, request: Request, way_out: str) -> InvalidInput:
        return InvalidInput(
            f"responses: a prompt with {request.n} of them has {tokens} tokens and leaves no room in the model's "
            f"context ({self.context} tokens, {self.max_new_tokens} of them max_new_tokens); shorten it, lower "
            f"max_new_tokens, or {way_out}"
        )

    def _shortened(self, request: Request, pieces: Sequence[list[int]], cap: int) -> Request:
        """The request with every text of more than `cap` tokens cut to about that many."""
        cut = [self._cut(text, piece, cap) for text, piece in zip(_texts(request), pieces, strict=True)]
        turns = len(request.query)
        query = tuple({**turn, "content": text} for turn, text in zip(request.query, cut[:turns], strict=True))
        return replace(request, query=query, responses=tuple(cut[turns:]))

    def _cut(self, text: str, piece: list[int], cap: int) -> str:
        if len(piece) <= cap:
            return text
        keep = max(2, cap - len(self.split(MARK)))
        head, tail = self.join(piece[: (keep + 1) // 2]), self.join(piece[-(keep // 2) :])
        return head.rstrip(_FRAYED) + MARK + tail.lstrip(_FRAYED)


def _texts(request: Request) -> list[str]:
    """What may be cut: the turns and the responses, but no principles and no reference answer."""
    return [*(turn["content"] for turn in request.query), *request.responses]


def common_cap(lengths: Sequence[int], target: int) -> int:
    """The greatest cap whose capped lengths add up to at most `target`; 0 where there is none.

    >>> common_cap([10, 100, 50], target=90)
    40
    """
    left, cap = target, 0
    for position, length in enumerate(sorted(lengths)):
        cap = left // (len(lengths) - position)
        if length > cap:
            return max(0, cap)
        left -= length
    return max(lengths)
