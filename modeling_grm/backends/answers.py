r"""What a chat server's answer says: texts, token counts, and how likely each score was. It trusts nothing in it.

    {"choices": [{"message": {"content": "Scores: \\boxed{8, 3}"}, "finish_reason": "stop"}],
     "usage": {"prompt_tokens": 900, "completion_tokens": 12}}

Knows the form of the answers. Knows nothing about requests, nor about who asked.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..parsing_grm import opens_number
from ..types_grm import Completion

LONGEST_NUMBER = 9  # digits


class Unreadable(ValueError):
    """The answer is not what a chat server sends; the message says in what."""


def completions(body: bytes, legal: Sequence[int] = (), before: str = "") -> list[Completion]:
    """The choices of an answer, at least one; a choice without text has an error that says why.

    Args:
        body: the answer as it came.
        legal: the scores that there are; where there are none, no probabilities are read.
        before: the text that the answer goes on from, which it does not repeat; places are counted from its start.

    Raises:
        Unreadable: there are no choices.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the server's answer is not JSON: {body[:60]!r}") from error
    choices = _at(answer, "choices")
    if not isinstance(choices, list) or not choices:
        raise Unreadable(f"the server's answer has no choices: {body[:60]!r}")
    prompt, written = (_count(_at(answer, "usage", name)) for name in ("prompt_tokens", "completion_tokens"))
    shares = [(written + at) // len(choices) for at in range(len(choices))]
    return [_completion(choice, prompt, share, legal, before) for choice, share in zip(choices, shares, strict=True)]


def _at(found: Any, *names: str) -> Any:
    """What stands there, None where there is no such place."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _completion(choice: Any, prompt: int, share: int, legal: Sequence[int], before: str) -> Completion:
    reason, text = _at(choice, "finish_reason"), _at(choice, "message", "content")
    tokens = _tokens(choice)
    written = len(tokens) or share
    if not isinstance(text, str) or not text:
        if reason == "length":  # a reasoning model can use up its budget before it says anything
            return Completion("", True, prompt, written)
        return Completion("", False, prompt, written, f"the server's answer has no text: {_shown(text, reason)}")
    text = text.encode("utf-8", "replace").decode()  # JSON can spell half a character, which no file takes
    error = "the server's content filter cut the answer" if reason == "content_filter" else None
    numbers = _numbers(tokens, before, text, legal) if legal and tokens else {}
    return Completion(text, reason == "length", prompt, written, error, numbers=numbers)


def _shown(text: Any, reason: Any) -> str:
    return f"content is {repr(text)[:60]}, finish_reason is {repr(reason)[:60]}"


# ---------------------------------------------------------------------- probabilities


Entry = dict[str, Any]  # a token as written, its log-probability, and those of what could have stood there


def _tokens(choice: Any) -> list[Entry]:
    """The tokens of a choice; none where any of them cannot be read."""
    entries = _at(choice, "logprobs", "content")
    readable = isinstance(entries, list) and all(_is_token(entry) for entry in entries)
    return list(entries) if readable else []


def _is_token(entry: Any) -> bool:
    return isinstance(_at(entry, "token"), str)


def _bytes(entry: Entry) -> bytes:
    """The token's bytes; its text is not all of it where it ends inside a character."""
    try:
        if isinstance(entry.get("bytes"), list):
            return bytes(entry["bytes"])
    except (TypeError, ValueError):
        pass
    return str(entry["token"]).encode("utf-8", "replace")


def _chances(entry: Entry) -> dict[str, float]:
    """The probabilities of what could have stood there, by text."""
    likely = entry.get("top_logprobs")
    told = [entry, *(likely if isinstance(likely, list) else ())]
    return {one["token"]: _chance(one.get("logprob")) for one in told if _is_token(one)}


def _chance(logprob: Any) -> float:
    usable = isinstance(logprob, (int, float)) and not isinstance(logprob, bool) and logprob < 0.01  # rounding
    return math.exp(min(max(logprob, -1e4), 0)) if usable else 0.0


def _numbers(tokens: list[Entry], before: str, text: str, legal: Sequence[int]) -> dict[int, dict[int, float]]:
    """{place in the text where a score begins: {number: probability}}; empty where tokens and text do not agree."""
    written, starts = _written(tokens)
    shift = written.rfind(text)  # a reasoning model's thoughts stand before it, control tokens behind
    if shift < 0:
        return {}
    found = {}
    for at, start in enumerate(starts):
        spelt = tokens[at]["token"]
        digits = spelt.lstrip(" ")
        place = start - shift + len(spelt) - len(digits)
        behind = len(before) + place
        if _is_number(digits) and place >= 0 and opens_number((before[-200:] + text[:place])[-200:]):
            found[behind] = dict(_whole(tokens[at:], legal))
    return found


def _written(tokens: list[Entry]) -> tuple[str, list[int]]:
    """What the tokens say together, and where each begins in it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, length, starts = [], 0, []
    for token in tokens:
        starts.append(length)
        text.append(decoder.decode(_bytes(token)))
        length += len(text[-1])
    return "".join([*text, decoder.decode(b"", final=True)]), starts


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


def _summed(chances: Iterator[tuple[Any, float]]) -> dict[Any, float]:
    sums: dict[Any, float] = {}
    for key, chance in chances:
        sums[key] = sums.get(key, 0.0) + chance
    return sums


def _whole(tokens: list[Entry], legal: Sequence[int], begun: str = "") -> dict[int, float]:
    """Probability of each whole number that goes on from the digits `begun` at the first of these tokens.

    "1" may be 1 or the first half of 10. It is 1 where "10" is a token too; else the next token's probabilities tell,
    if the sample itself went on from "1"; if it did not, nobody knows, and the share of "1" is nobody's.
    """
    if not tokens:
        return {}
    chances = _chances(tokens[0])
    shares = _summed((text if begun else text.lstrip(" "), chance) for text, chance in chances.items())
    numbers = {begun + digits: share for digits, share in shares.items() if _is_number(digits)}
    if begun:
        numbers[begun] = sum(share for digits, share in shares.items() if not _is_number(digits[:1]))
    written = begun + (tokens[0]["token"] if begun else tokens[0]["token"].lstrip(" "))

    def decided(digits: str, share: float) -> Iterator[tuple[int, float]]:
        longer = any(str(score) != digits and str(score).startswith(digits) for score in legal)
        if digits == begun or not longer or any(other != digits and other.startswith(digits) for other in numbers):
            yield int(digits), share
        elif digits == written:
            yield from ((number, share * part) for number, part in _whole(tokens[1:], legal, digits).items())

    return _summed(pair for digits, share in numbers.items() for pair in decided(digits, share))
