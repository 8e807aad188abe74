"""The ten defects in several strengths: plain, clear and subtle, with what each leaves of the score.

    GRADED["off_topic"]["plain"]     another prompt's answer, 1/10
    GRADED["off_topic"]["clear"]     on topic for a sentence, then another prompt's answer, 3/10
    GRADED["off_topic"]["subtle"]    a good text whose last sentence belongs to another prompt, 6/10

A subtle defect is one that less of the text has, and it costs less; the good response always has more. It is put into
the best text for the prompt, the good response's own, so that nothing else tells the two apart. Where the
defect stands inside the text, the verdict quotes the place. `breaks_instruction` has no strength between wholly and by
one slip.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from .defects import DEFECTS, Candidate, Case, Defect, filled, times, tongue, with_answer
from .phrases import EMPTY, NO_REFUSAL_ALONE, REFUSALS, pool
from .sources import sentences, trim, words

STRENGTHS = ("plain", "clear", "subtle")
Make = Callable[[Case, str], Candidate | None]
_PROSE = frozenset({"open", "question"})
_SHORT = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|No)\.$")
_TALK = _PROSE | {"two_turn"}


def make(case: Case, good: str, name: str, strength: str) -> Candidate | None:
    """A response with the defect in that strength; None where the seed does not suit it."""
    found = GRADED[name][strength].make(case, good)
    return replace(found, strength=strength) if found else None


# --------------------------------------------------------------------------- parts of texts


def spot(text: str) -> str:
    """The words by which a verdict points at a place."""
    return " ".join(text.replace('"', "'").split()[:4])


def _parts(text: str | None, least: int) -> list[str]:
    """A text's sentences; none where there are fewer than `least`."""
    parts = sentences(text) if text else []
    return parts if len(parts) >= least else []


def _own(case: Case, good: str, least: int = 2) -> list[str]:
    """Sentences of another good text for the prompt."""
    return _parts(case.another_good(case.width(good)), least)


def _best(case: Case, good: str, least: int = 2) -> list[str]:
    """Sentences of the best text, of which the good response is a part."""
    return _parts(trim(case.seed.good[0], case.width(good)), least)


def ended(text: str) -> bool:
    """Whether a sentence is one: it ends as such, and not with the number of a list or an abbreviation."""
    return 5 <= words(text) <= 25 and bool(re.search(r"[^\d.!?][.!?]$", text)) and not _SHORT.search(text)


def _foreign(case: Case, texts: tuple[str, ...]) -> str | None:
    """One sentence of another prompt's answer."""
    found = [one for one in sentences(texts[0]) if ended(one)]
    return case.rng.choice(found) if found else None


def _begun(case: Case, good: str, tail: Callable[[int], str | None], name: str) -> Candidate | None:
    """A first good sentence, and then a longer tail of about so many words."""
    own = _own(case, good, least=1)
    rest = tail(max(8, case.width(good) - words(own[0]))) if own and ended(own[0]) else None
    if not rest or words(rest) < words(own[0]):
        return None
    return Candidate(f"{own[0]} {rest}", name, {"spot": spot(rest)})


def _ended_by(case: Case, good: str, ending: str | None, name: str) -> Candidate | None:
    """The best text with that sentence behind it, or in the place of its last one."""
    own = _best(case, good)
    body = own[:-1] if len(own) > 2 and case.rng.random() < 0.5 else own
    if not ending or not body or not ended(body[-1]) or words(" ".join(body)) < words(ending):
        return None
    return Candidate(" ".join([*body, ending]), name, {"spot": spot(ending)})


# --------------------------------------------------------------------------- off topic, empty, refusing, foreign


def _off_topic_clear(case: Case, good: str) -> Candidate | None:
    return _begun(case, good, lambda width: trim(case.other.good[0], width), "off_topic")


def _off_topic_subtle(case: Case, good: str) -> Candidate | None:
    return _ended_by(case, good, _foreign(case, case.other.good), "off_topic")


def _contentless_clear(case: Case, good: str) -> Candidate | None:
    return _begun(case, good, lambda width: filled(case, pool(EMPTY, case.split), width), "contentless")


def _contentless_subtle(case: Case, good: str) -> Candidate | None:
    return _ended_by(case, good, case.rng.choice(pool(EMPTY, case.split)), "contentless")


def firm(split: str) -> tuple[str, ...]:
    """Refusals that are one without another beside them."""
    return tuple(one for one in pool(REFUSALS, split) if one not in NO_REFUSAL_ALONE)


def _refusal_plain(case: Case, good: str) -> Candidate | None:
    return Candidate(filled(case, firm(case.split), case.width(good)), "refusal")


def _refusal_clear(case: Case, good: str) -> Candidate | None:
    return _begun(case, good, lambda width: filled(case, firm(case.split), width), "refusal")


def _refusal_subtle(case: Case, good: str) -> Candidate | None:
    return _ended_by(case, good, case.rng.choice(firm(case.split)), "refusal")


def _in(language: str, candidate: Candidate | None) -> Candidate | None:
    return replace(candidate, facts={**candidate.facts, "language": language}) if candidate else None


def _wrong_language_clear(case: Case, good: str) -> Candidate | None:
    name, phrases = tongue(case)
    return _in(name, _begun(case, good, lambda width: filled(case, phrases, width), "wrong_language"))


def _wrong_language_subtle(case: Case, good: str) -> Candidate | None:
    name, phrases = tongue(case)
    return _in(name, _ended_by(case, good, case.rng.choice(phrases), "wrong_language"))


# --------------------------------------------------------------------------- scrambled, cut short, repeated


def _shuffled(case: Case, sentence: str) -> str:
    mixed = sentence.split()
    case.rng.shuffle(mixed)
    return " ".join(mixed)


def _scrambled_clear(case: Case, good: str) -> Candidate | None:
    own = _own(case, good)
    mixed = [_shuffled(case, one) for one in own]
    if not own or any(words(one) > 3 and one.split() == new.split() for one, new in zip(own, mixed, strict=True)):
        return None
    return Candidate(" ".join(mixed), "scrambled") if words(" ".join(own)) >= 8 else None


def _scrambled_subtle(case: Case, good: str) -> Candidate | None:
    """A fifth of the words have changed places with a neighbour."""
    found = " ".join(_best(case, good, least=1)).split()
    pairs = [at for at in range(0, len(found) - 1, 2) if found[at].lower() != found[at + 1].lower()]
    count = max(2, len(found) // 10)
    if len(found) < 10 or len(pairs) < count:
        return None
    swapped = sorted(case.rng.sample(pairs, count))
    for at in swapped:
        found[at], found[at + 1] = found[at + 1], found[at]
    first = max(0, swapped[0] - 1)
    return Candidate(" ".join(found), "scrambled", {"spot": spot(" ".join(found[first:]))})


def _cut(text: str, drop: int) -> Candidate | None:
    kept = " ".join(text.split()[:-drop]).rstrip(",;:.!?")
    return Candidate(kept, "cut_short") if words(kept) >= 5 else None


def _cut_short_plain(case: Case, good: str) -> Candidate | None:
    """It ends before its first sentence does."""
    own = [one for one in sentences(case.seed.good[-1]) if words(one) >= 9][:1]
    width = case.width(good)
    if not own or width > words(own[0]) - 3:
        return None
    return _cut(own[0], words(own[0]) - width)


def _cut_late(own: list[str], drop: Callable[[int], int]) -> Candidate | None:
    """Behind whole sentences, the last one of at least eight words loses some."""
    last = words(own[-1]) if own else 0
    return _cut(" ".join(own), drop(last)) if last >= 8 else None


def _cut_short_clear(case: Case, good: str) -> Candidate | None:
    return _cut_late(_own(case, good), lambda last: case.rng.randint(4, last - 3))


def _cut_short_subtle(case: Case, good: str) -> Candidate | None:
    return _cut_late(_best(case, good), lambda last: case.rng.randint(2, 3))


def _repeated_clear(case: Case, good: str) -> Candidate | None:
    """Half of the text, then one of its sentences over and over."""
    own = _own(case, good)
    half = own[: max(1, len(own) // 2)]
    again = next((one for one in own[len(half) :] if 4 <= words(one) <= 18 and ended(one) and one not in half), None)
    if again is None:
        return None
    often = times(case.width(good) - words(" ".join(half)), again)
    return Candidate(" ".join([*half, *[again] * often]), "repeated", {"spot": spot(again)})


def _repeated_subtle(case: Case, good: str) -> Candidate | None:
    """One of the sentences stands there twice."""
    own = _best(case, good)
    places = [at for at, one in enumerate(own) if ended(one) and own.count(one) == 1]
    if not places:
        return None
    at = case.rng.choice(places)
    behind = case.rng.randint(at + 1, len(own))
    return Candidate(" ".join([*own[:behind], own[at], *own[behind:]]), "repeated", {"spot": spot(own[at])})


# --------------------------------------------------------------------------- the last turn, numbers, rules


def _ignores_clear(case: Case, good: str) -> Candidate | None:
    """The earlier turn's answer, and one sentence on the last turn."""
    own = _own(case, good, least=1)
    earlier = trim(case.earlier.good[-1], max(8, case.width(good) - words(own[0]))) if case.earlier and own else None
    if not earlier or not ended(own[0]) or words(earlier) < words(own[0]):
        return None
    return Candidate(f"{earlier} {own[0]}", "ignores_last_turn", {"spot": spot(own[0])})


def _ignores_subtle(case: Case, good: str) -> Candidate | None:
    ending = _foreign(case, case.earlier.good) if case.earlier else None
    return _ended_by(case, good, ending, "ignores_last_turn")


def near(right: int) -> int:
    """How far off a wrong number may be and still be near: a fifth, or five."""
    return max(5, right // 5)


def _far_off(case: Case, right: int) -> int:
    """Several times the right number, or a small part of it where that is far enough from it."""
    times = case.rng.choice((3, 4, 5, 10))
    if right >= 40 and case.rng.random() < 0.5:
        return right // times
    return right * times + case.rng.randint(6, 20)


def _near(case: Case, right: int) -> int:
    shift = case.rng.randint(2, near(right))
    return right - shift if right > shift and case.rng.random() < 0.5 else right + shift


def _by_one(case: Case, right: int) -> int:
    return right - 1 if right > 1 and case.rng.random() < 0.5 else right + 1


def _wrong_number(wrong_of: Callable[[Case, int], int]) -> Make:
    """The working is kept, so that the number it comes to stands before the wrong one."""

    def made(case: Case, good: str) -> Candidate | None:
        if case.seed.answer is None:
            return None
        wrong = str(wrong_of(case, int(case.seed.answer)))
        facts = {"works_out": case.seed.answer, "answers": wrong}
        return Candidate(with_answer(case.seed.good[0], wrong), "wrong_number", facts)

    return made


def _breaks_subtle(case: Case, good: str) -> Candidate | None:
    text = trim(case.seed.good[0], case.width(good))
    if case.instruction is None or not text or case.instruction.holds(text):
        return None
    nearly = case.instruction.nearly(text)
    if nearly is None or case.instruction.holds(nearly):
        return None
    return Candidate(nearly, "breaks_instruction", {"rule": case.instruction.rule, "slip": case.instruction.slip})


GRADED: dict[str, dict[str, Defect]] = {
    "off_topic": {
        "plain": DEFECTS["off_topic"],
        "clear": Defect(_off_topic_clear, 3, 'off topic from "{spot}" on', _TALK),
        "subtle": Defect(_off_topic_subtle, 6, 'good, but "{spot}" at its end is off topic', _TALK),
    },
    "scrambled": {
        "plain": DEFECTS["scrambled"],
        "clear": Defect(_scrambled_clear, 3, "the words of each sentence are scrambled", _PROSE),
        "subtle": Defect(_scrambled_subtle, 5, 'some words have changed places, as in "{spot}"', _PROSE),
    },
    "cut_short": {
        "plain": Defect(_cut_short_plain, 3, "cut short in its first sentence", _PROSE),
        "clear": Defect(_cut_short_clear, 5, "cut short", _PROSE),
        "subtle": Defect(_cut_short_subtle, 6, "good, but its last words are missing", _PROSE),
    },
    "repeated": {
        "plain": DEFECTS["repeated"],
        "clear": Defect(_repeated_clear, 5, 'repeats "{spot}" over and over', _PROSE),
        "subtle": Defect(_repeated_subtle, 7, 'good, but it says "{spot}" twice', _PROSE),
    },
    "contentless": {
        "plain": DEFECTS["contentless"],
        "clear": Defect(_contentless_clear, 4, 'empty talk from "{spot}" on', _TALK),
        "subtle": Defect(_contentless_subtle, 7, 'good, but "{spot}" at its end is empty talk', _TALK),
    },
    "refusal": {
        "plain": Defect(_refusal_plain, 2, "refuses for no reason", DEFECTS["refusal"].kinds),
        "clear": Defect(_refusal_clear, 3, 'refuses for no reason from "{spot}" on', _TALK),
        "subtle": Defect(_refusal_subtle, 5, 'good, but "{spot}" at its end refuses for no reason', _TALK),
    },
    "ignores_last_turn": {
        "plain": DEFECTS["ignores_last_turn"],
        "clear": Defect(
            _ignores_clear, 4, 'answers an earlier turn, and the last one only with "{spot}"', frozenset({"two_turn"})
        ),
        "subtle": Defect(
            _ignores_subtle, 6, 'good, but "{spot}" at its end answers an earlier turn', frozenset({"two_turn"})
        ),
    },
    "wrong_number": {
        "plain": Defect(_wrong_number(_far_off), 3, "wrong number, far off", frozenset({"math"})),
        "clear": Defect(_wrong_number(_near), 4, "wrong number", frozenset({"math"})),
        "subtle": Defect(_wrong_number(_by_one), 5, "wrong number, by one", frozenset({"math"})),
    },
    "wrong_language": {
        "plain": DEFECTS["wrong_language"],
        "clear": Defect(_wrong_language_clear, 3, 'in {language}, not English, from "{spot}" on', _PROSE),
        "subtle": Defect(_wrong_language_subtle, 5, 'good, but "{spot}" at its end is {language}', _PROSE),
    },
    "breaks_instruction": {
        "plain": DEFECTS["breaks_instruction"],
        "subtle": Defect(_breaks_subtle, 7, "nearly keeps the rule: {slip}", frozenset({"instruction"})),
    },
}
