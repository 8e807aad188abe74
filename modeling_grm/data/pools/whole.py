"""Whole responses of any kind, code, lists and mathematics among them, with a defect made by rule.

    good                           "Subtract them:\n\n$7x-2x=5x$, so $5x=10$.\n\nThe answer is $x=2$."
    good, but its last words ...   "Subtract them:\n\n$7x-2x=5x$, so $5x=10$.\n\nThe answer"

The contrast pool cuts its responses to some sentences of plain prose. A judge that has seen no others loses itself in
what it then has to quote: it wrote zeros without end behind an odd prompt. Here a response is as its source has it, and
the defects are the contrast set's, with its verdicts and scores, made without cutting sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ...types_grm import InvalidInput, Request
from ..contrast.build import COUNTS
from ..contrast.defects import Candidate, Case, times, tongue
from ..contrast.grown import part_of
from ..contrast.phrases import EMPTY, pool
from ..contrast.sources import EVASION, OTHER_LANGUAGE, Seed, sentences, words
from ..contrast.strengths import GRADED, Make, ended, firm, spot
from ..contrast.targets import score, topic_of, verdict
from ..preference import Preference, Report
from .entries import Entry, asked
from .sources import MOST_WORDS, SOURCES, readable
from .targets import Draft

FROM = {"ultrafeedback": 5, "llama-factory": 5, "prmbench": 1}
"""A name of `sources.SOURCES` -> items of each of its rows."""
SOLUTIONS = ("PRMBench",)
"""Sources of solutions: one of them may pass for another prompt's, so it is not called off topic there."""
POOL = "whole"
KIND = "open"  # of the contrast set's kinds, for what a good response is called and deserves
MOST = 160  # words of a good response
TOGETHER = 260  # words of all responses of an item, about; a longer good one stands beside one other
TOPIC, QUOTE = 80, 40  # characters; a formula may have no space
RATED = 7  # the least rating of 10 of a response that is called good
_FINISHED = re.compile(r"[.!?)\]}`\"'$\d]$")
_FOREIGN = re.compile(
    rf"{OTHER_LANGUAGE.pattern}|\bin (?:hindi|japanese|korean|russian|arabic|turkish)\b", re.IGNORECASE
)
_EVADES = re.compile(rf"{EVASION.pattern}|i (?:cannot|can't|am unable)", re.IGNORECASE)
_CRITERIA = (
    'relevance to "{topic}" (50%), completeness (30%), clarity (20%)',
    'help with "{topic}" (60%), a finished text (20%), no repetition (20%)',
)


# --------------------------------------------------------------------------- defects


def _pieces(text: str) -> list[str]:
    """Its lines where it has some, else its sentences; those with a few words."""
    if "\n" not in text.strip():
        return [one for one in sentences(text) if ended(one)]
    return [line for line in map(str.strip, text.splitlines()) if 3 <= words(line) <= 25]


def _cut(case: Case, good: str, least: int, most: int) -> Candidate | None:
    """Its first words, spaced as they are, from `least` to `most`, where that is within a line and a sentence."""
    ends = [found.end() for found in re.finditer(r"\S+", good)][max(least, 1) - 1 : max(most, 0)]
    starts = [good[:end].rstrip(",;:") for end in ends if re.match(r"[ \t]+\S", good[end:])]
    cut = [start for start in starts if start.strip() and not _FINISHED.search(start)]
    return Candidate(case.rng.choice(cut), "cut_short") if cut else None


def _half(case: Case, good: str) -> Candidate | None:
    return _cut(case, good, round(0.35 * words(good)), round(0.8 * words(good)))


def _last_missing(case: Case, good: str) -> Candidate | None:
    return _cut(case, good, words(good) - 3, words(good) - 2)


def _off_topic(case: Case, good: str) -> Candidate | None:
    return Candidate(case.other.good[0], "off_topic")


def _shuffled(case: Case, good: str) -> Candidate | None:
    """Its words in another order, between the spaces and line breaks that it has."""
    parts = re.split(r"(\s+)", good.strip())
    mixed = parts[::2]
    case.rng.shuffle(mixed)
    parts[::2] = mixed
    return Candidate("".join(parts), "scrambled")


def _again_and_again(case: Case, good: str) -> Candidate | None:
    pieces = _pieces(good)
    if not pieces:
        return None
    return Candidate("\n".join([pieces[0]] * times(case.width(good), pieces[0])), "repeated")


def _stuck(case: Case, good: str) -> Candidate | None:
    """Half of its lines, and then the next one over and over."""
    pieces = _pieces(good)
    begun, rest = pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]
    if not begun or rest[0] in begun:
        return None
    again = [rest[0]] * times(case.width("\n".join(begun)), rest[0])
    return Candidate("\n".join([*begun, *again]), "repeated", {"spot": _spot(rest[0])})


def _twice(case: Case, good: str) -> Candidate | None:
    """One line stands there again, behind itself."""
    pieces = [piece for piece in _pieces(good) if good.count(piece) == 1]
    if not pieces:
        return None
    again = case.rng.choice(pieces)
    return Candidate(good.replace(again, f"{again}{_gap(good)}{again}"), "repeated", {"spot": _spot(again)})


def _gap(text: str) -> str:
    return "\n" if "\n" in text.strip() else " "


def _spot(text: str) -> str:
    return spot(text)[:QUOTE]


def _with_end(case: Case, good: str, ending: str, name: str, **facts: str) -> Candidate:
    """That behind it, or in the place of its last line, so that the longer one is not always the worse.

    A solution keeps its last line, which has the answer.
    """
    last = (_pieces(good) or [""])[-1]
    body = good.removesuffix(last).rstrip() if case.seed.source not in SOLUTIONS and case.rng.random() < 0.6 else good
    body = body if 2 * words(body) > words(good) else good
    return Candidate(f"{body}{_gap(good)}{ending}", name, {"spot": _spot(ending), **facts})


def _foreign_end(case: Case, good: str) -> Candidate | None:
    pieces = [piece for piece in _pieces(case.other.good[0]) if ended(piece) and piece not in good]
    return _with_end(case, good, case.rng.choice(pieces), "off_topic") if pieces else None


def _empty_end(case: Case, good: str) -> Candidate:
    return _with_end(case, good, case.rng.choice(pool(EMPTY, case.split)), "contentless")


def _refusing_end(case: Case, good: str) -> Candidate:
    return _with_end(case, good, case.rng.choice(firm(case.split)), "refusal")


def _other_tongue_end(case: Case, good: str) -> Candidate:
    language, phrases = tongue(case)
    return _with_end(case, good, case.rng.choice(phrases), "wrong_language", language=language)


MAKERS: dict[tuple[str, str], Make] = {
    ("off_topic", "plain"): _off_topic,
    ("off_topic", "subtle"): _foreign_end,
    ("scrambled", "plain"): _shuffled,
    ("cut_short", "clear"): _half,
    ("cut_short", "subtle"): _last_missing,
    ("repeated", "plain"): _again_and_again,
    ("repeated", "clear"): _stuck,
    ("repeated", "subtle"): _twice,
    ("contentless", "plain"): GRADED["contentless"]["plain"].make,
    ("contentless", "subtle"): _empty_end,
    ("refusal", "plain"): GRADED["refusal"]["plain"].make,
    ("refusal", "subtle"): _refusing_end,
    ("wrong_language", "plain"): GRADED["wrong_language"]["plain"].make,
    ("wrong_language", "subtle"): _other_tongue_end,
}
"""Defect and strength, as `contrast.strengths.GRADED` has them -> how it is put into a whole response."""


# --------------------------------------------------------------------------- items


@dataclass(frozen=True)
class Good:
    """A prompt with its good response."""

    item: Preference
    part: str
    text: str

    @property
    def prompt(self) -> str:
        """The user's last turn."""
        return str(self.item.request.query[-1]["content"])

    @property
    def seed(self) -> Seed:
        """As the contrast set's defects take it."""
        return Seed(self.item.id, self.item.source, self.prompt, (self.text,), KIND, "")


def unfit(item: Preference) -> str | None:
    """Why an item's best response cannot be called good or finished; None where it can."""
    if item.best is None:
        return "its best response is not one"
    if foreign(asked(item.request.query)):
        return "its prompt may ask for another language"
    if 1 < max(item.labels or (1.0,)) < RATED:
        return "its best response is rated low"
    fault = fault_of(item.request.responses[item.best], MOST)
    return fault and f"its best response {fault}"


def foreign(prompt: str) -> bool:
    """Whether it may ask for another language."""
    return bool(_FOREIGN.search(prompt))


def fault_of(text: str, most: int) -> str | None:
    """Why a response cannot be called good, or is too long in words; None where it can."""
    text = text.strip()
    checks = (
        ("is evasive", bool(_EVADES.match(text))),
        ("is unfinished", not _FINISHED.search(text)),
        (f"has more than {most} words", words(text) > most),
    )
    return next((reason for reason, holds in checks if holds), None)


def read_whole(
    folder: Path, report: Report, most_words: int = MOST_WORDS, *, fits: Callable[[str], bool] | None = None
) -> Iterator[Entry]:
    """The entries of all of `FROM`; what is unfit is dropped and counted.

    Args:
        folder: where the source files are.
        report: of what is kept and dropped.
        most_words: longer rows are left out.
        fits: whether a prompt may be used; all may if left out.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    goods = {name: list(_goods(folder, name, report, most_words, fits)) for name in FROM}
    for name, found in goods.items():
        others = {other: goods[other] for other in FROM if not {_source(name), _source(other)} <= set(SOLUTIONS)}
        for good in found:
            for number in range(FROM[name]):
                if number:
                    report.keep(f"{POOL}: {good.item.source}")
                yield _broken(good, others, number)


def _source(name: str) -> str:
    return SOURCES[name].name


def _goods(
    folder: Path, name: str, report: Report, most_words: int, fits: Callable[[str], bool] | None
) -> Iterator[Good]:
    source = replace(SOURCES[name], pool=POOL)
    for item in readable(folder, source, report, most_words):
        prompt = asked(item.request.query)
        reason = unfit(item) or (None if fits is None or fits(prompt) else "its prompt is in a benchmark")
        if reason:
            report.lose(source.label, reason, item.id)
        else:
            yield Good(item, part_of(prompt), item.request.responses[item.best or 0].strip())


def _broken(good: Good, others: Mapping[str, Sequence[Good]], number: int) -> Entry:
    """One item of a good response; n, the defects and the places go by its id."""
    rng = Random(f"whole {good.item.id} {number}")
    case = Case(good.seed, _another(good, others, rng).seed, good.part, rng)
    n = min(rng.choice(COUNTS), max(2, TOGETHER // words(good.text)))
    made = [*worse(case, good.text, max(1, n - 1), least=1 if n > 1 else 2)]
    best = Candidate(good.text, None)
    return _entry(good, rng.sample([best, *made], n) if n > 1 else [rng.choice((best, *made))], number)


def _another(good: Good, others: Mapping[str, Sequence[Good]], rng: Random) -> Good:
    """Of the same part and of another prompt; the source is drawn first."""
    for name in rng.sample(list(others), len(others)):
        found = [one for one in others[name] if one.part == good.part and one.prompt != good.prompt]
        if found:
            return rng.choice(found)
    raise InvalidInput(f"{good.item.source}: no other prompt in the part {good.part!r}; give more rows")


def worse(case: Case, good: str, count: int, least: int = 1) -> Iterator[Candidate]:
    """So many different defects that leave at least such a score.

    In a list none is scrambled: a length that is the good one's own is balanced away there.
    """
    texts, names = {good}, {"scrambled"} if count > 1 else set[str]()
    count += len(names)
    for name, strength in case.rng.sample(list(MAKERS), len(MAKERS)):
        wanted = name not in names and len(names) < count and GRADED[name][strength].score >= least
        made = MAKERS[name, strength](case, good) if wanted else None
        if made and made.text not in texts:
            texts.add(made.text)
            names.add(name)
            yield replace(made, strength=strength)


def _entry(good: Good, shown: Sequence[Candidate], number: int) -> Entry:
    scores = tuple(score(one, KIND) for one in shown)
    best = next((at for at, one in enumerate(shown) if one.defect is None), None) if len(shown) > 1 else None
    request = Request(good.item.request.query, [one.text for one in shown])
    name = f"{good.item.id}-whole-{number}"
    item = Preference(request, best, tuple(map(float, scores)), good.item.source, good.item.licence, name)
    worst = min(shown, key=lambda one: (one.defect is None, score(one, KIND)))
    return Entry(
        item,
        POOL,
        worst.defect or "none",
        tuple(one.defect for one in shown),
        tuple(one.strength or None for one in shown),
        worst.strength or None,
        programmatic=True,
        target=target_of(shown, asked(request.query), Random(name)),
    )


def target_of(shown: Sequence[Candidate], prompt: str, rng: Random) -> Draft:
    """The judgement of these responses, with criteria by lot."""
    criteria = rng.choice(_CRITERIA).format(topic=topic_of(prompt)[:TOPIC])
    said = tuple(("", verdict(one, KIND)) for one in shown)
    return Draft(criteria, said, tuple(score(one, KIND) for one in shown))
