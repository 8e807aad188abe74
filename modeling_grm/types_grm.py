"""What travels through the house: request -> prompt -> completion -> critique -> result.

Knows nothing about models, templates or files. Every type checks its own invariant when it is made, so that bad input
is named before any model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

ROLES = ("system", "user", "assistant")
MAX_RESPONSES = 16


class InvalidInput(ValueError):
    """The caller's input is unusable; the message names the field, the value and the way out."""


class Outcome(str, Enum):
    """How one sampled judgement ended. Only OK samples vote; every other name is a kept failure, never a number."""

    OK = "ok"
    TRUNCATED = "truncated"
    NO_SCORES = "no_scores"
    WRONG_COUNT = "wrong_count"
    OUT_OF_RANGE = "out_of_range"
    ENGINE_ERROR = "engine_error"


def _shown(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _checked_turns(query: object) -> tuple[dict[str, str], ...]:
    if isinstance(query, str):
        if not query.strip():
            raise InvalidInput("query: the text is empty; give the user's last message or a list of chat messages")
        return ({"role": "user", "content": query},)
    if not isinstance(query, Sequence) or not query:
        raise InvalidInput(f"query: expected text or a non-empty list of chat messages, got {_shown(query)}")
    turns = []
    for at, turn in enumerate(query):
        if not isinstance(turn, dict) or turn.get("role") not in ROLES or not isinstance(turn.get("content"), str):
            raise InvalidInput(
                f'query[{at}]: expected {{"role": {"|".join(ROLES)}, "content": text}}, got {_shown(turn)}'
            )
        turns.append({"role": turn["role"], "content": turn["content"]})
    if turns[-1]["role"] != "user":
        raise InvalidInput(
            f"query: the last turn must be the user's, it is {turns[-1]['role']!r}; "
            "put the assistant's text in `responses`"
        )
    return tuple(turns)


def _checked_responses(responses: object) -> tuple[str, ...]:
    if isinstance(responses, str) or not isinstance(responses, Sequence):
        raise InvalidInput(f"responses: expected a list of texts, got {_shown(responses)}")
    if not responses:
        raise InvalidInput("responses: the list is empty; give at least one response to score")
    if len(responses) > MAX_RESPONSES:
        raise InvalidInput(
            f"responses: {len(responses)} given, at most {MAX_RESPONSES} fit one judgement; "
            "score them in smaller groups"
        )
    for at, response in enumerate(responses):
        if not isinstance(response, str):
            raise InvalidInput(f"responses[{at}]: expected text, got {_shown(response)}")
    return tuple(responses)


def _checked_text(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidInput(f"{name}: expected non-empty text or None, got {_shown(value)}")


def _check_encodable(name: str, text: str | None) -> None:
    """Python and JSON can spell half a character (a lone surrogate such as `\\ud83d`), which no tokenizer takes."""
    try:
        (text or "").encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{name}: holds half a character ({error.object[error.start]!a}) at {error.start}; write it whole"
        ) from error


@dataclass(frozen=True)
class Request:
    """What the user asked: a conversation that ends with the user's turn, and 1..16 responses to it.

    Args:
        query: the user's message, or chat messages (`[{"role", "content"}]`); kept as a tuple of messages.
        responses: the candidate responses, in the caller's order.
        reference: a reference answer that the judge may compare with.
        principles: the caller's own principles; the judge is asked to apply them.

    Raises:
        InvalidInput: a field that cannot be judged, by name: of the wrong type, empty, too many, or half a character.
    """

    query: Any
    responses: Any
    reference: str | None = None
    principles: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", _checked_turns(self.query))
        object.__setattr__(self, "responses", _checked_responses(self.responses))
        _checked_text("reference", self.reference)
        _checked_text("principles", self.principles)
        for name, text in self._texts():
            _check_encodable(name, text)

    def _texts(self) -> Iterator[tuple[str, str | None]]:
        yield from ((f"query[{at}]", turn["content"]) for at, turn in enumerate(self.query))
        yield from ((f"responses[{at}]", text) for at, text in enumerate(self.responses))
        yield from (("reference", self.reference), ("principles", self.principles))

    @property
    def n(self) -> int:
        """How many responses there are."""
        return len(self.responses)


@dataclass(frozen=True)
class Prompt:
    """One sample's input: chat messages, and the order in which they show the responses.

    `order[shown] = caller's index`; `seed` is this sample's own. `item` is the request's `item_hash` and `sample` says
    which of its samples this is, counted from 0; engines need neither.
    """

    messages: tuple[dict[str, str], ...]
    order: tuple[int, ...]
    seed: int
    item: str = ""
    sample: int = 0


@dataclass(frozen=True)
class Completion:
    """What a backend returns for one prompt.

    Attributes:
        text: what was written.
        truncated: it ran into the token budget.
        prompt_tokens, completion_tokens: what the engine read and wrote, 0 where it does not say.
        error: why the engine failed to make the sample; None where it made it.
        constrained: its scores line was written under a constraint (`constraint_grm`).
        numbers: where the engine gives probabilities: the place in `text` where a score begins, with the probability of
            each whole number that could have stood there (at temperature 1, before any constraint).
        token_ids: what was sampled, the end of the turn included; empty where the engine does not say.
    """

    text: str
    truncated: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None
    constrained: bool = False
    numbers: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Critique:
    """One sampled judgement.

    `scores` stand in the caller's order (None unless the outcome is OK). The text keeps the model's own words, whose
    "Response 1" is the response shown first: `order[shown] = caller's index` maps it back. `expected` are the expected
    scores under the model's own probabilities of the score tokens, in the caller's order too; None where the engine
    gave none. `constrained` says that the scores line was written under a constraint.
    """

    text: str
    outcome: Outcome
    order: tuple[int, ...]
    seed: int
    scores: tuple[int, ...] | None = None
    principles: str | None = None
    analysis: str | None = None
    meta_score: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None
    expected: tuple[float, ...] | None = None
    constrained: bool = False

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.OK) != (self.scores is not None):
            raise ValueError(f"a critique has scores exactly when it is OK, got {self.outcome} with {self.scores}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["outcome"] = self.outcome.value
        plain["order"] = list(self.order)
        for name in ("scores", "expected"):
            plain[name] = None if plain[name] is None else list(plain[name])
        return plain


@dataclass(frozen=True)
class RewardResult:
    """The vote over k critiques of one request.

    Attributes:
        scores: mean vote of each response in the score range (1..10; under the rule `majority` shares of the vote), or
            None below the quorum.
        totals: summed votes S* of each response (Eq 14), or None below the quorum and under rules that do not sum.
        best: the caller's index of the single highest response; None on a tie, for one response, or below the quorum.
        critiques: every sample, failures included.
        voters: indices into `critiques` of the samples that voted.
        k: samples drawn.
        n_valid: samples whose outcome is OK.
        truncated_tokens: prompt tokens cut on request (`truncation="middle"`), 0 when the prompt is whole.
        extra: what else is said of it, as plain JSON: `confidence` (`confidence_grm`), and with k = "auto" why it
            `stopped`.
    """

    scores: tuple[float, ...] | None
    totals: tuple[int, ...] | None
    best: int | None
    critiques: tuple[Critique, ...]
    voters: tuple[int, ...]
    k: int
    n_valid: int
    truncated_tokens: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self, samples: bool = False) -> dict[str, Any]:
        """Plain JSON types; with `samples`, every critique too."""
        plain: dict[str, Any] = {
            "scores": None if self.scores is None else list(self.scores),
            "totals": None if self.totals is None else list(self.totals),
            "best": self.best,
            "k": self.k,
            "n_valid": self.n_valid,
            "outcomes": self.outcomes,
            "truncated_tokens": self.truncated_tokens,
            **self.extra,
        }
        if samples:
            plain["voters"] = list(self.voters)
            plain["samples"] = [critique.to_dict() for critique in self.critiques]
        return plain

    @property
    def outcomes(self) -> dict[str, int]:
        """How many samples ended in each outcome that occurred."""
        counts: dict[str, int] = {}
        for critique in self.critiques:
            counts[critique.outcome.value] = counts.get(critique.outcome.value, 0) + 1
        return counts
