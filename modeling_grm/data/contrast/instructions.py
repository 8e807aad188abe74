"""Checkable instructions (the IFEval kinds): how to ask, how to make a text obey, how to tell whether it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .sources import sentences


@dataclass(frozen=True)
class Instruction:
    """`rule` names it in an analysis; `holds(obey(text))` is True, `holds(text)` must be False for a violation."""

    name: str
    ask: str
    rule: str
    obey: Callable[[str], str]
    holds: Callable[[str], bool]


def _bullets(count: int) -> Callable[[str], str]:
    def obey(text: str) -> str:
        return "\n".join(f"* {sentence}" for sentence in sentences(text)[:count])

    return obey


def _is_bullets(count: int) -> Callable[[str], bool]:
    return lambda text: len(text.split("\n")) == count and all(line.startswith("* ") for line in text.split("\n"))


INSTRUCTIONS = (
    Instruction("lowercase", "Use lowercase letters only.", "lowercase only", str.lower, str.islower),
    Instruction("capitals", "Write in capital letters only.", "capital letters only", str.upper, str.isupper),
    Instruction(
        "no_commas", "Do not use any commas.", "no commas", lambda t: t.replace(",", ""), lambda t: "," not in t
    ),
    Instruction(
        "quoted", "Put the whole answer in double quotes.", "in double quotes",
        lambda t: '"' + t.replace('"', "'") + '"', lambda t: t.startswith('"') and t.endswith('"'),
    ),
    Instruction(
        "postscript", "End with a postscript that starts with P.S.", "ends with a P.S.",
        lambda t: t + " P.S. Let me know how it goes.", lambda t: "P.S." in t,
    ),
    Instruction(
        "title", "Start with a title in double angle brackets.", "starts with a <<title>>",
        lambda t: "<<" + " ".join(t.split()[:3]).strip(",.:;!?") + ">> " + t,
        lambda t: t.startswith("<<") and ">>" in t,
    ),
    Instruction(
        "ending", 'Finish with the words "Is there anything else?"', "ends as asked",
        lambda t: t + " Is there anything else?", lambda t: t.endswith("Is there anything else?"),
    ),
    Instruction("bullets_2", "Answer with exactly 2 bullet points.", "2 bullet points", _bullets(2), _is_bullets(2)),
    Instruction("bullets_3", "Answer with exactly 3 bullet points.", "3 bullet points", _bullets(3), _is_bullets(3)),
    Instruction(
        "separator", "Separate the sentences with ***.", "sentences split by ***",
        lambda t: " *** ".join(sentences(t)), lambda t: "***" in t,
    ),
)  # fmt: skip
