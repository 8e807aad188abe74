"""The ten named defects: how each is made from real text, what an analysis says of it, and how much it costs.

`strengths.py` has each of them from plain to subtle; those of this table are what the first embedded judge learnt from.
A defect's width (in words) is drawn around the good response's, so that length says nothing about quality.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..arithmetic import Check
from .instructions import Instruction
from .phrases import EMPTY, LANGUAGES, REFUSALS, pool
from .sources import Seed, sentences, trim, words


@dataclass(frozen=True)
class Candidate:
    """One response of an item; `defect` is None for the good one, `facts` fill its verdict.

    `strength` is a name of `strengths.STRENGTHS`, or "" where the defect is as this file's table makes it. `checks` are
    a worked solution's calculations, where its analysis does them again.
    """

    text: str
    defect: str | None
    facts: dict[str, str] = field(default_factory=dict)
    strength: str = ""
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Case:
    """What a defect is made from: the item's seed, another prompt's seed, and the split whose phrases may be used."""

    seed: Seed
    other: Seed
    split: str
    rng: random.Random
    instruction: Instruction | None = None
    earlier: Seed | None = None

    def width(self, good: str) -> int:
        """A word count around the good response's, as often above as below."""
        return max(8, round(words(good) * 2 ** self.rng.uniform(-0.8, 0.8)))

    def another_good(self, target: int) -> str | None:
        """A good text for the same prompt, from another response where there is one."""
        return trim(self.seed.good[-1], target)


def filled(case: Case, phrases: tuple[str, ...], target: int) -> str:
    """Different phrases of the pool, until there are about `target` words."""
    chosen = case.rng.sample(phrases, len(phrases))
    kept = chosen[:1]
    for phrase in chosen[1:]:
        if words(" ".join(kept)) + words(phrase) / 2 >= target:
            break
        kept.append(phrase)
    return " ".join(kept)


def times(width: int, piece: str) -> int:
    """How often a piece is repeated to fill about so many words."""
    return max(3, min(8, round(width / words(piece))))


def tongue(case: Case) -> tuple[str, tuple[str, ...]]:
    """Another language and its phrases."""
    name = case.rng.choice(sorted(LANGUAGES))
    return name, pool(LANGUAGES[name], case.split)


def _off_topic(case: Case, good: str) -> Candidate | None:
    text = trim(case.other.good[0], case.width(good))
    return Candidate(text, "off_topic") if text else None


def _scrambled(case: Case, good: str) -> Candidate | None:
    text = case.another_good(case.width(good))
    if not text or words(text) < 8:
        return None
    mixed = text.split()
    case.rng.shuffle(mixed)
    return Candidate(" ".join(mixed), "scrambled")


def _cut_short(case: Case, good: str) -> Candidate | None:
    text = case.another_good(round(case.width(good) * 1.25))
    last = sentences(text)[-1].split() if text else []
    if not text or len(last) < 6:
        return None
    drop = case.rng.randint(2, max(2, len(last) - 3))
    kept = " ".join(text.split()[:-drop]).rstrip(",;:.!?")
    return Candidate(kept, "cut_short") if words(kept) >= 6 else None


def _repeated(case: Case, good: str) -> Candidate | None:
    first = next((s for s in sentences(case.seed.good[-1]) if 4 <= words(s) <= 18 and s[-1] in ".!?"), None)
    if first is None:
        return None
    return Candidate(" ".join([first] * times(case.width(good), first)), "repeated")


def _contentless(case: Case, good: str) -> Candidate | None:
    return Candidate(filled(case, pool(EMPTY, case.split), case.width(good)), "contentless")


def _refusal(case: Case, good: str) -> Candidate | None:
    return Candidate(filled(case, pool(REFUSALS, case.split), case.width(good)), "refusal")


def _wrong_language(case: Case, good: str) -> Candidate | None:
    language, phrases = tongue(case)
    return Candidate(filled(case, phrases, case.width(good)), "wrong_language", {"language": language})


def _ignores_last_turn(case: Case, good: str) -> Candidate | None:
    text = trim(case.earlier.good[-1], case.width(good)) if case.earlier else None
    return Candidate(text, "ignores_last_turn") if text else None


def _wrong_number(case: Case, good: str) -> Candidate | None:
    if case.seed.answer is None:
        return None
    right = int(case.seed.answer)
    shift = case.rng.choice([-10, -5, -3, -2, -1, 1, 2, 3, 5, 10, right, 2 * right])
    wrong = right + shift
    if wrong <= 0 or wrong == right:
        wrong = right + 7
    text = with_answer(case.seed.good[0], str(wrong))
    return Candidate(text, "wrong_number", {"works_out": str(right), "answers": str(wrong)})


def _breaks_instruction(case: Case, good: str) -> Candidate | None:
    text = case.another_good(case.width(good))
    if case.instruction is None or not text or case.instruction.holds(text):
        return None
    return Candidate(text, "breaks_instruction", {"rule": case.instruction.rule})


@dataclass(frozen=True)
class Defect:
    """A defect's maker, the score it leaves (1..10), the share of an analysis it gets, and where it can stand."""

    make: Callable[[Case, str], Candidate | None]
    score: int
    verdict: str
    kinds: frozenset[str]


_PROSE = frozenset({"open", "question"})
_ANY = frozenset({"open", "question", "math", "instruction", "two_turn"})
DEFECTS: dict[str, Defect] = {
    "off_topic": Defect(
        _off_topic, 1, "off topic", _ANY
    ),
    "scrambled": Defect(
        _scrambled, 2, "scrambled words", _PROSE
    ),
    "cut_short": Defect(
        _cut_short, 5, "cut short", _PROSE
    ),
    "repeated": Defect(
        _repeated, 4, "repeats itself", _PROSE
    ),
    "contentless": Defect(
        _contentless, 3, "empty talk", _ANY
    ),
    "refusal": Defect(
        _refusal, 2, "refuses for no reason", _ANY
    ),
    "ignores_last_turn": Defect(
        _ignores_last_turn, 3, "ignores the last turn", frozenset({"two_turn"})
    ),
    "wrong_number": Defect(
        _wrong_number, 4, "wrong number", frozenset({"math"})
    ),
    "wrong_language": Defect(
        _wrong_language, 2, "in {language}, not English", _PROSE
    ),
    "breaks_instruction": Defect(
        _breaks_instruction, 6, "breaks the rule",
        frozenset({"instruction"}),
    ),
}  # fmt: skip


def with_answer(working: str, answer: str) -> str:
    """A math solution that ends with its answer."""
    return f"{working.rstrip()} The answer is {answer}."


def last_number(text: str) -> str | None:
    """The last number of a text, without thousands separators."""
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return found[-1].replace(",", "") if found else None
