"""What one visitor asks for, within what a shared demo can give.

    Asked.of("User: hi\nAssistant: hello\nUser: 2+2?", ["4", "five"], k=8)

Knows the limits and the words for what is beyond them; knows nothing about pages, models or links.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modeling_grm import InvalidInput, Request

LEAST_RESPONSES, MOST_RESPONSES = 2, 8
MOST_K = 32
MOST_TURNS = 20
QUERY_CHARACTERS = 6_000
RESPONSE_CHARACTERS = 4_000
WHOLE_CHARACTERS = 16_000
HOTTEST = 1.5

_TURN = re.compile(r"^(User|Assistant|System):[ \t]*", re.MULTILINE)
_MARKS = ("User:", "System:", "Assistant:")
_OWN = "or run the package on a machine of yours"


def turns_of(conversation: Any) -> list[dict[str, str]]:
    """A text as chat messages; one that starts with `User:` or `System:` holds a turn behind each such mark."""
    if not isinstance(conversation, str):
        return list(conversation) if isinstance(conversation, Sequence) else [conversation]
    text = conversation.strip()
    if not text.startswith(_MARKS):
        return [{"role": "user", "content": text}] if text else []
    _, *parts = _TURN.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [{"role": role.lower(), "content": said.strip()} for role, said in pairs]


def text_of(turns: Sequence[dict[str, str]]) -> str:
    """`turns_of` the other way: what stands in the box for these messages."""
    alone = len(turns) == 1 and not turns[0]["content"].startswith(_MARKS)
    return turns[0]["content"] if alone else "\n".join(f"{t['role'].title()}: {t['content']}" for t in turns)


def _require(ok: bool, text: str) -> None:
    if not ok:
        raise InvalidInput(text)


def _check_length(name: str, characters: int, most: int) -> None:
    _require(characters <= most, f"{name}: {characters:,} characters, at most {most:,} fit here; shorten it, {_OWN}")


@dataclass(frozen=True)
class Asked:
    """One question to the judge.

    Attributes:
        turns: chat messages that end with the user's.
        responses: the texts to score.
        k: samples; with `adaptive` the most of them.
        temperature: of each sample.
        meta: the meta RM chooses which half of them vote.
        adaptive: whole rotations are drawn until the vote is safe.

    Raises:
        InvalidInput: what is missing or beyond the demo's limits, in words for its visitor.
    """

    turns: list[dict[str, str]]
    responses: list[str]
    k: int = 8
    temperature: float = 0.5
    meta: bool = False
    adaptive: bool = False
    characters: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        _require(bool(self.turns), "conversation: it is empty; write what the user asks")
        self._check_counts()
        Request(self.turns, self.responses)
        self._check_lengths()
        _require(
            not (self.meta and self.adaptive),
            "meta: the adaptive stop is safe for the vote over all samples only; choose one of the two",
        )

    @classmethod
    def of(cls, conversation: Any, responses: Any, **settings: Any) -> Asked:
        """From what a form or a program sends; empty responses at the end are boxes that nobody filled."""
        _require(isinstance(responses, Sequence) and not isinstance(responses, str), "responses: give a list of texts")
        texts = list(responses)
        while texts and (texts[-1] is None or texts[-1] == ""):
            texts.pop()
        return cls(turns_of(conversation), [text or "" for text in texts], **settings)

    def _check_counts(self) -> None:
        n = len(self.responses)
        _require(
            n >= LEAST_RESPONSES, f"responses: {n} given; write at least {LEAST_RESPONSES}, so that there is a vote"
        )
        _require(n <= MOST_RESPONSES, f"responses: {n} given, at most {MOST_RESPONSES} fit here; leave some out")
        _require(len(self.turns) <= MOST_TURNS, f"conversation: more than {MOST_TURNS} turns; leave old ones out")
        whole = isinstance(self.k, int) and not isinstance(self.k, bool)
        _require(whole and 1 <= self.k <= MOST_K, f"k: {self.k!r} is not usable; choose 1 to {MOST_K} samples")
        number = isinstance(self.temperature, (int, float)) and not isinstance(self.temperature, bool)
        _require(
            number and 0 <= self.temperature <= HOTTEST,
            f"temperature: {self.temperature!r} is not usable; choose 0 to {HOTTEST}",
        )

    def _check_lengths(self) -> None:
        query = sum(len(turn["content"]) for turn in self.turns)
        _check_length("conversation", query, QUERY_CHARACTERS)
        for number, text in enumerate(self.responses, 1):
            _require(bool(text.strip()), f"response {number}: it is empty; write it, or remove it")
            _check_length(f"response {number}", len(text), RESPONSE_CHARACTERS)
        whole = query + sum(map(len, self.responses))
        _check_length("everything together", whole, WHOLE_CHARACTERS)
        object.__setattr__(self, "characters", whole)

    def settings(self) -> dict[str, Any]:
        """The call's settings, as `pipe(...)` takes them; the meta RM itself is the judge's to add."""
        drawn: dict[str, Any] = {"k": "auto", "k_max": self.k} if self.adaptive else {"k": self.k}
        return drawn | {"temperature": float(self.temperature)}
