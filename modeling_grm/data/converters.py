r"""The Hub's common preference formats, each a small function from a row to the schema's fields.

    {"prompt": "2+2?", "chosen": "4", "rejected": "5"}                       prompt-chosen-rejected
    {"chosen": [{"role": "user", ...}, ...], "rejected": [...]}             messages-pair: the prompt is what they share
    {"chosen": "\n\nHuman: 2+2?\n\nAssistant: 4", "rejected": ...}           transcript-pair
    {"prompt": "2+2?", "responses": ["4", "5"], "scores": [9, 2]}            scored
    {"prompt": "2+2?", "completion": "4", "label": True}                     single

`convert` finds the format by the columns. A row without a single best response is dropped and counted, never guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any, NamedTuple

from ..types_grm import InvalidInput, Request
from .answers import matches
from .preference import UNSTATED, NoTruth, Preference, Report, unique_best

Turns = list[dict[str, str]]
Record = Mapping[str, Any]
_SPEAKER = re.compile(r"\n\n(Human|Assistant):[ \t]?")
_ROLES = {"Human": "user", "Assistant": "assistant", "User": "user"}
_TURN_MARK = re.compile(r"\n?<extra_id_1>(User|Assistant)\n?")  # HelpSteer2's multi-turn prompts


@dataclass(frozen=True)
class Draft:
    """What a converter reads out of a row: responses, and a label each (larger is better)."""

    query: str | Turns
    responses: Sequence[str]
    labels: Sequence[float] | None
    best: int | None = None
    reference: str | None = None


class Format(NamedTuple):
    """One format.

    Attributes:
        columns: what a row must have.
        read: the row's fields as a draft.
        fits: whether a row with these columns is of this format; tells formats of the same columns apart.
        placed: a response's place tells its label, so the responses are put in another order.
        note: one line for people.
    """

    columns: tuple[str, ...]
    read: Callable[[Record], Draft]
    note: str
    fits: Callable[[Record], bool] = lambda row: True
    placed: bool = False


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)


def _turns(value: Any) -> Turns:
    if not _is_turns(value):
        raise InvalidInput(f"messages: expected a list of role and content, got {value!r:.60}")
    return [{"role": turn.get("role"), "content": turn.get("content")} for turn in value]


def _query(value: Any) -> str | Turns:
    return value if isinstance(value, str) else _turns(value)


def _answer(value: Any) -> str:
    """A response's text: as it is, or the one assistant's message."""
    if isinstance(value, str):
        return value
    turns = _turns(value)
    if turns[-1]["role"] != "assistant":
        raise InvalidInput(f"response: ends with the {turns[-1]['role']}'s turn, not with the assistant's")
    return turns[-1]["content"]


def _pair(query: str | Turns, chosen: str, rejected: str) -> Draft:
    return Draft(query, (chosen, rejected), (1.0, 0.0))


def _prompt_pair(row: Record) -> Draft:
    if _is_turns(row["chosen"]) and len(row["chosen"]) > 1:  # whole conversations beside the prompt
        return _messages_pair(row)
    return _pair(_query(row["prompt"]), _answer(row["chosen"]), _answer(row["rejected"]))


def _common(chosen: Turns, rejected: Turns) -> Draft:
    if chosen[:-1] != rejected[:-1] or len(chosen) < 2:
        raise NoTruth("chosen, rejected: differ before the last turn, so they answer different conversations")
    return _pair(chosen[:-1], _answer(chosen), _answer(rejected))


def _messages_pair(row: Record) -> Draft:
    return _common(_turns(row["chosen"]), _turns(row["rejected"]))


def _transcript(text: str) -> Turns:
    parts = _SPEAKER.split(text)
    if parts[0].strip():
        raise InvalidInput(f"transcript: starts with {parts[0][:40]!r}, not with a blank line and `Human:`")
    return [
        {"role": _ROLES[speaker], "content": said.strip()}
        for speaker, said in zip(parts[1::2], parts[2::2], strict=True)
    ]


def _transcript_pair(row: Record) -> Draft:
    return _common(_transcript(row["chosen"]), _transcript(row["rejected"]))


def _ranks(query: str | Turns, responses: Sequence[str], ranks: Sequence[float]) -> Draft:
    return Draft(query, responses, [-float(rank) for rank in ranks])


def _ranked(row: Record) -> Draft:
    return _ranks(_query(row["prompt"]), row["responses"], row["ranks"])


def _ranked_list(row: Record) -> Draft:
    return _ranks(_query(row["prompt"]), row["ranked"], range(1, len(row["ranked"]) + 1))


def _ranked_answers(row: Record) -> Draft:
    """Nectar's: a transcript that ends with `Assistant:`, and answers with their ranks."""
    prompt = row["prompt"]
    turns = _transcript(prompt) if prompt.startswith("\n\nHuman:") else [{"role": "user", "content": prompt}]
    turns = turns[:-1] if turns[-1] == {"role": "assistant", "content": ""} else turns
    answers = row["answers"]
    return _ranks(turns, [found["answer"] for found in answers], [found["rank"] for found in answers])


def _scored(row: Record) -> Draft:
    return Draft(_query(row["prompt"]), row["responses"], row["scores"])


def _ultrafeedback(row: Record) -> Draft:
    """The mean of the four aspects; `overall_score` is known to hold a 10 where the critique says 1."""
    made = row["completions"]
    return Draft(
        row["instruction"], [found["response"] for found in made], [found["fine-grained_score"] for found in made]
    )


def _single(row: Record) -> Draft:
    label = None if row["label"] is None else (float(row["label"]),)
    return Draft(_query(row["prompt"]), (_answer(row["completion"]),), label)


def _numbered(row: Record) -> Draft:
    if row["label"] not in (1, 2):
        raise NoTruth("label: names neither output 1 nor 2")
    return Draft(row["instruction"], (row["output_1"], row["output_2"]), [float(row["label"] == at) for at in (1, 2)])


def _strength(row: Record) -> Draft:
    """Negative where response 1 is better, -3..3; 0 is about the same. The strength becomes the better one's label."""
    strength = float(row["preference_strength"])
    labels = (max(-strength, 0.0), max(strength, 0.0))
    return Draft(_marked_turns(row["prompt"]), (row["response_1"], row["response_2"]), labels)


def _marked_turns(prompt: str) -> Turns:
    parts = ["User", *_TURN_MARK.split(prompt)]
    return [{"role": _ROLES[who], "content": said} for who, said in zip(parts[::2], parts[1::2], strict=True)]


def _verifiable(row: Record) -> Draft:
    labels = [float(matches(row["solution"], text)) for text in row["responses"]]
    return Draft(row["problem"], row["responses"], labels)


def _house(row: Record) -> Draft:
    query = _query(row.get("conversation") or row.get("query"))
    return Draft(query, row["responses"], row.get("labels"), row.get("best"), row.get("reference"))


def _text_in(*names: str) -> Callable[[Record], bool]:
    return lambda row: all(isinstance(row[name], str) for name in names)


FORMATS: dict[str, Format] = {
    "schema": Format(("conversation", "responses"), _house, "this project's own rows, with `best` or `labels`"),
    "schema-query": Format(("query", "responses"), _house, "the same, the user's text in place of the conversation"),
    "prompt-chosen-rejected": Format(
        ("prompt", "chosen", "rejected"), _prompt_pair, "a prompt and two answers, as texts or messages", placed=True
    ),
    "messages-pair": Format(
        ("chosen", "rejected"),
        _messages_pair,
        "two whole conversations; all but their last turns is the prompt",
        lambda row: _is_turns(row["chosen"]),
        placed=True,
    ),
    "transcript-pair": Format(
        ("chosen", "rejected"),
        _transcript_pair,
        r"two texts of `\n\nHuman: ...\n\nAssistant: ...`",
        _text_in("chosen", "rejected"),
        placed=True,
    ),
    "strength": Format(
        ("prompt", "response_1", "response_2", "preference_strength"), _strength, "HelpSteer2-Preference, -3..3"
    ),
    "numbered": Format(("instruction", "output_1", "output_2", "label"), _numbered, "two outputs, label 1 or 2"),
    "scored": Format(("prompt", "responses", "scores"), _scored, "a score each, larger is better"),
    "ultrafeedback": Format(("instruction", "completions"), _ultrafeedback, "UltraFeedback's completions"),
    "ranked": Format(("prompt", "responses", "ranks"), _ranked, "a rank each, 1 is best"),
    "ranked-list": Format(("prompt", "ranked"), _ranked_list, "answers, best first", placed=True),
    "ranked-answers": Format(("prompt", "answers"), _ranked_answers, "Nectar's: answers with ranks", placed=True),
    "verifiable": Format(
        ("problem", "solution", "responses"), _verifiable, "answers that are checked against the solution's"
    ),
    "single": Format(("prompt", "completion", "label"), _single, "one answer and whether it is right"),
}


def detect(row: Record) -> str:
    """The name of a row's format.

    Raises:
        InvalidInput: no format has these columns; the message names them, and what each format needs.
    """
    for name, known in FORMATS.items():
        if all(column in row for column in known.columns) and known.fits(row):
            return name
    needs = "; ".join(f"{name}: {', '.join(known.columns)}" for name, known in FORMATS.items())
    raise InvalidInput(f"columns: {sorted(row)} are of no known format; rename them to one of: {needs}")


def check_columns(row: Record, name: str) -> Format:
    """The format of that name.

    Raises:
        InvalidInput: an unknown format, or the row lacks one of its columns (by name).
    """
    if name not in FORMATS:
        raise InvalidInput(f"format: {name!r} is unknown; known are {', '.join(FORMATS)}")
    missing = [column for column in FORMATS[name].columns if column not in row]
    if missing:
        raise InvalidInput(f"columns: format {name!r} needs {', '.join(missing)}; the rows have {sorted(row)}")
    return FORMATS[name]


def _placed(draft: Draft) -> Draft:
    """The responses in an order that their texts' hashes give, so that a place tells nothing of a label."""
    order = sorted(
        range(len(draft.responses)),
        key=lambda at: hashlib.sha256(f"{draft.query!r}\0{draft.responses[at]}".encode("utf-8", "replace")).digest(),
    )
    return replace(
        draft,
        responses=[draft.responses[at] for at in order],
        labels=None if draft.labels is None else [draft.labels[at] for at in order],
    )


def to_preference(draft: Draft, *, source: str, licence: str, id: str) -> Preference:
    """A draft as an item, all of it checked.

    Raises:
        NoTruth: no single best response, or no label of a single one.
        InvalidInput: a field that cannot be used, by name.
    """
    request = Request(draft.query, draft.responses, draft.reference)
    labels = _numbers(draft.labels, request.n)
    best = draft.best
    if best is None and labels and request.n > 1:
        best = unique_best(labels)
    return Preference(request, best, labels, source, licence, id)


def _numbers(labels: Any, n: int) -> tuple[float, ...] | None:
    if labels is None:
        return None
    if len(labels) != n:
        raise InvalidInput(f"labels: {len(labels)} for {n} responses; give one for each")
    try:
        return tuple(map(float, labels))
    except (TypeError, ValueError) as error:
        raise NoTruth("labels: a response has none that is a number") from error


def convert(
    rows: Iterable[Record],
    report: Report,
    *,
    source: str | None = None,
    licence: str | None = None,
    format: str | None = None,
) -> Iterator[Preference]:
    """Rows of one format as items, one at a time; what cannot be one is dropped and counted.

    Args:
        rows: as `datasets` gives them.
        report: counts what was kept and dropped.
        source, licence: of all rows; None takes what each row says (`source`, `licence` or `license`).
        format: a name of `FORMATS`; found by the first row's columns if None.

    Raises:
        InvalidInput: at the first row: its columns are of no known format, or not of the given one.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    found = check_columns(first, format or detect(first))
    for at, row in zip(count(), chain([first], rows), strict=False):
        named = source or str(row.get("source") or UNSTATED)
        id = str(row.get("id") or row.get("prompt_id") or f"{named}-{at}")
        terms = licence or str(row.get("licence") or row.get("license") or UNSTATED)
        try:
            draft = found.read(row)
            item = to_preference(_placed(draft) if found.placed else draft, source=named, licence=terms, id=id)
        except (InvalidInput, KeyError, TypeError, ValueError, AttributeError) as error:
            report.drop(named, _reason(error), f"{id}: {error}")
            continue
        report.keep(named)
        yield item


def _reason(error: Exception) -> str:
    """A short name to count by: what is said of an item without a truth, else the field that is unusable."""
    if isinstance(error, NoTruth):
        return str(error)
    field = re.split(r"[\[:]", str(error), maxsplit=1)[0] if isinstance(error, InvalidInput) else type(error).__name__
    return f"unusable: {field}"
