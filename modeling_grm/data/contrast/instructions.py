"""Checkable instructions (the IFEval kinds): how to ask, how to make a text obey or nearly obey, how to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .sources import sentences, words


@dataclass(frozen=True)
class Instruction:
    """`rule` names it in an analysis; `holds(obey(text))` is True, `holds(text)` must be False for a violation.

    `nearly` makes a text break the rule by the little that `slip` names; None where the text does not allow it.
    """

    name: str
    ask: str
    rule: str
    obey: Callable[[str], str]
    holds: Callable[[str], bool]
    nearly: Callable[[str], str | None]
    slip: str


def _bullets(count: int) -> Callable[[str], str]:
    def obey(text: str) -> str:
        return "\n".join(f"* {sentence}" for sentence in sentences(text)[:count])

    return obey


def _is_bullets(count: int) -> Callable[[str], bool]:
    return lambda text: len(text.split("\n")) == count and all(line.startswith("* ") for line in text.split("\n"))


def _nearly_bullets(count: int) -> Callable[[str], str | None]:
    """One bullet point more, or one fewer where there are no more sentences."""

    def nearly(text: str) -> str | None:
        there = len(sentences(text))
        return _bullets(count + 1 if there > count else count - 1)(text) if there >= count else None

    return nearly


def _but_one_word(everywhere: Callable[[str], str], once: Callable[[str], str]) -> Callable[[str], str | None]:
    """All words as the rule wants them, and the longest one otherwise."""

    def nearly(text: str) -> str | None:
        parts = everywhere(text).split()
        at = max(range(len(parts)), key=lambda place: len(parts[place]), default=0)
        if not parts or once(parts[at]) == parts[at]:
            return None
        return " ".join([*parts[:at], once(parts[at]), *parts[at + 1 :]])

    return nearly


def _one_comma(text: str) -> str | None:
    before, comma, after = text.partition(",")
    return before + comma + after.replace(",", "") if "," in after else None


def _title(text: str) -> str:
    return " ".join(text.split()[:3]).strip(",.:;!?")


def _two_stars(text: str) -> str | None:
    return " ** ".join(sentences(text)) if len(sentences(text)) > 1 and words(text) > 1 else None


INSTRUCTIONS = (
    Instruction(
        "lowercase", "Use lowercase letters only.", "lowercase only", str.lower, str.islower,
        _but_one_word(str.lower, str.capitalize), "one word has a capital letter",
    ),
    Instruction(
        "capitals", "Write in capital letters only.", "capital letters only", str.upper, str.isupper,
        _but_one_word(str.upper, str.lower), "one word is in small letters",
    ),
    Instruction(
        "no_commas", "Do not use any commas.", "no commas", lambda t: t.replace(",", ""), lambda t: "," not in t,
        _one_comma, "one comma is left",
    ),
    Instruction(
        "quoted", "Put the whole answer in double quotes.", "in double quotes",
        lambda t: '"' + t.replace('"', "'") + '"', lambda t: t.startswith('"') and t.endswith('"'),
        lambda t: '"' + t.replace('"', "'"), "the closing quote is missing",
    ),
    Instruction(
        "postscript", "End with a postscript that starts with P.S.", "ends with a P.S.",
        lambda t: t + " P.S. Let me know how it goes.", lambda t: "P.S." in t,
        lambda t: t + " PS Let me know how it goes.", "PS stands in the place of P.S.",
    ),
    Instruction(
        "title", "Start with a title in double angle brackets.", "starts with a <<title>>",
        lambda t: "<<" + _title(t) + ">> " + t, lambda t: t.startswith("<<") and ">>" in t,
        lambda t: "<" + _title(t) + "> " + t, "the brackets are single",
    ),
    Instruction(
        "ending", 'Finish with the words "Is there anything else?"', "ends as asked",
        lambda t: t + " Is there anything else?", lambda t: t.endswith("Is there anything else?"),
        lambda t: t + " Is there anything more?", "one word of the ending is another",
    ),
    Instruction(
        "bullets_2", "Answer with exactly 2 bullet points.", "2 bullet points", _bullets(2), _is_bullets(2),
        _nearly_bullets(2), "by one bullet point",
    ),
    Instruction(
        "bullets_3", "Answer with exactly 3 bullet points.", "3 bullet points", _bullets(3), _is_bullets(3),
        _nearly_bullets(3), "by one bullet point",
    ),
    Instruction(
        "separator", "Separate the sentences with ***.", "sentences split by ***",
        lambda t: " *** ".join(sentences(t)), lambda t: "***" in t,
        _two_stars, "two stars stand in the place of three",
    ),
)  # fmt: skip
