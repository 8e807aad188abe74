r"""A completion as a row, and a row as the completion that votes the same.

    row = row_of(asked, completion, settings, ...)        parsed once, when it is recorded
    completion_of(row, (1, 10))                           with its text: what the engine gave, to the last token count
                                                          without: "Scores: \boxed{8, 3}" in the order shown

A row without text has kept its outcome, so its completion is written to be parsed to exactly that: scores and expected
scores come back as they were, and a failure stays the failure that it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..parsing_grm import parse
from ..types_grm import Completion, Outcome, Prompt, Request
from .schema import SCHEMA, TEXT_COLUMNS, Settings, digest, prompt_hash


@dataclass(frozen=True)
class Facts:
    """What is known of an item beside its samples, in the arrangement in which the store first met it."""

    id: str | None
    labels: Sequence[float] | None
    best: int | None
    source: str | None
    licence: str | None
    response_hashes: tuple[str, ...]


_SURROGATES = re.compile("[\ud800-\udfff]")
FACTS = tuple(Facts.__dataclass_fields__)


@dataclass(frozen=True)
class Asked:
    """A sample that the engine has been asked for; `places[i]` is where the store keeps the request's response i."""

    key: str
    prompt: Prompt
    request: Request
    places: tuple[int, ...]
    facts: Facts


def response_hashes(request: Request) -> tuple[str, ...]:
    """16 hex digits for each response."""
    return tuple(digest(response)[:16] for response in request.responses)


def arrangement(here: Sequence[str], there: Sequence[str]) -> tuple[int, ...]:
    """Where each response stands in another order of the same ones; equal ones keep their sequence."""
    free: dict[str, list[int]] = {}
    for place, response in enumerate(there):
        free.setdefault(response, []).append(place)
    return tuple(free[response].pop(0) for response in here)


def _arranged(values: Sequence[Any], places: Sequence[int]) -> list[Any]:
    at = dict(zip(places, values, strict=True))
    return [at[place] for place in range(len(at))]


def _listed(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _flat(numbers: Mapping[int, Mapping[int, float]]) -> list[dict[str, Any]]:
    return [
        {"place": place, "number": number, "chance": chance}
        for place, chances in numbers.items()
        for number, chance in chances.items()
    ]


def _whole(text: Any) -> Any:
    """Half a character (a lone surrogate), which no file takes, becomes U+FFFD; places in the text stay."""
    return text if text is None else _SURROGATES.sub("\ufffd", text)


def row_of(
    asked: Asked,
    completion: Completion,
    settings: Settings,
    *,
    text: bool,
    backend_version: str | None = None,
    prompt_ids: Sequence[int] | None = None,
) -> dict[str, Any]:
    """A finished sample as a row of the store.

    Args:
        asked: what was asked, and for whom.
        completion: what came.
        settings: of the store.
        text: False leaves `TEXT_COLUMNS` empty.
        backend_version: of the engine.
        prompt_ids: the token ids that went to it, for their hash.
    """
    prompt, request = asked.prompt, asked.request
    order = [asked.places[at] for at in prompt.order]
    critique = parse(completion, order, prompt.seed, settings.score_range)
    row = settings.columns | {
        "key": asked.key,
        "item": prompt.item,
        **{name: getattr(asked.facts, name) for name in FACTS},
        "response_hashes": list(asked.facts.response_hashes),
        "query": list(request.query),
        "responses": _arranged(request.responses, asked.places),
        "reference": request.reference,
        "principles": request.principles,
        "n": request.n,
        "order": order,
        "seed": prompt.seed,
        "sample": prompt.sample,
        "backend_version": backend_version,
        "prompt_hash": prompt_hash(prompt, prompt_ids),
        "text": completion.text,
        "numbers": _flat(completion.numbers),
        "truncated": completion.truncated,
        "outcome": critique.outcome.value,
        "scores": _listed(critique.scores),
        "expected": _listed(critique.expected),
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "error": completion.error,
        "constrained": completion.constrained,
        "created": datetime.now(timezone.utc),
    }
    row |= {name: _whole(row[name]) for name in ("id", "source", "licence", "text", "error")}
    emptied = () if text else TEXT_COLUMNS
    return {name: None if name in emptied else row.get(name) for name in SCHEMA.names}


def completion_of(row: Mapping[str, Any], score_range: tuple[int, int]) -> Completion:
    """The completion of a stored sample: as it came, or, where its text was not kept, one that is parsed the same."""
    numbers: dict[int, dict[int, float]] = {}
    text = row["text"]
    if text is None:
        text, numbers = _rebuilt(row, score_range)
    for found in row["numbers"] or ():
        numbers.setdefault(found["place"], {})[found["number"]] = found["chance"]
    return Completion(
        text=text,
        truncated=row["truncated"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        error=row["error"],
        constrained=row["constrained"],
        numbers=numbers,
    )


def _rebuilt(row: Mapping[str, Any], score_range: tuple[int, int]) -> tuple[str, dict[int, dict[int, float]]]:
    """The text that stands for one that was not kept, and the chances of its scores."""
    n, too_high = len(row["order"]), score_range[1] + 1
    said: dict[str, list[Any]] = {
        Outcome.NO_SCORES.value: ["-"] * n,
        Outcome.WRONG_COUNT.value: [score_range[1]] * (n + 1),
        Outcome.OUT_OF_RANGE.value: [too_high] * n,
    }
    if row["outcome"] == Outcome.TRUNCATED.value:
        return "", {}
    shown = said.get(row["outcome"]) or [row["scores"][at] for at in row["order"]]
    text = "Scores: \\boxed{"
    places: list[int] = []
    for score in shown:
        text += ", " * bool(places)
        places.append(len(text))
        text += str(score)
    means = [row["expected"][at] for at in row["order"]] if row["expected"] else []
    return text + "}", {place: _chances(mean) for place, mean in zip(places, means, strict=False)}


def _chances(mean: float) -> dict[int, float]:
    """Two neighbouring numbers with this expectation; from 1 up, to the last bit."""
    low = int(mean)
    return {low: 1 - (mean - low), low + 1: mean - low} if mean > low else {low: 1.0}
